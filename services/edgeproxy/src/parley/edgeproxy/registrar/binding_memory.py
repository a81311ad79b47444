"""A cache of the bindings that this edge wrote last: written again when shared state forgot.

Shared state may lose its last writes when a replica takes over. What an edge acknowledged must
not be lost with them, or a phone is out of reach until it registers again: when state says that
it may have forgotten something, the edge goes through its memory and puts back what is missing or
older, a bit at a time. A binding that a phone took out through another edge meanwhile may come
back that way; it ends with its expiry, and a call to it fails like any call to a phone that left.

While shared state does not answer, a phone that refreshes what is remembered here is believed:
its AOR is *owed*, and written as soon as state answers. What is new, or ends, needs state.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from parley.backing.state.bindings import decode_bindings
from parley.edgeproxy.registrar.decision import Accepted
from parley.model.ids import TenantId
from parley.model.registration import Binding

MAX_AORS: Final = 100_000


class BindingMemory:
    """AORs with the bytes written last, oldest write first; bounded.

    Attributes:
        owed: AORs that were promised to a phone and are not written yet, oldest first.
        is_owing: set while there are such.
    """

    __slots__ = ("_size", "_written", "is_owing", "owed")

    def __init__(self, size: int = MAX_AORS) -> None:
        self._size = size
        self._written: dict[str, tuple[TenantId, bytes]] = {}
        self.owed: dict[str, None] = {}
        self.is_owing = asyncio.Event()

    def __len__(self) -> int:
        return len(self._written)

    def remember(self, tenant: TenantId, aor: str, data: bytes) -> None:
        """Notes what was written for an AOR."""
        written = self._written
        # A new place in the order for each write costs more than it is worth: phones refresh
        # about as often as each other.
        if aor not in written and len(written) >= self._size:
            oldest = next(iter(written))
            del written[oldest]
            self.settle(oldest)
        written[aor] = (tenant, data)

    def forget(self, aor: str) -> None:
        """Notes that an AOR has no binding any more."""
        self._written.pop(aor, None)
        self.settle(aor)

    def owe(self, aor: str) -> None:
        """Notes that what is remembered of an AOR is to be written."""
        self.owed[aor] = None
        self.is_owing.set()

    def settle(self, aor: str) -> None:
        """Notes that an AOR is written, or not to be written any more."""
        if self.owed and self.owed.pop(aor, self) is None and not self.owed:
            self.is_owing.clear()

    def aors(self) -> list[str]:
        """Lists what is remembered."""
        return list(self._written)

    def recall(self, aor: str, wall_s: float) -> tuple[TenantId, list[Binding]] | None:
        """Returns tenant and bindings that have not run out; forgets an AOR without any."""
        found = self._written.get(aor)
        if found is None:
            return None
        tenant, data = found
        live = [one for one in decode_bindings(data) if one.expires_at > wall_s]
        if not live:
            self.forget(aor)
            return None
        return tenant, live


def merged(current: Sequence[Binding], remembered: Sequence[Binding]) -> Accepted:
    """Puts back what is missing or older: a binding of the same identity that ends earlier."""
    outcome = Accepted(list(current))
    places = {one.identity: at for at, one in enumerate(current)}
    for one in remembered:
        at = places.get(one.identity)
        if at is None:
            outcome.bindings.append(one)
            outcome.added.append(one)
        elif outcome.bindings[at].expires_at < one.expires_at:
            outcome.bindings[at] = one
            outcome.refreshed.append(one)
    return outcome
