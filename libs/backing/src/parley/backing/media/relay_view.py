"""The relays as discovery and their load reports show them; the last view stays when both are away.

Discovery says which relays there are, the reports how much each of them holds. Neither decides
whether a relay lives: the stream to it does (`link.py`).
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import structlog

from parley.backing.discovery.base import Discovery, Instance, InstanceState, Watch
from parley.backing.errors import BackingError
from parley.backing.state.base import State
from parley.backing.state.loads import relay_loads
from parley.model.relay_load import RELAY_SERVICE, RelayLoad

READ_TIMEOUT_S: Final = 1.0
DEFAULT_CAPACITY: Final = 2_500
"""Sessions that a relay with the default range of ports can hold."""

_logger = structlog.stdlib.get_logger(__name__)


class RelayView:
    """What is known of the relays, by their addresses."""

    def __init__(self, discovery: Discovery, state: State) -> None:
        """Prepares; both ports belong to someone else.

        Args:
            discovery: where relays register.
            state: where they report their load.
        """
        self._discovery = discovery
        self._loads = relay_loads(state)
        self._instances: dict[str, Instance] = {}
        self._reports: dict[str, RelayLoad] = {}
        self._watch: Watch | None = None
        self._is_away = False

    @property
    def addresses(self) -> Collection[str]:
        """The gRPC `host:port` of every relay that is registered."""
        return self._instances.keys()

    def start(self, on_change: Callable[[], None]) -> None:
        """Begins to follow discovery; `on_change` is called at once and after every change."""

        def take(instances: Collection[Instance]) -> None:
            self._instances = {one.address: one for one in instances}
            on_change()

        self._watch = self._discovery.watch(RELAY_SERVICE, take)

    def close(self) -> None:
        """Stops to follow discovery."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    async def refresh(self) -> None:
        """Reads the load reports; what was read before stays valid when that fails."""
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                reports = await self._loads.read()
        except (BackingError, TimeoutError) as error:
            if not self._is_away:
                _logger.warning("load of the media relays not read", reason=repr(error))
            self._is_away = True
            return
        self._is_away = False
        newest: dict[str, RelayLoad] = {}
        for load in reports.values():
            if load.address not in newest or newest[load.address].at < load.at:
                newest[load.address] = load
        self._reports = newest

    def is_listed(self, address: str) -> bool:
        """Whether a relay is registered there."""
        return address in self._instances

    def is_draining(self, address: str) -> bool:
        """Whether the relay says that it takes no new session."""
        instance, report = self._instances.get(address), self._reports.get(address)
        if instance is not None and instance.state is InstanceState.DRAINING:
            return True
        return report is not None and report.draining and self._is_of(report, instance)

    def zone(self, address: str) -> str:
        """Where the relay runs; empty when unknown."""
        instance, report = self._instances.get(address), self._reports.get(address)
        if instance is not None:
            return instance.zone
        return "" if report is None else report.zone

    def capacity(self, address: str) -> int:
        """Sessions that the relay can hold."""
        report = self._reports.get(address)
        return DEFAULT_CAPACITY if report is None else max(1, report.capacity)

    def sessions(self, address: str) -> int:
        """Sessions that the relay reported; 0 when it did not."""
        report = self._reports.get(address)
        return 0 if report is None else report.sessions

    @staticmethod
    def _is_of(report: RelayLoad, instance: Instance | None) -> bool:
        """A report of an earlier run at the same address says nothing of the present one."""
        return instance is None or report.instance == instance.id
