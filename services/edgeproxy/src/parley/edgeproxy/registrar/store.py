"""Changes of bindings: written to shared state by compare-and-set, remembered while it is away.

How they are kept there, and why an AOR is listed before it is written, is told in
`backing/state/bindings.py`.
"""

from collections.abc import Callable, Sequence
from typing import Final

from parley.backing.state.base import State
from parley.backing.state.bindings import Bindings, encode_bindings, next_expiry
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.registrar.binding_memory import BindingMemory, merged
from parley.edgeproxy.registrar.decision import Accepted
from parley.edgeproxy.registrar.register_request import Refused
from parley.model.errors import TemporaryError
from parley.model.ids import TenantId
from parley.model.registration import Binding

MAX_ATTEMPTS: Final = 8

Change = Callable[[Sequence[Binding]], Accepted | Refused]


class Registrations:
    """All bindings of all tenants.

    Attributes:
        stored: what shared state has of them.
    """

    def __init__(self, state: State, metrics: EdgeMetrics, memory: BindingMemory) -> None:
        self.stored = Bindings(state)
        self._metrics = metrics
        self._memory = memory

    async def update(
        self, tenant: TenantId, aor: str, wall_s: float, change: Change
    ) -> Accepted | Refused:
        """Applies a pure change to the bindings of an AOR, again when another edge was faster.

        Raises:
            TemporaryError: others were faster every time.
            BackingUnavailable: shared state did not answer.
        """
        stored = self.stored
        is_listed = False
        for _ in range(MAX_ATTEMPTS):
            found = await stored.find(aor)
            current = found.bindings
            outcome = change(current)
            if not isinstance(outcome, Accepted) or not outcome.is_changed:
                return outcome
            after = outcome.bindings
            if after and (is_listed or not current or next_expiry(after) < next_expiry(current)):
                await stored.list_aor(tenant, aor, after)
                is_listed = True
            data = await stored.replace(aor, after, found.version, wall_s)
            if data is None:
                self._metrics.conflicts.inc()
                continue
            if not after:
                self._memory.forget(aor)
                await stored.unlist_aor(tenant, aor)
                return outcome
            self._memory.remember(tenant, aor, data)
            self._memory.settle(aor)
            if not current:
                # Who saw no bindings may have unlisted the AOR in between.
                await stored.list_aor(tenant, aor, after)
            return outcome
        raise TemporaryError("bindings are changed too often")

    def refresh_remembered(
        self, tenant: TenantId, aor: str, wall_s: float, change: Change
    ) -> Accepted | None:
        """Applies a refresh to what this edge remembers, to be written when state answers again.

        Returns:
            None when the change is more than a refresh of remembered bindings: nobody can promise
            it now.
        """
        found = self._memory.recall(aor, wall_s)
        if found is None:
            return None
        outcome = change(found[1])
        if not isinstance(outcome, Accepted) or not outcome.refreshed:
            return None
        if outcome.added or outcome.removed:
            return None
        self._memory.remember(tenant, aor, encode_bindings(outcome.bindings))
        self._memory.owe(aor)
        self._metrics.unwritten.inc()
        return outcome

    def with_owed(self, aor: str, current: Sequence[Binding], wall_s: float) -> Sequence[Binding]:
        """Adds to the bindings read what was promised and is not written yet."""
        if aor not in self._memory.owed:
            return current
        found = self._memory.recall(aor, wall_s)
        return current if found is None else merged(current, found[1]).bindings
