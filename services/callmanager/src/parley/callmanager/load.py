"""Tells edges each second how busy this instance is (seams, section 9)."""

import asyncio
import time
from typing import Final

import structlog

from parley.backing.errors import BackingError
from parley.backing.state.base import State
from parley.backing.state.loads import callmanager_loads
from parley.callmanager.calls import Calls
from parley.model.ids import InstanceId
from parley.model.load import Load
from parley.service.clock import Clock
from parley.sip.hop import Hop

TIMEOUT_S: Final = 2.0

_logger = structlog.stdlib.get_logger(__name__)


class LoadReporter:
    """Publishes this instance's load; takes the report back when it closes."""

    def __init__(
        self, state: State, calls: Calls, clock: Clock, instance: InstanceId, interval_s: float
    ) -> None:
        self._loads = callmanager_loads(state)
        self._calls = calls
        self._clock = clock
        self._instance = instance
        self._interval_s = interval_s
        self._hop: Hop | None = None
        self._last_cpu_s = time.process_time()
        self._last_at = clock.now()
        self.is_draining = False

    async def start(self, hop: Hop) -> None:
        """Publishes the first report, so that edges find us at once.

        Raises:
            BackingError: shared state did not take it.
        """
        self._hop = hop
        await self.report()

    async def run(self) -> None:
        """Reports for ever."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.try_report()

    async def try_report(self) -> None:
        """Publishes one report if shared state takes it; edges notice when reports stop."""
        try:
            await self.report()
        except (BackingError, TimeoutError) as error:
            _logger.warning("load not reported", reason=repr(error))

    async def report(self) -> None:
        """Publishes one report."""
        hop = self._hop
        if hop is None:
            return
        load = Load(
            instance=self._instance,
            address=(hop.transport, hop.host, hop.port),
            calls=len(self._calls),
            cpu=self._cpu(),
            at=self._clock.wall_s(),
            draining=self.is_draining,
        )
        async with asyncio.timeout(TIMEOUT_S):
            await self._loads.publish(load)

    async def aclose(self) -> None:
        """Takes the report back."""
        if self._hop is None:
            return
        self._hop = None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._loads.withdraw(self._instance)
        except (BackingError, TimeoutError) as error:
            _logger.warning("load report stays until it is stale", reason=repr(error))

    def _cpu(self) -> float:
        """Share of one core since the last report."""
        cpu_s, at = time.process_time(), self._clock.now()
        passed_s = at - self._last_at
        share = (cpu_s - self._last_cpu_s) / passed_s if passed_s > 0 else 0.0
        self._last_cpu_s, self._last_at = cpu_s, at
        return round(min(1.0, max(0.0, share)), 3)
