"""The journal: what is on disk after which accident."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.backing.errors import BackingUnavailable, FolderInUse
from parley.backing.journal import Journal, JournalLimits, SyncPolicy
from parley.testkit.contracts.arms import settled

RECORDS = [b"one", b"2", b"three" * 500]


async def _kept(folder: Path) -> list[bytes]:
    records: list[bytes] = []
    journal = Journal(folder, "j")
    journal.load(records.append)
    await journal.aclose()
    return records


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.journal"))


async def _write(folder: Path, records: list[bytes], sync: SyncPolicy = SyncPolicy.NEVER) -> None:
    journal = Journal(folder, "j", sync)
    journal.load(lambda _: None)
    journal.start(lambda: iter(()))
    for record in records:
        journal.append(record)
    await journal.flushed()
    await journal.aclose()


@pytest.mark.parametrize("sync", SyncPolicy)
async def test_records_are_replayed_in_order(tmp_path: Path, sync: SyncPolicy) -> None:
    await _write(tmp_path, RECORDS, sync)
    await _write(tmp_path, [b"four"], sync)
    assert await _kept(tmp_path) == [*RECORDS, b"four"]


async def test_all_records_of_one_turn_leave_in_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, "j", SyncPolicy.NEVER)
    journal.load(lambda _: None)
    journal.start(lambda: iter(()))
    await journal.flushed()
    writes: list[int] = []
    real_write = os.write

    def counted(descriptor: int, data: bytes) -> int:
        writes.append(len(data))
        return real_write(descriptor, data)

    monkeypatch.setattr(os, "write", counted)
    for _ in range(50):
        journal.append(b"x" * 100)
    await journal.flushed()
    assert len(writes) == 1
    await journal.aclose()


async def test_a_file_cut_anywhere_keeps_the_whole_records_before_the_cut(tmp_path: Path) -> None:
    await _write(tmp_path, [b"aaaa", b"bbbb", b"cccc"])
    content = _files(tmp_path)[0].read_bytes()
    for length in range(len(content)):
        _files(tmp_path)[0].write_bytes(content[:length])
        whole = max(0, length - 8) // 12
        assert await _kept(tmp_path) == [b"aaaa", b"bbbb", b"cccc"][:whole]


async def test_a_torn_tail_is_cut_so_that_new_records_follow_sound_ones(tmp_path: Path) -> None:
    await _write(tmp_path, [b"aaaa", b"bbbb"])
    path = _files(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-2])
    await _write(tmp_path, [b"cccc"])
    assert await _kept(tmp_path) == [b"aaaa", b"cccc"]


async def test_a_tail_of_zeros_as_a_power_cut_leaves_it_is_cut(tmp_path: Path) -> None:
    await _write(tmp_path, [b"aaaa", b"bbbb"])
    path = _files(tmp_path)[0]
    path.write_bytes(path.read_bytes() + bytes(4096))
    assert await _kept(tmp_path) == [b"aaaa", b"bbbb"]
    assert path.stat().st_size == 8 + 2 * 12


async def test_a_folder_has_one_user(tmp_path: Path) -> None:
    first = Journal(tmp_path, "j")
    first.load(lambda _: None)
    with pytest.raises(FolderInUse):
        Journal(tmp_path, "j").load(lambda _: None)
    await first.aclose()
    assert await _kept(tmp_path) == []


class _Owner:
    """Keeps a dictionary in a journal: records are `key=value`."""

    def __init__(self, folder: Path, limits: JournalLimits) -> None:
        self.items: dict[bytes, bytes] = {}
        self.journal = Journal(folder, "j", SyncPolicy.INTERVAL, limits)

    def replay(self, payload: bytes) -> None:
        key, _, value = payload.partition(b"=")
        self.items[key] = value

    def snapshot(self) -> Iterator[bytes]:
        for key in list(self.items):
            yield key + b"=" + self.items[key]

    def put(self, key: bytes, value: bytes) -> None:
        self.items[key] = value
        self.journal.append(key + b"=" + value)

    def start(self) -> None:
        self.journal.load(self.replay)
        self.journal.start(self.snapshot)


async def test_compaction_replaces_garbage_by_what_lives(tmp_path: Path) -> None:
    owner = _Owner(tmp_path, JournalLimits(compact_from_bytes=10_000))
    owner.start()
    for turn in range(50):
        for key in range(10):
            owner.put(b"key%d" % key, b"%d" % turn * 50)
        await owner.journal.flushed()
    await settled(lambda: sum(path.stat().st_size for path in _files(tmp_path)) < 10_000)
    assert len(_files(tmp_path)) == 1
    expected = owner.items.copy()
    await owner.journal.aclose()
    again = _Owner(tmp_path, JournalLimits())
    again.start()
    assert again.items == expected
    await again.journal.aclose()


async def test_a_compaction_cut_short_loses_nothing(tmp_path: Path) -> None:
    owner = _Owner(tmp_path, JournalLimits(compact_from_bytes=1_000_000))
    owner.start()
    for key in range(40):
        owner.put(b"key%d" % key, b"x" * 40_000)
    await owner.journal.flushed()
    owner.put(b"key39", b"last")
    await owner.journal.flushed()
    assert len(_files(tmp_path)) == 2, "the copy takes several turns"
    await owner.journal.aclose()
    again = _Owner(tmp_path, JournalLimits(compact_from_bytes=1_000_000))
    again.start()
    assert again.items == owner.items
    await settled(lambda: len(_files(tmp_path)) == 1)
    await again.journal.aclose()
    third = _Owner(tmp_path, JournalLimits())
    third.start()
    assert third.items == owner.items
    await third.journal.aclose()


async def test_a_disk_that_refuses_is_tried_again_without_a_torn_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, "j", SyncPolicy.NEVER)
    journal.load(lambda _: None)
    journal.start(lambda: iter(()))
    journal.append(b"aaaa")
    await journal.flushed()
    real_write = os.write
    with monkeypatch.context() as full:
        half = iter([True])

        def full_disk(descriptor: int, data: bytes) -> int:
            if next(half, False):
                return real_write(descriptor, data[:5])
            raise OSError(28, "No space left on device")

        full.setattr(os, "write", full_disk)
        journal.append(b"bbbb")
        assert not journal.flush()
    assert journal.flush()
    await journal.aclose()
    assert await _kept(tmp_path) == [b"aaaa", b"bbbb"]


async def test_a_disk_that_refuses_for_long_bounds_memory_and_is_rewritten_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = _Owner(tmp_path, JournalLimits(pending_bytes=1000))
    owner.start()
    with monkeypatch.context() as full:

        def full_disk(descriptor: int, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        full.setattr(os, "write", full_disk)
        waiting = asyncio.ensure_future(owner.journal.flushed())
        await asyncio.sleep(0)
        for key in range(100):
            owner.put(b"key%d" % key, b"x" * 20)
        assert not owner.journal.flush()
        with pytest.raises(BackingUnavailable):
            await waiting
    assert owner.journal.flush()
    await settled(lambda: len(_files(tmp_path)) == 1)
    await owner.journal.aclose()
    again = _Owner(tmp_path, JournalLimits())
    again.start()
    assert again.items == owner.items
    await again.journal.aclose()
