"""The journal after damage that no kill explains, and in a folder that vanishes under it."""

import asyncio
import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from parley.backing.errors import BackingUnavailable
from parley.backing.journal import Journal, JournalLimits, SyncPolicy
from parley.testkit.contracts.arms import settled

COUNT = 100


class _Owner:
    """Keeps a dictionary in a journal: records are `key=value`."""

    def __init__(self, folder: Path, sync: SyncPolicy, limits: JournalLimits) -> None:
        self.items: dict[bytes, bytes] = {}
        self.journal = Journal(folder, "j", sync, limits)

    def _replay(self, payload: bytes) -> None:
        key, _, value = payload.partition(b"=")
        self.items[key] = value

    def _snapshot(self) -> Iterator[bytes]:
        for key in list(self.items):
            yield key + b"=" + self.items[key]

    def put(self, number: int, value: bytes = b"") -> None:
        key = b"key%03d" % number
        self.items[key] = value or b"value of %03d" % number
        self.journal.append(key + b"=" + self.items[key])

    def start(self) -> None:
        self.journal.load(self._replay)
        self.journal.start(self._snapshot)


def owner(folder: Path, sync: SyncPolicy = SyncPolicy.INTERVAL, **limits: int) -> _Owner:
    made = _Owner(folder, sync, JournalLimits(**limits))
    made.start()
    return made


async def kept(folder: Path) -> dict[bytes, bytes]:
    again = owner(folder)
    items = again.items
    await again.journal.aclose()
    return items


async def written(folder: Path) -> tuple[Path, bytearray]:
    """A journal of `COUNT` records; its file and what is in it."""
    first = owner(folder)
    for number in range(COUNT):
        first.put(number)
    await first.journal.aclose()
    path = folder / "j.00000001.journal"
    return path, bytearray(path.read_bytes())


def open_files(folder: Path) -> list[str]:
    """What this process holds open in a folder."""
    targets = [os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir()]
    return [target for target in targets if target.startswith(str(folder))]


def errors(logs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [entry["event"] for entry in logs if entry["log_level"] == "error"]


def refuse(descriptor: int, data: bytes) -> int:
    """A disk that is full."""
    raise OSError(errno.ENOSPC, "No space left on device")


RECORD = 8 + len(b"key000=value of 000")


@pytest.mark.parametrize("within", range(RECORD), ids="byte{}".format)
async def test_a_flipped_bit_costs_the_one_record_that_it_hit(tmp_path: Path, within: int) -> None:
    path, content = await written(tmp_path)
    content[8 + 30 * RECORD + within] ^= 0x10
    path.write_bytes(content)
    with capture_logs() as logs:
        again = owner(tmp_path)
    assert errors(logs) == ["journal file is damaged; some of the last changes are lost"]
    lost = {b"key%03d" % number for number in range(COUNT)} - again.items.keys()
    assert lost == {b"key030"}
    again.put(COUNT)
    aside = path.with_name(f"{path.name}.damaged")
    await settled(aside.exists)
    assert aside.read_bytes() == content
    await again.journal.aclose()
    with capture_logs() as logs:
        assert await kept(tmp_path) == again.items
    assert errors(logs) == []


async def test_a_damaged_mark_costs_nothing(tmp_path: Path) -> None:
    path, content = await written(tmp_path)
    content[3] ^= 1
    path.write_bytes(content)
    with capture_logs() as logs:
        assert len(await kept(tmp_path)) == COUNT
    assert errors(logs)[0] == "journal file is damaged; some of the last changes are lost"


async def test_a_hole_in_the_middle_and_a_torn_tail_cost_what_they_covered(tmp_path: Path) -> None:
    path, content = await written(tmp_path)
    content[8 + 10 * RECORD + 5 : 8 + 20 * RECORD + 5] = bytes(10 * RECORD)
    path.write_bytes(content[:-3])
    lost = {b"key%03d" % number for number in range(COUNT)} - (await kept(tmp_path)).keys()
    assert lost == {b"key%03d" % number for number in (*range(10, 21), COUNT - 1)}


async def test_a_file_that_is_cut_short_before_the_last_one_is_no_torn_tail(tmp_path: Path) -> None:
    path, content = await written(tmp_path)
    path.write_bytes(content[:-3])
    path.with_name("j.00000002.journal").write_bytes(content[: 8 + 2 * RECORD])
    with capture_logs() as logs:
        again = owner(tmp_path)
    assert len(again.items) == COUNT - 1
    assert len(errors(logs)) == 1
    await settled(path.with_name(f"{path.name}.damaged").exists)
    await again.journal.aclose()


async def test_damaged_files_of_one_name_are_all_kept(tmp_path: Path) -> None:
    path, content = await written(tmp_path)
    first = path.with_name(f"{path.name}.damaged")
    first.write_bytes(b"from last year")
    content[100] ^= 1
    path.write_bytes(content)
    again = owner(tmp_path)
    await settled(path.with_name(f"{path.name}.damaged.1").exists)
    await again.journal.aclose()
    assert first.read_bytes() == b"from last year"


@pytest.mark.parametrize("is_idle", [False, True])
async def test_a_folder_that_vanishes_is_made_anew_with_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_idle: bool
) -> None:
    monkeypatch.setattr("parley.backing.journal._LOOK_S", 0.0)
    folder = tmp_path / "journal"
    first = owner(folder)
    first.put(1)
    await first.journal.flushed()
    shutil.rmtree(folder)
    with capture_logs() as logs:
        if not is_idle:
            first.put(2)
            await first.journal.flushed()
        await first.journal.aclose()
    assert "journal's folder was removed; made anew" in errors(logs)
    assert await kept(folder) == first.items


