"""The processes of a cluster: started stage by stage, watched, stopped in order."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import structlog
from tests.cluster.child import Child
from tests.cluster.forks import Nursery
from tests.cluster.plan import ProcessPlan
from tests.cluster.readiness import is_ready
from tests.cluster.servers.errors import ServerFailed

from parley.service.clock import Clock
from parley.service.errors import StartError

_READY_S: Final = 60.0
_POLL_S: Final = 0.05
PRELOAD: Final = "LD_PRELOAD"
_OWN_PREFIXES: Final = ("PARLEY_CLUSTER_", "PARLEY_CACHE")

_logger = structlog.stdlib.get_logger(__name__)


class Processes:
    """All service processes, as one service of the supervisor.

    Attributes:
        plans: what runs, in the order of the start; empty before `start`.
    """

    name = "processes"

    def __init__(
        self,
        make_plans: Callable[[], Sequence[ProcessPlan]],
        nursery: Nursery,
        logs: Path,
        clock: Clock,
    ) -> None:
        """Takes what plans them once the servers' addresses are known, and what forks them."""
        self.plans: Sequence[ProcessPlan] = ()
        self._make_plans = make_plans
        self._logs = logs
        self._clock = clock
        self._children: dict[str, Child] = {}
        self._nursery = nursery
        self._is_started = False

    async def start(self) -> None:
        """Starts every process and waits until each is ready, stage by stage.

        Raises:
            StartError: one ended, or was not ready in time.
        """
        try:
            await asyncio.to_thread(self._nursery.wait_imported)
        except ServerFailed as error:
            raise StartError(str(error)) from error
        self.plans = self._make_plans()
        for _, stage in groupby(self.plans, key=lambda each: each.spec.stage):
            plans = list(stage)
            for each in plans:
                self._spawn(each)
            await asyncio.gather(*(self._wait_ready(each) for each in plans))
        self._is_started = True

    async def drain(self, timeout_s: float) -> None:
        """Stops them in order: those that hang up calls first, accounting last."""
        self._is_started = False
        until = self._clock.now() + timeout_s
        in_order = sorted(self.plans, key=lambda each: each.spec.stops)
        for _, stage in groupby(in_order, key=lambda each: each.spec.stops):
            children = [self._children[each.name] for each in stage if each.name in self._children]
            for child in children:
                child.thaw()
                child.send(signal.SIGTERM)
            for child in children:
                left = max(0.0, until - self._clock.now())
                if not await asyncio.to_thread(child.wait, left):
                    _logger.warning("a process did not end in time", process=child.name)

    async def aclose(self) -> None:
        """Ends what is left."""
        self._is_started = False
        for child in self._children.values():
            child.kill()

    def is_ready(self) -> bool:
        """Says whether all run."""
        return self._is_started and all(child.is_running for child in self._children.values())

    @property
    def is_started(self) -> bool:
        """Says whether all have been started and no stop was asked for."""
        return self._is_started

    def dead(self) -> list[ProcessPlan]:
        """Those that have ended."""
        return [each for each in self.plans if not self._children[each.name].is_running]

    def pid(self, name: str) -> int:
        """Process id; 0 when it has ended."""
        child = self._children.get(name)
        return child.pid if child is not None and child.is_running else 0

    def status(self, name: str) -> int | None:
        """Exit status of one that has ended."""
        return self._children[name].status

    def log(self, name: str) -> Path:
        """Where its output goes."""
        return self._logs / f"{name}.log"

    async def restart(self, name: str, *, is_hung: bool = False) -> None:
        """Stops a process (kills a hung one), starts it again and waits until it is ready.

        Raises:
            KeyError: there is no process of that name.
            StartError: it does not come up.
        """
        plan = next((each for each in self.plans if each.name == name), None)
        if plan is None:
            raise KeyError(name)
        child = self._children[name]
        if is_hung:
            await asyncio.to_thread(child.kill)
        await asyncio.to_thread(child.stop, _READY_S)
        self._spawn(plan)
        await self._wait_ready(plan)

    def _spawn(self, plan: ProcessPlan) -> None:
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(_OWN_PREFIXES)
        }
        # What the user sets for a service wins over what is merely usual in a cluster.
        environment = {"PYTHONUNBUFFERED": "1", **plan.environment, **inherited}
        name, module, log = plan.name, plan.spec.module, self.log(plan.name)
        if PRELOAD in environment:
            # A library to be loaded first cannot be added to a process that runs already.
            argv = [sys.executable, "-m", module]
            child = Child(name, argv, log, env=environment, clock=self._clock)
        else:
            forked = self._nursery.fork(module, environment, log)
            child = Child.of(name, forked, log, self._clock)
        self._children[name] = child

    async def _wait_ready(self, plan: ProcessPlan) -> None:
        child = self._children[plan.name]
        until = self._clock.now() + _READY_S
        while not await is_ready(plan.host, plan.health_port):
            if not child.is_running:
                complaint = f"{plan.name} ended with status {child.status}"
            elif self._clock.now() > until:
                complaint = f"{plan.name} was not ready in {_READY_S:g} s"
            else:
                await asyncio.sleep(_POLL_S)
                continue
            raise StartError(f"{complaint}; log {child.log}, its last lines:\n{child.tail()}")
