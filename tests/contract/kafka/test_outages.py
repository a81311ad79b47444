"""The bus on Kafka while brokers and producers fail."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka.admin import (  # type: ignore[import-untyped]  # the library has no types
    AIOKafkaAdminClient,
    NewTopic,
)
from tests.cluster.servers.kafka import KafkaServer

from parley.backing.bus.base import Record
from parley.backing.errors import BackingError, BackingUnavailable, BusFull
from parley.service.metrics import Metrics, Registry
from parley.testkit.contracts.arms import settled
from parley.testkit.contracts.bus import Sink

from .bus_process import GROUP, TOPIC
from .conftest import WAIT_S, Open, Spawn

pytestmark = pytest.mark.timeout(60)


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
    # A busy machine takes a while to start a broker.
    bus = await open_bus(publish_s=WAIT_S)
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
