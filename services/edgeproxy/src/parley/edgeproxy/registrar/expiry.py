"""The sweep that takes out bindings which ran out and tells of it.

Every edge sweeps; compare-and-set decides who publishes, so an expiry is told once. The work of
one round is bounded: tenants are visited in turn, and each round looks at so many AORs at most.
Being late is harmless, for readers of bindings compare their expiry with the clock themselves.
So after state was away, or forgot, the sweep rests until the edges have written what they owe.
"""

from itertools import islice
from typing import Final

from parley.backing.errors import BackingError
from parley.edgeproxy.registrar.decision import Accepted, expire
from parley.edgeproxy.registrar.events import RegistrationEvents
from parley.edgeproxy.registrar.store import Registrations
from parley.model.ids import TenantId
from parley.service.clock import Clock

AORS_PER_ROUND: Final = 256
TENANTS_PER_ROUND: Final = 64
REST_S: Final = 10.0


class ExpirySweep:
    """Call `run_round` about once a second."""

    def __init__(
        self, registrations: Registrations, events: RegistrationEvents, clock: Clock
    ) -> None:
        self._registrations = registrations
        self._events = events
        self._clock = clock
        self._waiting: list[TenantId] = []
        self._is_away = False
        self._rests_until = float("-inf")

    def rest(self) -> None:
        """Shared state may lack what edges have promised to phones."""
        self._rests_until = self._clock.now() + REST_S

    async def run_round(self) -> int:
        """Looks at some tenants; returns how many bindings ran out.

        Raises:
            BackingUnavailable: shared state did not answer; the next round starts over.
        """
        try:
            return await self._run_round()
        except BackingError:
            self._is_away = True
            raise

    async def _run_round(self) -> int:
        if self._is_away:
            await self._registrations.stored.tenants()
            self._is_away = False
            self.rest()
        if self._clock.now() < self._rests_until:
            return 0
        if not self._waiting:
            self._waiting = await self._registrations.stored.tenants()
        budget = AORS_PER_ROUND
        count = 0
        tenants = list(islice(self._waiting, TENANTS_PER_ROUND))
        found = await self._registrations.stored.due(tenants, self._clock.wall_s(), budget)
        for tenant, aors in zip(tenants, found, strict=True):
            due = aors[:budget]
            for aor in due:
                count += await self._expire(tenant, aor)
            budget -= len(due)
            if budget <= 0:
                return count
            self._waiting.pop(0)
        return count

    async def _expire(self, tenant: TenantId, aor: str) -> int:
        wall_s = self._clock.wall_s()
        outcome = await self._registrations.update(
            tenant,
            aor,
            wall_s,
            lambda current: expire(self._registrations.with_owed(aor, current, wall_s), wall_s),
        )
        if not isinstance(outcome, Accepted):
            return 0
        self._events.publish(tenant, outcome, wall_s)
        await self._registrations.stored.reschedule(tenant, aor, outcome.bindings)
        return len(outcome.expired)
