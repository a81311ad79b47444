"""Writes cached bindings that shared state forgot, or could not take: retries, paced."""

from asyncio import Event, sleep, timeout
from typing import Final

import structlog

from parley.backing.errors import BackingError
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.registrar.binding_memory import BindingMemory, merged
from parley.edgeproxy.registrar.decision import Accepted
from parley.edgeproxy.registrar.store import Registrations
from parley.model.errors import DomainError
from parley.service.clock import Clock

BATCH: Final = 50
PAUSE_S: Final = 0.05
RETRY_S: Final = 1.0
OPERATION_TIMEOUT_S: Final = 5.0

_logger = structlog.stdlib.get_logger(__name__)


class BindingRepair:
    """Run `run` and `pay` as tasks; `begin` is the state's callback."""

    def __init__(
        self,
        memory: BindingMemory,
        registrations: Registrations,
        clock: Clock,
        metrics: EdgeMetrics,
    ) -> None:
        self._memory = memory
        self._registrations = registrations
        self._clock = clock
        self._metrics = metrics
        self._due = Event()

    def begin(self) -> None:
        """Asks for a round; one that runs starts over when it is through."""
        self._registrations.stored.forget_lists()
        self._due.set()

    async def run(self) -> None:
        """Does a round each time one is asked for."""
        while True:
            await self._due.wait()
            self._due.clear()
            _logger.warning("shared state may have lost bindings", aors=len(self._memory))
            repaired = await self.run_round()
            _logger.info("bindings looked through", written_again=repaired)

    async def pay(self) -> None:
        """Writes what was promised while state was away, as soon as it answers; for ever."""
        memory = self._memory
        while True:
            await memory.is_owing.wait()
            aor = next(iter(memory.owed))
            if await self._repair_until_done(aor):
                _logger.debug("promised binding written", aor=aor)
            memory.settle(aor)

    async def run_round(self) -> int:
        """Looks at every remembered AOR; returns how many were written again."""
        repaired = 0
        for number, aor in enumerate(self._memory.aors(), 1):
            repaired += await self._repair_until_done(aor)
            if number % BATCH == 0:
                await sleep(PAUSE_S)
        return repaired

    async def _repair_until_done(self, aor: str) -> bool:
        while True:
            try:
                async with timeout(OPERATION_TIMEOUT_S):
                    return await self._repair(aor)
            except DomainError:
                return False  # others write this AOR all the time: it is not forgotten
            except (BackingError, TimeoutError):
                self._metrics.state_errors.inc()
                await sleep(RETRY_S)

    async def _repair(self, aor: str) -> bool:
        wall_s = self._clock.wall_s()
        found = self._memory.recall(aor, wall_s)
        if found is None:
            return False
        tenant, remembered = found
        outcome = await self._registrations.update(
            tenant, aor, wall_s, lambda current: merged(current, remembered)
        )
        if not isinstance(outcome, Accepted) or not outcome.is_changed:
            return False
        await self._registrations.stored.reschedule(tenant, aor, outcome.bindings)
        self._metrics.repaired.inc()
        return True
