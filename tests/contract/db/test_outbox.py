"""The database contract: what was committed is published, in order, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select

from parley.backing.bus.base import Handler, Subscription
from parley.backing.db.engine import Database, IsHeld
from parley.backing.db.models import OutboxRow
from parley.backing.db.outbox import OutboxPublisher, OutboxRecord, add_to_outbox
from parley.backing.errors import BackingUnavailable
from parley.service.metrics import Metrics, Registry
from parley.testkit.contracts.arms import settled


class _RecordingBus:
    """A bus whose publishing can be made to fail."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str, bytes]] = []
        self.refuses: Callable[[bytes], bool] = lambda value: False
        self.got = asyncio.Event()
        self.submitted: list[bytes] = []
        self.is_open: asyncio.Event | None = None

    async def publish_and_wait(self, topic: str, key: str, value: bytes) -> None:
        self.submitted.append(value)
        await (asyncio.sleep(0) if self.is_open is None else self.is_open.wait())
        if self.refuses(value):
            raise BackingUnavailable("refused")
        self.published.append((topic, key, value))
        self.got.set()

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    def publish(self, topic: str, key: str, value: bytes) -> None:
        raise AssertionError("the outbox waits for each record")

    def subscribe(self, topic: str, group: str, handler: Handler) -> Subscription:
        raise AssertionError("not a consumer")

    def tail(self, topic: str, handler: Handler) -> Subscription:
        raise AssertionError("not a consumer")


def _publisher(db: Database, bus: _RecordingBus) -> OutboxPublisher:
    return OutboxPublisher(db, bus, Metrics(Registry(), "test"))


async def _enqueue(db: Database, *records: tuple[str, str]) -> None:
    rows = [OutboxRecord("topic", key, value.encode()) for key, value in records]
    async with db.write() as connection:
        await add_to_outbox(db, connection, rows)


async def _waiting(db: Database) -> list[bytes]:
    async with db.read() as connection:
        query = select(OutboxRow.value).order_by(OutboxRow.id)
        return list((await connection.scalars(query)).all())


async def test_outbox_is_published_in_order_per_key_and_emptied(db: Database) -> None:
    bus = _RecordingBus()
    await _enqueue(db, ("a", "1"), ("b", "2"), ("a", "3"))
    await _enqueue(db, ("a", "4"))

    assert await _publisher(db, bus).publish_once() == 4

    assert [value for _, key, value in bus.published if key == "a"] == [b"1", b"3", b"4"]
    assert await _waiting(db) == []


async def test_rolled_back_change_is_never_published(db: Database) -> None:
    bus = _RecordingBus()
    with pytest.raises(ZeroDivisionError):
        async with db.write() as connection:
            await add_to_outbox(db, connection, [OutboxRecord("topic", "a", b"1")])
            raise ZeroDivisionError

    assert await _publisher(db, bus).publish_once() == 0
    assert bus.published == []


async def test_failure_of_the_bus_holds_back_only_that_key_and_keeps_its_order(
    db: Database,
) -> None:
    bus = _RecordingBus()
    publisher = _publisher(db, bus)
    await _enqueue(db, ("a", "1"), ("a", "2"), ("b", "3"), ("a", "4"))

    bus.refuses = lambda value: value == b"2"
    with pytest.raises(BackingUnavailable):
        await publisher.publish_once()
    # What the bus has of a key is deleted up to the first record that it has not.
    assert await _waiting(db) == [b"2", b"4"]

    bus.refuses = lambda value: False
    await publisher.publish_once()
    # The fourth was on its way already: it comes again, so that the last of each are in order.
    assert [value for _, key, value in bus.published if key == "a"] == [b"1", b"4", b"2", b"4"]


async def test_nothing_is_published_by_who_may_have_lost_the_lock(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = _RecordingBus()
    await _enqueue(db, ("a", "1"))

    async def is_held() -> bool:
        return False

    @asynccontextmanager
    async def exclusive(_lock_id: int) -> AsyncIterator[IsHeld]:
        yield is_held

    monkeypatch.setattr(db, "exclusive", exclusive)
    with pytest.raises(BackingUnavailable, match="another process"):
        await _publisher(db, bus).publish_once()

    assert bus.published == []
    assert await _waiting(db) == [b"1"]


async def test_records_of_one_key_share_the_time_that_the_bus_takes(db: Database) -> None:
    bus = _RecordingBus()
    bus.is_open = asyncio.Event()
    publisher = _publisher(db, bus)
    await _enqueue(db, *(("a", str(number)) for number in range(300)))

    publishing = asyncio.ensure_future(publisher.publish_once())
    await settled(lambda: len(bus.submitted) == 300, 10.0)
    bus.is_open.set()

    assert await publishing == 300
    assert bus.submitted == [str(number).encode() for number in range(300)]
    assert await _waiting(db) == []


async def test_running_publisher_is_woken_by_a_commit(db: Database) -> None:
    bus = _RecordingBus()
    publisher = _publisher(db, bus)
    await publisher.start()
    try:
        await _enqueue(db, ("a", "1"))
        async with asyncio.timeout(5):
            await bus.got.wait()
    finally:
        await publisher.aclose()

    assert bus.published == [("topic", "a", b"1")]


async def test_draining_publishes_what_is_left(db: Database) -> None:
    bus = _RecordingBus()
    await _enqueue(db, *(("a", str(i)) for i in range(1200)))

    publisher = _publisher(db, bus)
    await publisher.start()
    await publisher.drain(5)

    assert not publisher.is_ready()
    await publisher.aclose()

    assert [value for _, _, value in bus.published] == [str(i).encode() for i in range(1200)]