async def test_who_waits_finds_the_folder_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.backing.journal._LOOK_S", 0.0)
    folder = tmp_path / "journal"
    first = owner(folder)
    first.put(1)
    await first.journal.flushed()
    shutil.rmtree(folder)
    await first.journal.flushed()
    shutil.copytree(folder, tmp_path / "seen")
    assert await kept(tmp_path / "seen") == first.items
    await first.journal.aclose()


async def test_a_disk_that_takes_records_again_takes_them_before_the_turn_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.backing.journal._RETRY_S", 0.001)
    path, _ = await written(tmp_path)
    first = owner(tmp_path, pending_bytes=1000)
    path.with_name("j.00000002.journal").mkdir()  # no compaction for now
    with monkeypatch.context() as full:
        full.setattr(os, "write", refuse)
        for number in range(COUNT):
            first.put(number)
        assert not first.journal.flush()
        waiting = asyncio.ensure_future(first.journal.flushed())
        await asyncio.sleep(0)
    tries: list[bool] = []
    flush = first.journal.flush

    def tried() -> bool:
        tries.append(True)
        return flush()

    monkeypatch.setattr(first.journal, "flush", tried)
    await settled(lambda: bool(tries))
    first.put(COUNT, b"new")
    size = path.stat().st_size
    first.journal.write_now()
    assert path.stat().st_size > size
    assert not waiting.done()  # what he waits for may be what was dropped
    path.with_name("j.00000002.journal").rmdir()
    await waiting
    await first.journal.aclose()
    assert await kept(tmp_path) == first.items


async def test_a_folder_that_cannot_be_made_anew_bounds_memory_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.backing.journal._LOOK_S", 0.0)
    folder = tmp_path / "journal"
    first = owner(folder, pending_bytes=1000)
    first.put(1)
    await first.journal.flushed()
    shutil.rmtree(folder)
    folder.write_bytes(b"a file")
    waiting = asyncio.ensure_future(first.journal.flushed())
    await asyncio.sleep(0)
    with capture_logs() as logs:
        for number in range(COUNT):
            first.put(number)
        assert not first.journal.flush()
    assert "journal cannot be written; records wait in memory" in errors(logs)
    with pytest.raises(BackingUnavailable):
        await waiting
    folder.unlink()
    assert first.journal.flush()
    await first.journal.aclose()
    assert await kept(folder) == first.items


async def test_a_compaction_that_cannot_begin_holds_no_record_up(tmp_path: Path) -> None:
    path, _ = await written(tmp_path)
    first = owner(tmp_path, compact_from_bytes=1)
    in_the_way = path.with_name("j.00000002.journal")
    in_the_way.mkdir()
    with capture_logs() as logs:
        first.put(COUNT)
        await first.journal.flushed()
        await settled(lambda: bool(errors(logs)))
    assert errors(logs) == ["journal cannot be compacted; it grows"]
    in_the_way.rmdir()
    await first.journal.aclose()
    assert await kept(tmp_path) == first.items


