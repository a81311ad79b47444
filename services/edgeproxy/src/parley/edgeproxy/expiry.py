"""The sweep that takes out bindings which ran out and tells of it.

Every edge sweeps; compare-and-set decides who publishes, so an expiry is told once. The work of
one round is bounded: tenants are visited in turn, and each round looks at so many AORs at most.
Being late is harmless, for readers of bindings compare their expiry with the clock themselves.
"""

from itertools import islice
from typing import Final

from parley.edgeproxy.events import RegistrationEvents
from parley.edgeproxy.registrar import Accepted, expire
from parley.edgeproxy.store import Registrations
from parley.model.ids import TenantId
from parley.service.clock import Clock

AORS_PER_ROUND: Final = 256
TENANTS_PER_ROUND: Final = 64


class ExpirySweep:
    """Call `run_round` about once a second."""

    def __init__(
        self, registrations: Registrations, events: RegistrationEvents, clock: Clock
    ) -> None:
        self._registrations = registrations
        self._events = events
        self._clock = clock
        self._waiting: list[TenantId] = []

    async def run_round(self) -> int:
        """Looks at some tenants; returns how many bindings ran out.

        Raises:
            BackingUnavailable: shared state did not answer; the next round starts over.
        """
        if not self._waiting:
            self._waiting = await self._registrations.tenants()
        budget = AORS_PER_ROUND
        count = 0
        for tenant in list(islice(self._waiting, TENANTS_PER_ROUND)):
            due = await self._registrations.due(tenant, self._clock.wall_s(), budget)
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
            tenant, aor, wall_s, lambda current: expire(current, wall_s)
        )
        if not isinstance(outcome, Accepted):
            return 0
        self._events.publish(tenant, outcome)
        await self._registrations.reschedule(tenant, aor, outcome.bindings)
        return len(outcome.expired)
