import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from parley.backing.media.grpc import GrpcMediaControl
from parley.backing.media.times import MediaTimes
from parley.mediarelay.app import GrpcFront, RelayService
from parley.mediarelay.settings import MediaRelaySettings
from parley.model.media import MediaEvent
from parley.service.metrics import Registry
from parley.service.settings import PortRange
from parley.testkit.clock import FakeClock

FIRST_PORT = 32580


class RelayProcess:
    """A relay as it would be in a process of its own, on a port that outlives its restarts."""

    def __init__(self, number: int) -> None:
        self.clock = FakeClock()
        self._ports = PortRange(FIRST_PORT + 20 * number, FIRST_PORT + 20 * number + 19)
        self._grpc_port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._grpc_port}"

    async def start(self) -> None:
        settings = MediaRelaySettings.load(
            rtp_ports=self._ports, quarantine_s=0, grpc_port=self._grpc_port, orphan_timeout_s=60
        )
        self.core = RelayService(settings, Registry())
        await self.core.start()
        await self.start_front()

    async def start_front(self) -> None:
        settings = MediaRelaySettings.load(grpc_port=self._grpc_port, orphan_timeout_s=60)
        self.front = GrpcFront(self.core.relay, settings, self.clock)
        await self.front.start()
        self._grpc_port = self.front.port

    async def stop(self) -> None:
        await self.front.aclose()
        await self.core.aclose()


@pytest.fixture
async def relays() -> AsyncIterator[list[RelayProcess]]:
    relays = [RelayProcess(number) for number in range(2)]
    for relay in relays:
        await relay.start()
    yield relays
    for relay in relays:
        await relay.stop()


class Manager:
    """A call manager's side: its media control and the events it was told."""

    def __init__(self, control: GrpcMediaControl) -> None:
        self.control = control
        self.events: asyncio.Queue[MediaEvent] = asyncio.Queue()
        control.on_event(self.events.put_nowait)

    async def next_event(self) -> MediaEvent:
        return await asyncio.wait_for(self.events.get(), 5)


Connect = Callable[..., Awaitable[Manager]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes call managers, each connected to all the relays it names."""
    made: list[GrpcMediaControl] = []

    async def make(
        *addresses: str,
        instance_id: str = "cm-1",
        **times: Any,
    ) -> Manager:
        control = GrpcMediaControl(
            addresses, instance_id, times=MediaTimes(**{"command_s": 3.0, **times})
        )
        made.append(control)
        await control.start()
        async with asyncio.timeout(5):
            await control.wait_all_up()
        return Manager(control)

    yield make
    for control in made:
        await control.aclose()