async def test_each_time_that_compaction_is_stuck_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.backing.journal_compaction._RETRY_S", 0.0)
    monkeypatch.setattr("parley.backing.journal._SYNC_INTERVAL_S", 0.0)
    first = owner(tmp_path, compact_from_bytes=1)
    for number in range(2, 4):
        in_the_way = tmp_path / f"j.{number:08d}.journal"
        in_the_way.mkdir()
        with capture_logs() as logs:
            for _ in range(3):
                first.put(COUNT)
                await first.journal.flushed()
        assert errors(logs) == ["journal cannot be compacted; it grows"]
        in_the_way.rmdir()
        await settled(in_the_way.is_file)
        await settled(lambda: len(list(tmp_path.glob("*.journal"))) == 1)
        # Garbage, until it outweighs what lives.
        for _ in range(COUNT):
            first.put(COUNT)
    await first.journal.aclose()
    assert await kept(tmp_path) == first.items


@pytest.mark.parametrize("sync", SyncPolicy)
async def test_an_old_file_that_cannot_be_deleted_is_deleted_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: SyncPolicy
) -> None:
    monkeypatch.setattr("parley.backing.journal._SYNC_INTERVAL_S", 0.0)
    path = tmp_path / "j.00000001.journal"
    first = owner(tmp_path, sync, compact_from_bytes=1)

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError

    with monkeypatch.context() as refusing, capture_logs() as logs:
        refusing.setattr(Path, "unlink", refuse)
        first.put(1)
        await first.journal.flushed()
        await settled(lambda: bool(errors(logs)))
    assert errors(logs) == ["old journal file cannot be deleted"]
    assert path.exists()
    first.put(2)
    await settled(lambda: not path.exists())
    await first.journal.aclose()
    assert await kept(tmp_path) == first.items


async def test_what_was_written_before_a_compaction_is_synced_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    first = owner(tmp_path, compact_from_bytes=1)

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr("os.fdatasync", note)
    first.put(1)
    await first.journal.flushed()
    await settled(lambda: "j.00000001.journal" in synced and "j.00000002.journal" in synced)
    await first.journal.aclose()


async def test_a_sync_that_finds_no_descriptor_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.backing.journal._SYNC_INTERVAL_S", 0.0)
    first = owner(tmp_path, SyncPolicy.ALWAYS, compact_from_bytes=1)

    def refuse(_descriptor: int) -> int:
        refusing.undo()
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as refusing, capture_logs() as logs:
        refusing.setattr("os.dup", refuse)
        first.put(1)
        await asyncio.wait_for(first.journal.flushed(), 5.0)
    assert errors(logs) == ["journal cannot be synced; tried again"]
    # Both generations were synced and the first one's descriptor was not lost.
    await settled(lambda: not (tmp_path / "j.00000001.journal").exists())
    await first.journal.aclose()
    assert not open_files(tmp_path)


async def test_what_a_failed_sync_may_have_lost_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.backing.journal_compaction._RETRY_S", 0.0)
    first = owner(tmp_path, SyncPolicy.ALWAYS)
    await first.journal.flushed()

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EIO, "no medium")

    with monkeypatch.context() as refusing, capture_logs() as logs:
        refusing.setattr("os.fdatasync", refuse)
        first.put(1)
        with pytest.raises(BackingUnavailable):
            await first.journal.flushed()
    assert errors(logs) == ["journal cannot be synced"]
    old, new = (tmp_path / f"j.{number:08d}.journal" for number in (1, 2))
    await settled(lambda: new.exists() and not old.exists())
    await first.journal.flushed()
    await first.journal.aclose()
    assert await kept(tmp_path) == first.items
    assert not open_files(tmp_path)


async def test_a_journal_closes_its_files_when_the_last_sync_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = owner(tmp_path)
    first.put(1)

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EIO, "no medium")

    monkeypatch.setattr("os.fdatasync", refuse)
    with capture_logs() as logs:
        await first.journal.aclose()
    assert errors(logs) == ["journal closed without a sync"]
    monkeypatch.undo()
    assert await kept(tmp_path) == first.items
