"""What only the bus on Kafka has to do: outages, deaths, rebalances, refusals."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka.admin import (  # type: ignore[import-untyped]  # the library has no types
    AIOKafkaAdminClient,
    NewTopic,
)

from parley.backing.bus.base import Record
from parley.backing.bus.kafka import KafkaBus
from parley.backing.errors import BackingError, BackingUnavailable, BusFull
from parley.backing.journal import Journal
from parley.cluster.servers.kafka import KafkaServer
from parley.service.clock import SystemClock
from parley.service.metrics import Metrics, Registry
from parley.testkit.contracts.arms import settled
from parley.testkit.contracts.bus import Sink

from .bus_process import GROUP, TOPIC, options

pytestmark = pytest.mark.timeout(60)

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
        bus = KafkaBus(SystemClock(), chosen, journal, metrics)
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


def _firsts(records: Sequence[Record], key: str) -> list[bytes]:
    """Values of a key in the order in which each came first."""
    return list(dict.fromkeys(record.value for record in records if record.key == key))


def _expected(numbers: range, key: int) -> list[bytes]:
    return [b"%d" % n for n in numbers if n % 5 == key]


def _are_all_there(sink: Sink, numbers: range) -> bool:
    return set(sink.values) >= {b"%d" % n for n in numbers}


async def test_a_broker_that_is_killed_and_comes_back_loses_nothing(
    broker: KafkaServer, open_bus: Open
) -> None:
    bus = await open_bus()
    sink = Sink()
    bus.subscribe(TOPIC, GROUP, sink)
    bus.publish(TOPIC, "k0", b"0")
    await sink.has(1)
    waited: list[asyncio.Task[None]] = []
    for n in range(1, 600):
        if n == 200:
            await asyncio.to_thread(broker.kill)
        if n == 400:
            await asyncio.to_thread(broker.start)
        if n % 100 == 50:
            send = bus.publish_and_wait(TOPIC, f"k{n % 5}", b"%d" % n)
            waited.append(asyncio.create_task(send))
            await asyncio.sleep(0)
        else:
            bus.publish(TOPIC, f"k{n % 5}", b"%d" % n)
        await asyncio.sleep(0.002)
    await asyncio.gather(*waited)
    await settled(lambda: _are_all_there(sink, range(600)), WAIT_S)
    for key in range(5):
        assert _firsts(sink.records, f"k{key}") == _expected(range(600), key)


async def test_a_frozen_broker_delays_nobody_and_the_queue_stays_bounded(
    broker: KafkaServer, open_bus: Open
) -> None:
    bus = await open_bus(queue_records=500, publish_s=0.5)
    sink = Sink()
    bus.subscribe(TOPIC, GROUP, sink)
    await bus.publish_and_wait(TOPIC, "k0", b"first")
    await sink.has(1)
    broker.freeze()
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(BackingUnavailable):
        await bus.publish_and_wait(TOPIC, "waited", b"waited")
    assert loop.time() - started < 1.5
    accepted = 0
    started = loop.time()
    with pytest.raises(BusFull):
        for n in range(1000):
            bus.publish(TOPIC, f"k{n % 5}", b"%d" % n)
            accepted += 1
    assert loop.time() - started < 0.5
    assert bus.queued == accepted == 500
    await settled(lambda: not bus.is_connected)
    broker.thaw()
    await settled(lambda: _are_all_there(sink, range(accepted)), WAIT_S)
    for key in range(1, 5):
        assert _firsts(sink.records, f"k{key}") == _expected(range(accepted), key)
    await settled(lambda: not bus.queued)
    assert bus.is_connected


async def test_what_was_queued_outlives_the_process(
    broker: KafkaServer, open_bus: Open, spawn: Spawn
) -> None:
    await asyncio.to_thread(broker.kill)
    child = await spawn("publish", "shared", 50)
    await child.tells("queued")
    await child.kill()
    await asyncio.to_thread(broker.start)
    bus = await open_bus("shared")
    sink = Sink()
    bus.subscribe(TOPIC, GROUP, sink)
    bus.publish(TOPIC, "k0", b"50")
    await settled(lambda: _are_all_there(sink, range(51)), WAIT_S)
    for key in range(5):
        assert _firsts(sink.records, f"k{key}") == _expected(range(51), key)


async def test_an_acknowledged_record_is_not_sent_again_by_the_next_run(open_bus: Open) -> None:
    bus = await open_bus("same")
    for n in range(20):
        bus.publish(TOPIC, f"k{n}", b"%d" % n)
    await settled(lambda: not bus.queued, WAIT_S)
    await bus.aclose()
    bus = await open_bus("same")
    assert bus.queued == 0


async def test_a_bus_that_starts_without_brokers_takes_events_and_shows_it(
    broker: KafkaServer, open_bus: Open
) -> None:
    registry = Registry()
    await asyncio.to_thread(broker.kill)
    bus = await open_bus(metrics=Metrics(registry, "test"), start_s=0.2)
    sink = Sink()
    subscription = bus.subscribe(TOPIC, GROUP, sink)
    bus.publish(TOPIC, "k", b"1")
    assert subscription.lag == 0 and not bus.is_connected
    assert registry.value("parley_test_bus_connected") == 0.0
    assert registry.value("parley_test_bus_queue_records") == 1.0
    assert registry.value("parley_test_bus_queue_bytes") > 0.0
    await asyncio.to_thread(broker.start)
    await settled(lambda: sink.values == [b"1"], WAIT_S)
    assert registry.value("parley_test_bus_connected") == 1.0
    await settled(lambda: registry.value("parley_test_bus_queue_records") == 0.0)


async def test_a_member_that_dies_is_replaced_and_what_it_committed_does_not_come_again(
    open_bus: Open, spawn: Spawn
) -> None:
    bus = await open_bus()
    child = await spawn("consume", "child", 0.0)
    sink = Sink()
    bus.subscribe(TOPIC, GROUP, sink)
    published = 0
    # Until both have partitions.
    while not (child.got and sink.records):
        for n in range(published, published + 20):
            bus.publish(TOPIC, f"k{n}", b"%d" % n)
        published += 20
        await settled(lambda: len(child.got) + len(sink.records) >= published, WAIT_S)  # noqa: B023 - awaited here
    for n in range(published, published + 20):
        bus.publish(TOPIC, f"k{n}", b"%d" % n)
    published += 20
    await settled(lambda: len(child.got) + len(sink.records) >= published, WAIT_S)
    await settled(lambda: child.lines[-1] == "idle", WAIT_S)
    await child.kill()
    for n in range(published, published + 20):
        bus.publish(TOPIC, f"k{n}", b"%d" % n)
    rest = range(published, published + 20)
    await settled(lambda: _are_all_there(sink, rest), WAIT_S)
    assert sorted(child.got + sink.values) == sorted(b"%d" % n for n in range(published + 20))


async def test_a_member_that_lost_its_partitions_commits_nothing(
    open_bus: Open, spawn: Spawn
) -> None:
    bus = await open_bus()
    child = await spawn("consume", "child", 1.0)
    for value in (b"1", b"slow", b"2"):
        await bus.publish_and_wait(TOPIC, "k", value)
    await child.tells("slow")
    child.send(signal.SIGSTOP)
    # Its session ends; another takes the partitions over and goes on behind the slow record.
    sink = Sink()
    subscription = bus.subscribe(TOPIC, GROUP, sink)
    await settled(lambda: sink.values[-2:] == [b"slow", b"2"], WAIT_S)
    await bus.publish_and_wait(TOPIC, "k", b"3")
    await settled(lambda: sink.values[-1:] == [b"3"] and subscription.lag == 0, WAIT_S)
    before = list(sink.values)
    child.send(signal.SIGCONT)
    await settled(lambda: b"slow" in child.got, WAIT_S)
    # It joins again, so partitions are dealt anew: had it committed, 3 would come once more.
    for n in range(40):
        await bus.publish_and_wait(TOPIC, f"other{n}", b"last")
    await settled(lambda: (sink.values + child.got).count(b"last") >= 40, WAIT_S)
    await subscription.aclose()
    assert [value for value in sink.values if value != b"last"] == before
    assert b"3" not in child.got and child.got.count(b"slow") == 1


async def test_partitions_are_given_up_after_the_handler_has_returned(open_bus: Open) -> None:
    bus = await open_bus()
    entered, gate = asyncio.Event(), asyncio.Event()
    seen: list[tuple[str, bytes]] = []

    async def slow(records: Sequence[Record]) -> None:
        entered.set()
        await gate.wait()
        seen.extend(("slow", record.value) for record in records)

    async def fast(records: Sequence[Record]) -> None:
        seen.extend(("fast", record.value) for record in records)

    first = bus.subscribe(TOPIC, GROUP, slow)
    for n in range(20):
        await bus.publish_and_wait(TOPIC, f"k{n}", b"%d" % n)
    await asyncio.wait_for(entered.wait(), WAIT_S)
    bus.subscribe(TOPIC, GROUP, fast)
    await settled(lambda: first._is_revoked, WAIT_S)  # type: ignore[attr-defined]  # it is asked to
    assert not seen
    gate.set()
    await settled(lambda: len(seen) >= 20, WAIT_S)
    assert sorted(value for _, value in seen) == sorted(b"%d" % n for n in range(20))


async def test_a_handler_that_holds_partitions_too_long_is_cancelled(open_bus: Open) -> None:
    bus = await open_bus(drain_s=0.3)
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def stuck(_records: Sequence[Record]) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    first = bus.subscribe(TOPIC, GROUP, stuck)
    await bus.publish_and_wait(TOPIC, "k", b"1")
    await asyncio.wait_for(entered.wait(), WAIT_S)
    sink = Sink()
    bus.subscribe(TOPIC, GROUP, sink)
    await asyncio.wait_for(cancelled.wait(), WAIT_S)
    await first.aclose()
    await sink.has(1)
    assert sink.values == [b"1"]


async def test_a_producer_that_the_brokers_do_not_follow_any_more_is_replaced(
    open_bus: Open,
) -> None:
    bus = await open_bus(partitions=1)
    sink = Sink()
    bus.subscribe(TOPIC, GROUP, sink)
    await bus.publish_and_wait(TOPIC, "k", b"0")
    producer = bus._publisher._producer
    sequences = producer._txn_manager._sequence_numbers
    for partition in sequences:
        sequences[partition] += 7  # the brokers expect another number
    for n in range(1, 10):
        bus.publish(TOPIC, "k", b"%d" % n)
    await bus.publish_and_wait(TOPIC, "k", b"10")
    assert bus._publisher._producer is not producer
    await settled(lambda: _are_all_there(sink, range(11)), WAIT_S)
    assert _firsts(sink.records, "k") == [b"%d" % n for n in range(11)]


async def test_a_batch_that_is_never_acknowledged_gets_a_new_producer(
    broker: KafkaServer, open_bus: Open
) -> None:
    bus = await open_bus(renew_s=1.0)
    await bus.publish_and_wait(TOPIC, "k", b"0")
    producer = bus._publisher._producer
    broker.freeze()
    bus.publish(TOPIC, "k", b"1")
    await settled(lambda: bus._publisher._producer is not producer, WAIT_S)
    broker.thaw()
    sink = Sink()
    bus.subscribe(TOPIC, GROUP, sink)
    await settled(lambda: _firsts(sink.records, "k") == [b"0", b"1"], WAIT_S)


async def test_a_record_that_the_brokers_refuse_harms_no_other(
    broker: KafkaServer, open_bus: Open, prefix: str
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    small = {"max.message.bytes": "2000"}
    await admin.create_topics([NewTopic(prefix + TOPIC, 1, 1, topic_configs=small)])
    await admin.close()
    bus = await open_bus()
    for n in range(3):
        bus.publish(TOPIC, "k", b"%d" % n)
    refused = asyncio.create_task(bus.publish_and_wait(TOPIC, "k", b"x" * 3000))
    await asyncio.sleep(0)
    bus.publish(TOPIC, "k", b"x" * 4000)
    for n in range(3, 6):
        bus.publish(TOPIC, "k", b"%d" % n)
    with pytest.raises(BackingError, match="refuses"):
        await refused
    sink = Sink()
    bus.subscribe(TOPIC, GROUP, sink)
    await settled(lambda: _are_all_there(sink, range(6)), WAIT_S)
    assert _firsts(sink.records, "k") == [b"%d" % n for n in range(6)]
    await settled(lambda: not bus.queued)


async def test_bad_names_and_values_are_refused_at_once(open_bus: Open) -> None:
    bus = await open_bus()
    with pytest.raises(ValueError, match="no name of a topic"):
        bus.publish("two words", "k", b"x")
    with pytest.raises(ValueError, match="too large"):
        bus.publish(TOPIC, "k", b"x" * (1024 * 1024 + 1))
    with pytest.raises(ValueError, match="no name of a topic or group"):
        bus.subscribe(TOPIC, "a/b", Sink())
    await bus.publish_and_wait(TOPIC, "k", b"x" * 1024 * 1024)
    sink = Sink()
    bus.subscribe(TOPIC, GROUP, sink)
    await sink.has(1)
    assert len(sink.records[0].value) == 1024 * 1024
