"""The queue in front of the brokers: bounds, order, what outlives the process."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parley.backing.bus.publish_queue import Entry, PublishQueue
from parley.backing.errors import BackingError, BusFull
from parley.backing.journal import Journal, JournalLimits, SyncPolicy


def _queue(folder: Path, max_records: int = 1000, max_bytes: int = 1_000_000) -> PublishQueue:
    limits = JournalLimits(compact_from_bytes=5_000)
    return PublishQueue(Journal(folder, "bus", SyncPolicy.NEVER, limits), max_records, max_bytes)


def _add(queue: PublishQueue, value: bytes, *, is_kept: bool = True) -> Entry:
    return queue.add("calls", "k", value, 1000, is_kept=is_kept)


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[PublishQueue]:
    queue = _queue(tmp_path, max_records=3, max_bytes=2000)
    queue.open()
    yield queue
    await queue.aclose()


async def test_what_was_not_acknowledged_is_there_in_the_next_run(tmp_path: Path) -> None:
    queue = _queue(tmp_path)
    assert queue.open() == []
    entries = [_add(queue, b"%d" % n) for n in range(6)]
    queue.done(entries[1:3])
    await queue.aclose()
    queue = _queue(tmp_path)
    left = queue.open()
    assert [entry.value for entry in left] == [b"0", b"3", b"4", b"5"]
    assert (left[0].topic, left[0].key, left[0].stamp_ms) == ("calls", "k", 1000)
    assert _add(queue, b"6").sequence > left[-1].sequence
    await queue.aclose()


async def test_a_flipped_bit_costs_one_waiting_record_and_a_vanished_folder_none(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "queue"
    queue = _queue(folder)
    queue.open()
    for n in range(6):
        _add(queue, b"waits%d" % n)
    await queue.aclose()
    path = folder / "bus.00000001.journal"
    path.write_bytes(path.read_bytes().replace(b"waits2", b"waitsX"))
    queue = _queue(folder)
    left = [entry.value for entry in queue.open()]
    assert left == [b"waits0", b"waits1", b"waits3", b"waits4", b"waits5"]
    await asyncio.sleep(0)
    shutil.rmtree(folder)
    await queue.aclose()
    queue = _queue(folder)
    assert [entry.value for entry in queue.open()] == left
    await queue.aclose()


async def test_compaction_keeps_the_order_and_forgets_the_acknowledged(tmp_path: Path) -> None:
    queue = _queue(tmp_path)
    queue.open()
    waiting = [_add(queue, b"stays%d" % n) for n in range(20)]
    for n in range(600):
        queue.done([_add(queue, b"goes%d" % n)])
        if n % 20 == 0:
            await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while (tmp_path / "bus.00000001.journal").exists():  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.001)
    await queue.aclose()
    queue = _queue(tmp_path)
    assert [entry.value for entry in queue.open()] == [entry.value for entry in waiting]
    await queue.aclose()


async def test_a_record_that_somebody_waits_for_is_not_kept(tmp_path: Path) -> None:
    queue = _queue(tmp_path)
    queue.open()
    _add(queue, b"waited", is_kept=False).waiter = asyncio.get_running_loop().create_future()
    _add(queue, b"kept")
    await queue.aclose()
    queue = _queue(tmp_path)
    assert [entry.value for entry in queue.open()] == [b"kept"]
    await queue.aclose()


async def test_a_full_queue_refuses_until_something_is_acknowledged(queue: PublishQueue) -> None:
    entries = [_add(queue, b"%d" % n) for n in range(3)]
    with pytest.raises(BusFull):
        _add(queue, b"3")
    queue.done(entries[:1])
    _add(queue, b"3")
    assert len(queue) == 3


async def test_bytes_are_bounded_too(queue: PublishQueue) -> None:
    first = _add(queue, b"x" * 1500)
    with pytest.raises(BusFull):
        _add(queue, b"x" * 300)
    queue.done([first])
    assert (queue.size, len(queue), queue.oldest_ms()) == (0, 0, None)
    assert queue.emptied.is_set()


async def test_an_acknowledgement_after_the_withdrawal_changes_nothing(
    queue: PublishQueue,
) -> None:
    entry = _add(queue, b"x", is_kept=False)
    entry.waiter = asyncio.get_running_loop().create_future()
    entry.waiter.cancel()
    queue.withdraw(entry)
    queue.done([entry])
    assert entry.is_dropped and (queue.size, len(queue)) == (0, 0)


async def test_who_waits_learns_of_the_end(queue: PublishQueue) -> None:
    loop = asyncio.get_running_loop()
    good, bad = _add(queue, b"1", is_kept=False), _add(queue, b"2", is_kept=False)
    good.waiter, bad.waiter = loop.create_future(), loop.create_future()
    queue.done([good])
    queue.refuse(bad, "too large")
    assert good.waiter.result() is None
    assert isinstance(bad.waiter.exception(), BackingError)
    assert len(queue) == 0
