"""Consumer groups on Kafka whose members die, freeze and join."""

import asyncio
import signal
from collections.abc import Sequence

import pytest

from parley.backing.bus.base import Record
from parley.service.metrics import Metrics, Registry
from parley.testkit.contracts.arms import settled
from parley.testkit.contracts.bus import Sink

from .bus_process import GROUP, TOPIC
from .conftest import WAIT_S, Open, Spawn

pytestmark = pytest.mark.timeout(60)


def _are_all_there(sink: Sink, numbers: range) -> bool:
    return set(sink.values) >= {b"%d" % n for n in numbers}


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


async def test_consumer_lag_is_a_metric_per_topic_and_group(open_bus: Open) -> None:
    registry = Registry()
    bus = await open_bus(metrics=Metrics(registry, "test"))
    go_on = asyncio.Event()

    async def hangs(_: object) -> None:
        await go_on.wait()

    def lag() -> float:
        labels = {"topic": TOPIC, "group": GROUP}
        return registry.value("parley_test_bus_consumer_lag_records", labels)

    bus.subscribe(TOPIC, GROUP, hangs)
    for n in range(10):
        await bus.publish_and_wait(TOPIC, f"k{n}", b"x")
    await settled(lambda: lag() > 0, WAIT_S)
    go_on.set()
    await settled(lambda: lag() == 0, WAIT_S)


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
    assert any("partitions were lost" in line for line in child.lines)


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
