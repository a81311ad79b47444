"""What only the embedded state has to do."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from parley.backing.journal import Journal, JournalLimits, SyncPolicy
from parley.backing.state.base import State, run_now
from parley.backing.state.embedded import EmbeddedState
from parley.testkit.clock import FakeClock
from parley.testkit.contracts.arms import settled


def _written(folder: Path) -> bytes:
    return next(folder.glob("*.journal")).read_bytes()


def _cut(folder: Path, size: int) -> None:
    path = next(folder.glob("*.journal"))
    path.write_bytes(path.read_bytes()[:-size])


def test_it_works_without_an_event_loop() -> None:
    state: State = EmbeddedState(FakeClock())
    assert state.is_immediate
    assert run_now(state.put_if_version("k:{1}", b"1", 0))
    assert run_now(state.get("k:{1}")) == b"1"
    assert run_now(state.create_owned("call:{1}", "cm", b"1")) == 1


def test_driving_an_operation_that_waits_is_an_error() -> None:
    async def waits() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="not immediate"):
        run_now(waits())


async def test_a_step_of_the_wall_clock_expires_nothing() -> None:
    clock = FakeClock()
    state = EmbeddedState(clock)
    await state.put_if_version("reg:{1001}", b"1", 0, ttl_s=60)
    clock.step_wall(3600)
    assert await state.get("reg:{1001}") == b"1"
    clock.step_wall(-7200)
    clock.advance(61)
    assert await state.get("reg:{1001}") is None


async def test_the_sweeper_removes_what_nobody_asks_for() -> None:
    clock = FakeClock()
    state = EmbeddedState(clock)
    for n in range(1000):
        await state.create_owned(f"k:{{{n}}}", "cm", b"1", ttl_s=10)
    await state.create_owned("k:{kept}", "cm", b"1", ttl_s=10)
    await state.put_owned("k:{kept}", "cm", 1, b"1", ttl_s=100)
    clock.advance(50)
    await state.start()
    await settled(lambda: len(state._keys) == 1)
    assert await state.get("k:{kept}") == b"1"
    clock.advance(60)
    assert await state.get("k:{kept}") is None
    await state.aclose()


async def test_renewed_keys_do_not_fill_the_expiry_heap() -> None:
    clock = FakeClock()
    state = EmbeddedState(clock)
    version: int | None = 0
    for _ in range(5000):
        assert version is not None
        version = await state.put_if_version("lease:{cm}", b"1", version, ttl_s=1)
        clock.advance(0.3)
    for n in range(5000):
        await state.create_owned(f"k:{{{n}}}", "cm", b"1", ttl_s=3600)
        await state.delete(f"k:{{{n}}}")
    assert len(state._keys._heap) < 1100


async def test_what_expired_stays_so_when_the_wall_clock_was_set_back(tmp_path: Path) -> None:
    clock = FakeClock()
    state = EmbeddedState(clock, Journal(tmp_path, "state"))
    await state.start()
    await state.put_if_version("reg:{1001}", b"1", 0, ttl_s=10)
    clock.advance(11)
    assert await state.get("reg:{1001}") is None
    await state.aclose()
    clock.step_wall(-3600)
    state = EmbeddedState(clock, Journal(tmp_path, "state"))
    await state.start()
    assert await state.get("reg:{1001}") is None
    await state.aclose()


async def test_a_cut_journal_keeps_all_but_the_last_changes(tmp_path: Path) -> None:
    clock = FakeClock()
    state = EmbeddedState(clock, Journal(tmp_path, "state"))
    await state.start()
    await state.create_owned("k:{1}", "cm", b"first")
    await state.put_owned("k:{1}", "cm", 1, b"second" * 20)
    await state.aclose()
    _cut(tmp_path, 10)
    state = EmbeddedState(clock, Journal(tmp_path, "state"))
    await state.start()
    assert await state.get("k:{1}") == b"first"
    await state.aclose()


async def test_compaction_keeps_every_kind_and_the_versions(tmp_path: Path) -> None:
    clock = FakeClock()
    limits = JournalLimits(compact_from_bytes=5000)
    state = EmbeddedState(clock, Journal(tmp_path, "state", SyncPolicy.NEVER, limits))
    await state.start()
    await state.create_owned("call:{1}", "cm", b"snapshot", ttl_s=100)
    await state.hash_put("h:{1}", "f", b"1")
    await state.index_add("s:{1}", "m", 4)
    for _ in range(200):
        await state.restore_owned("k:{1}", "cm", 1, b"x" * 100)
    await settled(lambda: not (tmp_path / "state.00000001.journal").exists())
    last = await state.get_versioned("k:{1}")
    await state.delete("k:{1}")
    await state.aclose()
    state = EmbeddedState(clock, Journal(tmp_path, "state"))
    await state.start()
    assert await state.claim("call:{1}", "cm2", 1) == (2, b"snapshot")
    assert await state.hash_get_all("h:{1}") == {"f": b"1"}
    assert await state.index_range("s:{1}") == [("m", 4)]
    version = await state.put_if_version("k:{1}", b"y", 0)
    assert last is not None and version is not None and version > last.version
    await state.aclose()


_VICTIM = """
import asyncio, os, signal, sys
from pathlib import Path
from parley.backing.journal import Journal
from parley.backing.state.embedded import EmbeddedState
from parley.service.clock import SystemClock

async def main():
    state = EmbeddedState(SystemClock(), Journal(Path(sys.argv[1]), "state"))
    await state.start()
    for n in range(100):
        await state.create_owned(f"call:{{{n}}}", "cm", b"%d" % n, ttl_s=3600)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_is_settled_is_on_disk_within_the_turn(tmp_path: Path) -> None:
    state = EmbeddedState(FakeClock(), Journal(tmp_path, "state", SyncPolicy.NEVER))
    await state.start()
    await state.hash_put("h:{1}", "f", b"some value")
    assert await state.put_if_version("reg:{1001}", b"a binding", 0)
    assert b"a binding" not in _written(tmp_path)

    state.flush()

    written = _written(tmp_path)
    assert b"some value" in written
    assert b"a binding" in written
    await state.aclose()


async def test_a_killed_process_loses_nothing_of_earlier_turns(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _VICTIM, str(tmp_path)]
    victim = await asyncio.to_thread(subprocess.run, command, timeout=9, check=False)
    assert victim.returncode == -9
    # Two starts of one and the same folder: loading must not depend on a clean end.
    shutil.copytree(tmp_path, tmp_path / "copy")
    for folder in (tmp_path, tmp_path / "copy"):
        clock = FakeClock(wall_s=1.0)
        state = EmbeddedState(clock, Journal(folder, "state"))
        await state.start()
        values = await state.get_many([f"call:{{{n}}}" for n in range(100)])
        assert values == [b"%d" % n for n in range(100)]
        await state.aclose()
