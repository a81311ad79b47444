"""Makes the relay known: its registration in discovery and a load report every second.

Only with `PARLEY_MEDIARELAY_ANNOUNCE`; relays that call managers are told by hand need neither
discovery nor shared state. Both may be away at any time, also at the start: it is tried again, and
the relay serves whoever knows it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from typing import Final

import structlog

from parley.backing.discovery.base import Discovery, Instance, InstanceState, Registration
from parley.backing.errors import BackingError
from parley.backing.state.base import State
from parley.backing.state.loads import relay_loads
from parley.model.relay_load import RELAY_SERVICE, RelayLoad
from parley.service.clock import Clock
from parley.service.errors import StartError
from parley.service.tasks import TaskOwner

REPORT_INTERVAL_S: Final = 1.0
REPORT_TIMEOUT_S: Final = 1.0
CONNECT_TIMEOUT_S: Final = 10.0
RETRY_S: Final = 0.5
LEFT_BEHIND_S: Final = 600.0
"""Age after which a report is what a killed relay left behind, and is removed."""
_VERSION: Final = version("parley-mediarelay")

_AWAY = (BackingError, TimeoutError, StartError, OSError)
_logger = structlog.stdlib.get_logger(__name__)


class Announcer:
    """Registers one relay and reports its load; owns the two ports it does that with."""

    name = "media relay announcer"

    def __init__(
        self,
        discovery: Discovery,
        state: State,
        clock: Clock,
        report: Callable[[], RelayLoad],
        *,
        interval_s: float = REPORT_INTERVAL_S,
    ) -> None:
        """Prepares; `start` begins to announce.

        Args:
            discovery: where to register; opened and closed here.
            state: where to report; opened and closed here.
            clock: for the age of what others left behind.
            report: says how the relay is now.
            interval_s: between two reports.
        """
        self._discovery = discovery
        self._state = state
        self._loads = relay_loads(state)
        self._clock = clock
        self._report = report
        self._interval_s = interval_s
        self._is_draining = False
        self._registration: Registration | None = None
        self._has_discovery = False
        self._has_state = False
        self._tasks = TaskOwner()

    async def start(self) -> None:
        """Begins to announce the relay, in the background."""
        self._tasks.spawn(self._register(), name="media relay registration")
        self._tasks.spawn(self._report_for_ever(), name="media relay load reports")

    async def drain(self, timeout_s: float) -> None:
        """Says that the relay takes no new session."""
        self._is_draining = True
        with suppress(*_AWAY):
            async with asyncio.timeout(min(timeout_s, REPORT_TIMEOUT_S)):
                await self._tell_state()
                await self._publish()

    async def aclose(self) -> None:
        """Takes registration and report back; may be repeated."""
        await self._tasks.aclose()
        registration, self._registration = self._registration, None
        with suppress(*_AWAY):
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                if registration is not None:
                    await registration.aclose()
        has_state, self._has_state = self._has_state, False
        with suppress(*_AWAY):
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                if has_state:
                    await self._loads.withdraw(self._report().instance)
        for port in (self._discovery, self._state):
            with suppress(*_AWAY):
                async with asyncio.timeout(REPORT_TIMEOUT_S):
                    await port.aclose()

    def is_ready(self) -> bool:
        """Always: a relay that nobody has heard of yet still serves."""
        return True

    def has_others(self) -> bool:
        """Whether another relay could take the sessions of this one."""
        if self._registration is None:
            return False
        own = self._report().instance
        return any(
            one.id != own and one.state is InstanceState.READY
            for one in self._discovery.instances(RELAY_SERVICE)
        )

    # --- discovery -------------------------------------------------------------------------

    async def _register(self) -> None:
        while self._registration is None:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    if not self._has_discovery:
                        await self._discovery.start()
                        self._has_discovery = True
                    load = self._report()
                    self._registration = await self._discovery.register(
                        Instance(
                            service=RELAY_SERVICE,
                            id=load.instance,
                            address=load.address,
                            zone=load.zone,
                            version=_VERSION,
                        )
                    )
            except _AWAY as error:
                _logger.warning("media relay not registered yet", reason=repr(error))
                await asyncio.sleep(RETRY_S)
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    return await self._tell_state()
            except _AWAY as error:
                _logger.warning("media relay not announced as ready yet", reason=repr(error))
                await asyncio.sleep(RETRY_S)

    async def _tell_state(self) -> None:
        if self._registration is not None:
            state = InstanceState.DRAINING if self._is_draining else InstanceState.READY
            await self._registration.update(state=state)

    # --- load ------------------------------------------------------------------------------

    async def _report_for_ever(self) -> None:
        is_away = False
        while True:
            try:
                if not self._has_state:
                    await self._open_state()
                async with asyncio.timeout(REPORT_TIMEOUT_S):
                    await self._publish()
                is_away = False
            except _AWAY as error:
                if not is_away:
                    _logger.warning("load not reported", reason=repr(error))
                is_away = True
            await asyncio.sleep(self._interval_s)

    async def _open_state(self) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await self._state.start()
        self._has_state = True
        async with asyncio.timeout(REPORT_TIMEOUT_S):
            # What relays left behind when they were killed.
            await self._loads.remove_older(self._clock.wall_s() - LEFT_BEHIND_S)

    async def _publish(self) -> None:
        if self._has_state:
            await self._loads.publish(self._report())
