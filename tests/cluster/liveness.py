"""Ends and starts again what hangs, as a liveness probe of Kubernetes does."""

import asyncio
from typing import Final

import structlog
from tests.cluster.plan import ProcessPlan
from tests.cluster.processes import Processes
from tests.cluster.readiness import http_status
from tests.cluster.watch import Watch

from parley.service.clock import Clock
from parley.service.errors import StartError
from parley.service.tasks import TaskOwner

_PROBES_PER_LIMIT: Final = 4

_logger = structlog.stdlib.get_logger(__name__)


class Liveness:
    """Asks processes for `/healthz`; one that runs and does not answer in time is killed."""

    name = "liveness"

    def __init__(
        self,
        processes: Processes,
        watch: Watch,
        clock: Clock,
        limit_s: float,
        services: tuple[str, ...],
    ) -> None:
        """Takes whom to ask.

        Args:
            processes: all of the cluster's.
            watch: starts again what was killed.
            clock: for the limit.
            limit_s: silence that is too long.
            services: whose processes are asked; empty: all.
        """
        self._processes = processes
        self._watch = watch
        self._clock = clock
        self._limit_s = limit_s
        self._services = services
        self._tasks = TaskOwner()
        self._is_asking = False

    async def start(self) -> None:
        """Begins to ask."""
        self._is_asking = True
        for plan in self._processes.plans:
            if not self._services or plan.spec.service in self._services:
                self._tasks.spawn(self._ask_for_ever(plan), name=f"liveness of {plan.name}")

    async def drain(self, timeout_s: float) -> None:
        """Stops asking: what ends now was asked to."""
        await self.aclose()

    async def aclose(self) -> None:
        """Stops asking."""
        self._is_asking = False
        await self._tasks.aclose()

    def is_ready(self) -> bool:
        """Says whether it asks."""
        return self._is_asking

    async def _ask_for_ever(self, plan: ProcessPlan) -> None:
        while True:
            await asyncio.sleep(self._limit_s / _PROBES_PER_LIMIT)
            pid = self._processes.pid(plan.name)
            if not pid or self._watch.is_busy(plan.name) or await self._answers(plan):
                continue
            if self._processes.pid(plan.name) == pid and not self._watch.is_busy(plan.name):
                await self._replace(plan.name)

    async def _answers(self, plan: ProcessPlan) -> bool:
        """Whether it answers within the limit, or has ended, which is another's business."""
        try:
            async with asyncio.timeout(self._limit_s):
                await http_status(plan.host, plan.health_port, "/healthz")
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    async def _replace(self, name: str) -> None:
        _logger.warning("a process does not answer and is killed", process=name)
        try:
            await self._watch.restart(name, is_hung=True)
        except StartError as error:
            _logger.warning("a part of the cluster did not come back", part=name, reason=str(error))
