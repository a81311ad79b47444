"""The bindings in shared state, in this service's words.

`reg:{<user>@<domain>}` holds the bindings of one AOR as JSON, replaced by compare-and-set, so
that edges never undo each other. `registrations:{<tenant>}` is the index of a tenant's AORs,
scored by when something there may expire. The score is a hint, written only when it would become
earlier, and before the bindings: a refresh costs one read and one write, an edge that dies between
the two leaves no binding that nobody lists, and the sweep corrects a hint that came too early.
`registrations:{*}` lists the tenants that have an index.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from parley.backing.state.base import State, in_one_turn
from parley.backing.state.keys import LISTED_TENANTS_KEY, binding_key, registrations_key
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.registrar.binding_memory import BindingMemory, merged
from parley.edgeproxy.registrar.decision import Accepted
from parley.edgeproxy.registrar.register_request import Refused
from parley.model.errors import TemporaryError
from parley.model.ids import TenantId
from parley.model.registration import Binding

MAX_ATTEMPTS: Final = 8
GRACE_S: Final = 600.0
"""How long bindings outlive their expiry in state, for the sweep to tell of it."""

Change = Callable[[Sequence[Binding]], Accepted | Refused]

_decode = msgspec.json.Decoder(list[Binding]).decode
_encode = msgspec.json.Encoder().encode


class Registrations:
    """All bindings of all tenants."""

    def __init__(self, state: State, metrics: EdgeMetrics, memory: BindingMemory) -> None:
        self._state = state
        self._metrics = metrics
        self._memory = memory
        self._listed_tenants: set[TenantId] = set()

    async def update(
        self, tenant: TenantId, aor: str, wall_s: float, change: Change
    ) -> Accepted | Refused:
        """Applies a pure change to the bindings of an AOR, again when another edge was faster.

        Raises:
            TemporaryError: others were faster every time.
            BackingUnavailable: shared state did not answer.
        """
        key = binding_key(aor)
        is_listed = False
        for _ in range(MAX_ATTEMPTS):
            found = await self._state.get_versioned(key)
            current: list[Binding] = [] if found is None else _read(found.value)
            outcome = change(current)
            if not isinstance(outcome, Accepted) or not outcome.is_changed:
                return outcome
            after = outcome.bindings
            if after and (is_listed or _is_earlier(after, current)):
                await self._list(tenant, aor, _next_expiry(after))
                is_listed = True
            version = 0 if found is None else found.version
            if await self._write(tenant, aor, after, version, wall_s):
                if not after:
                    await self._unlist(tenant, aor)
                elif not current:
                    # Who saw no bindings may have unlisted the AOR in between.
                    await self._list(tenant, aor, _next_expiry(after))
                return outcome
            self._metrics.conflicts.inc()
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
        self._memory.remember(tenant, aor, _encode(outcome.bindings))
        self._memory.owe(aor)
        self._metrics.unwritten.inc()
        return outcome

    def with_owed(self, aor: str, current: Sequence[Binding], wall_s: float) -> Sequence[Binding]:
        """Adds to the bindings read what was promised and is not written yet."""
        if aor not in self._memory.owed:
            return current
        found = self._memory.recall(aor, wall_s)
        return current if found is None else merged(current, found[1]).bindings

    async def load(self, aor: str) -> list[Binding]:
        """Reads the bindings of an AOR, expired ones included."""
        data = await self._state.get(binding_key(aor))
        return [] if data is None else _read(data)

    async def tenants(self) -> list[TenantId]:
        """Lists tenants that may have registrations."""
        return [TenantId(name) for name, _ in await self._state.set_range(LISTED_TENANTS_KEY)]

    async def due(self, tenants: Sequence[TenantId], wall_s: float, limit: int) -> list[list[str]]:
        """Lists for each tenant AORs in which something may have expired, the oldest first."""
        found = await in_one_turn(
            *[self._state.set_range(registrations_key(tenant), wall_s, limit) for tenant in tenants]
        )
        return [[aor for aor, _ in one] for one in found]

    async def reschedule(self, tenant: TenantId, aor: str, bindings: Sequence[Binding]) -> None:
        """Corrects an AOR's place in the index after the sweep looked at it."""
        if bindings:
            await self._state.set_add(registrations_key(tenant), aor, _next_expiry(bindings))
        else:
            await self._unlist(tenant, aor)

    def forget_lists(self) -> None:
        """Forgets which tenants were listed: shared state may have forgotten it, too."""
        self._listed_tenants.clear()

    async def _write(
        self,
        tenant: TenantId,
        aor: str,
        bindings: Sequence[Binding],
        version: int,
        wall_s: float,
    ) -> bool:
        # No bindings left: a time to live of 0 removes the key, under the same compare-and-set.
        last = max([one.expires_at for one in bindings], default=0.0)
        ttl_s = last - wall_s + GRACE_S if bindings else 0.0
        data = _encode(bindings)
        if await self._state.put_if_version(binding_key(aor), data, version, ttl_s) is None:
            return False
        if bindings:
            self._memory.remember(tenant, aor, data)
            self._memory.settle(aor)
        else:
            self._memory.forget(aor)
        return True

    async def _list(self, tenant: TenantId, aor: str, due_s: float) -> None:
        await self._state.set_add(registrations_key(tenant), aor, due_s)
        if tenant not in self._listed_tenants:
            await self._state.set_add(LISTED_TENANTS_KEY, tenant, 0.0)
            self._listed_tenants.add(tenant)

    async def _unlist(self, tenant: TenantId, aor: str) -> None:
        await self._state.set_remove(registrations_key(tenant), aor)
        # A REGISTER may have come between the write and the removal: then the AOR belongs there.
        bindings = await self.load(aor)
        if bindings:
            await self._list(tenant, aor, _next_expiry(bindings))


def _next_expiry(bindings: Sequence[Binding]) -> float:
    return min([one.expires_at for one in bindings])


def _is_earlier(bindings: Sequence[Binding], than: Sequence[Binding]) -> bool:
    return not than or _next_expiry(bindings) < _next_expiry(than)


def _read(data: bytes) -> list[Binding]:
    try:
        return _decode(data)
    except msgspec.MsgspecError:
        # Unreadable bindings are of no use to anyone; phones register again.
        return []
