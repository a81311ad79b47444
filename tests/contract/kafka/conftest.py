"""A broker that tests may kill, and processes that use it."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from tests.cluster.servers.kafka import KafkaServer

from parley.backing.bus.kafka import KafkaBus
from parley.backing.journal import Journal
from parley.service.clock import SystemClock
from parley.service.metrics import Metrics, Registry
from parley.testkit.contracts.arms import settled

from .bus_process import options

WAIT_S = 30.0

Open = Callable[..., Awaitable[KafkaBus]]
Spawn = Callable[..., Awaitable["Child"]]


@pytest.fixture
def broker(kafka_server: KafkaServer) -> Iterator[KafkaServer]:
    """The broker, which runs again after the test whatever that did to it."""
    yield kafka_server
    if kafka_server.is_running:
        kafka_server.thaw()
    kafka_server.start()


@pytest.fixture
def prefix() -> str:
    return f"{uuid4().hex[:8]}-"


@pytest.fixture
async def open_bus(broker: KafkaServer, prefix: str, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens the bus as a process of its own would; the same name has the same data folder."""
    opened: list[KafkaBus] = []

    async def open_(
        name: str = "own", metrics: Metrics | None = None, **others: object
    ) -> KafkaBus:
        journal = Journal(tmp_path / name, "bus")
        chosen = options(broker.bootstrap, prefix, **others)
        bus = KafkaBus(SystemClock(), chosen, journal, metrics or Metrics(Registry(), "backing"))
        opened.append(bus)
        await bus.start()
        return bus

    yield open_
    await asyncio.gather(*(bus.aclose() for bus in opened))


class Child:
    """A process of `bus_process.py`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.lines: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.lines.append(line.decode().strip())

    @property
    def got(self) -> list[bytes]:
        """Values that its handler has finished."""
        return [line.removeprefix("got ").encode() for line in self.lines if line[:4] == "got "]

    async def tells(self, line: str, times: int = 1) -> None:
        await settled(lambda: self.lines.count(line) >= times, WAIT_S)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reader


@pytest.fixture
async def spawn(broker: KafkaServer, prefix: str, tmp_path: Path) -> AsyncIterator[Spawn]:
    children: list[Child] = []

    async def spawn_(mode: str, folder: str, number: float) -> Child:
        script = str(Path(__file__).with_name("bus_process.py"))
        where = (broker.bootstrap, prefix, str(tmp_path / folder), str(number))
        process = await asyncio.create_subprocess_exec(
            sys.executable, script, mode, *where, stdout=PIPE
        )
        children.append(Child(process))
        return children[-1]

    yield spawn_
    for child in children:
        await child.kill()
