"""What only the embedded bus has to do."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from parley.backing.bus.base import Record
from parley.backing.bus.embedded import EmbeddedBus
from parley.backing.bus.log import BusLimits
from parley.backing.errors import BusFull
from parley.backing.journal import Journal, JournalLimits, SyncPolicy
from parley.service.metrics import Metrics, Registry
from parley.testkit.clock import FakeClock
from parley.testkit.contracts.arms import settled
from parley.testkit.contracts.bus import Sink


def _bus(folder: Path | None = None, **limits: float) -> EmbeddedBus:
    journal = None
    if folder is not None:
        small = JournalLimits(compact_from_bytes=20_000)
        journal = Journal(folder, "bus", SyncPolicy.NEVER, small)
    bounds = BusLimits(**({"partitions": 1, "retry_s": 0.001} | limits))  # type: ignore[arg-type]  # ints and floats by name
    return EmbeddedBus(FakeClock(), Metrics(Registry(), "backing"), journal, bounds)


def _journal_file(folder: Path) -> Path:
    return next(folder.glob("*.journal"))


async def test_a_partition_that_its_group_does_not_consume_refuses_records() -> None:
    bus = _bus(max_records=300, keep_records=10, drain_s=0.01)
    gate = asyncio.Event()

    async def stuck(records: Sequence[Record]) -> None:
        await gate.wait()

    bus.subscribe("t", "g", stuck)
    for _ in range(300):
        bus.publish("t", "k", b"x")
    with pytest.raises(BusFull):
        bus.publish("t", "k", b"x")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gate.set()
    await settled(lambda: bus._topics["t"].groups["g"].committed == [300])
    bus.publish("t", "k", b"x")
    await bus.aclose()


async def test_a_group_that_nobody_consumes_any_more_does_not_block_the_topic() -> None:
    bus = _bus(max_records=300, keep_records=10)
    await bus.subscribe("t", "gone", Sink()).aclose()
    for _ in range(1000):
        bus.publish("t", "k", b"x")
    assert len(bus._topics["t"].partitions[0].records) <= 300
    late = Sink()
    bus.subscribe("t", "gone", late)
    await settled(lambda: bool(late.records) and late.records[-1].offset == 999)
    await bus.aclose()


async def test_consumed_records_are_forgotten_beyond_the_kept_ones() -> None:
    bus = _bus(keep_records=20)
    sink = Sink()
    bus.subscribe("t", "g", sink)
    for n in range(2000):
        bus.publish("t", "k", b"x")
        if n % 100 == 99:
            await sink.has(n + 1)
    assert len(bus._topics["t"].partitions[0].records) < 20 + 2 * 256
    await bus.aclose()


async def test_a_batch_is_all_that_was_published_in_a_turn() -> None:
    bus = _bus(partitions=8)
    sizes: list[int] = []

    async def handler(records: Sequence[Record]) -> None:
        sizes.append(len(records))

    bus.subscribe("t", "g", handler)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for n in range(100):
        bus.publish("t", f"k{n}", b"x")
    await settled(lambda: sum(sizes) == 100)
    assert sizes == [100]
    await bus.aclose()


async def test_a_value_that_is_too_large_is_refused() -> None:
    bus = _bus(max_value_bytes=10)
    with pytest.raises(ValueError, match="too large"):
        bus.publish("t", "k", b"x" * 11)
    await bus.aclose()


async def test_a_handler_that_is_cancelled_inside_is_retried() -> None:
    bus = _bus()
    seen: list[bytes] = []

    async def handler(records: Sequence[Record]) -> None:
        if not seen:
            seen.append(b"first")
            raise asyncio.CancelledError
        seen.extend(record.value for record in records)

    bus.subscribe("t", "g", handler)
    bus.publish("t", "k", b"x")
    await settled(lambda: seen == [b"first", b"x"])
    await bus.aclose()


async def test_a_handler_that_hangs_does_not_hold_the_end_up() -> None:
    bus = _bus(drain_s=0.01)
    cancelled = asyncio.Event()

    async def hangs(records: Sequence[Record]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    bus.subscribe("t", "g", hangs)
    bus.publish("t", "k", b"x")
    await asyncio.sleep(0.001)
    await bus.aclose()
    assert cancelled.is_set()


async def test_compaction_keeps_waiting_records_and_offsets(tmp_path: Path) -> None:
    bus = _bus(tmp_path, keep_records=5)
    await bus.start()
    sink = Sink()
    subscription = bus.subscribe("t", "g", sink)
    for n in range(600):
        bus.publish("t", "k", b"%d" % n * 20)
        if n % 50 == 49:
            await sink.has(n + 1)
    await subscription.aclose()
    for n in range(600, 1000):
        bus.publish("t", "k", b"%d" % n)
    await settled(lambda: not (tmp_path / "bus.00000001.journal").exists())
    await bus.aclose()
    bus = _bus(tmp_path, keep_records=5)
    await bus.start()
    rest = Sink()
    bus.subscribe("t", "g", rest)
    bus.publish("t", "k", b"1000")
    await rest.has(401)
    assert rest.values == [b"%d" % n for n in range(600, 1001)]
    assert [record.offset for record in rest.records] == list(range(600, 1001))
    await bus.aclose()


async def test_a_cut_journal_loses_the_last_records_only(tmp_path: Path) -> None:
    bus = _bus(tmp_path)
    await bus.start()
    for value in (b"1", b"2", b"3"):
        await bus.publish_and_wait("t", "k", value)
    await bus.aclose()
    path = _journal_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    bus = _bus(tmp_path)
    await bus.start()
    sink = Sink()
    bus.subscribe("t", "g", sink)
    await sink.has(2)
    assert sink.values == [b"1", b"2"]
    await bus.aclose()


async def test_the_offset_of_a_record_that_was_damaged_is_not_given_again(tmp_path: Path) -> None:
    bus = _bus(tmp_path)
    await bus.start()
    sink = Sink()
    bus.subscribe("t", "g", sink)
    for value in (b"one", b"two"):
        await bus.publish_and_wait("t", "k", value)
    await sink.has(2)
    await bus.aclose()
    path = _journal_file(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"two", b"TWO"))
    bus = _bus(tmp_path)
    await bus.start()
    again = Sink()
    bus.subscribe("t", "g", again)
    bus.publish("t", "k", b"three")
    await again.has(1)
    assert again.values == [b"three"]
    await bus.aclose()


async def test_consumer_lag_is_a_metric_per_topic_and_group() -> None:
    registry = Registry()
    bus = EmbeddedBus(FakeClock(), Metrics(registry, "backing"))
    await bus.start()

    def lag(group: str) -> float:
        labels = {"topic": "t", "group": group}
        return registry.value("parley_backing_bus_consumer_lag_records", labels)

    go_on = asyncio.Event()

    async def hangs(_: object) -> None:
        await go_on.wait()

    sink = Sink()
    bus.subscribe("t", "slow", hangs)
    follower = bus.tail("t", sink)
    for _ in range(3):
        bus.publish("t", "k", b"x")
    await sink.has(3)
    assert (lag("slow"), lag("")) == (3, 0)
    go_on.set()
    await settled(lambda: lag("slow") == 0)
    bus.subscribe("t", "slow", hangs)
    await follower.aclose()
    await bus.aclose()
    assert (lag("slow"), lag("")) == (0, 0)


async def test_volatile_topics_are_not_written(tmp_path: Path) -> None:
    bus = EmbeddedBus(
        FakeClock(),
        Metrics(Registry(), "backing"),
        Journal(tmp_path, "bus"),
        volatile_topics=("load",),
    )
    await bus.start()
    await bus.publish_and_wait("load", "k", b"secret")
    await bus.publish_and_wait("calls", "k", b"kept")
    await bus.aclose()
    content = _journal_file(tmp_path).read_bytes()
    assert b"kept" in content and b"secret" not in content


async def test_a_dead_letter_that_fails_is_dropped_in_the_end() -> None:
    bus = _bus(attempts=2)
    sink = Sink(b"bad")
    bus.subscribe("t.dead", "g", sink)
    bus.publish("t.dead", "k", b"bad")
    bus.publish("t.dead", "k", b"good")
    await sink.has(1)
    assert sink.values == [b"good"] and "t.dead.dead" not in bus._topics
    await bus.aclose()
