"""The state in Redis while the server freezes, dies, fails over or is overloaded."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import pytest
import uvloop
from tests.cluster.servers.redis import RedisServer
from tests.contract.redis_writes import write

from parley.backing.errors import BackingUnavailable, WrongKind
from parley.backing.state.base import Versioned
from parley.backing.state.redis import RedisState
from parley.backing.state.redis_limits import Limits
from parley.service.clock import SystemClock
from parley.testkit.contracts.arms import settled
from parley.testkit.gate import TcpGate

KEY = "call:{c1}"
WAIT_S = 20.0
QUICK = Limits(timeout_s=0.3)

Open = Callable[..., Awaitable[RedisState]]
Succeeds = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]

pytestmark = pytest.mark.timeout(40)


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:
    """An empty server, which runs again after the test whatever that did to it."""
    redis_server.command("FLUSHALL")
    yield redis_server
    if redis_server.is_running:
        redis_server.thaw()
    redis_server.start()


async def test_operations_of_one_turn_leave_in_one_batch(
    server: RedisServer, open_state: Open
) -> None:
    state = await open_state(server.url, QUICK)
    batches = state.statistics.batches
    await asyncio.gather(*(write(state, f"k:{{{n}}}", b"%d" % n) for n in range(100)))
    assert state.statistics.batches == batches + 1
    assert await state.get_many([f"k:{{{n}}}" for n in range(100)]) == [
        b"%d" % n for n in range(100)
    ]
    assert state.statistics.batches == batches + 2
    assert state.statistics.connections == 1


def test_it_works_and_reconnects_on_uvloop(server: RedisServer, succeeds: Succeeds) -> None:
    async def use() -> None:
        state = RedisState(server.url, SystemClock(), Limits(timeout_s=5))
        await state.start()
        await asyncio.gather(*(write(state, f"k:{{{n}}}", b"x" * 100_000) for n in range(50)))
        assert await state.get("k:{49}") == b"x" * 100_000
        await asyncio.to_thread(server.restart)
        await succeeds(lambda: write(state, "k:{1}", b"1"))
        assert state.statistics.connections == 2
        await state.aclose()

    uvloop.run(use())


async def test_operations_happen_in_the_order_in_which_they_were_asked_for(
    server: RedisServer, open_state: Open
) -> None:
    state = await open_state(server.url, QUICK)
    writes = []
    for n in range(50):
        writes.append(asyncio.ensure_future(write(state, "k:{1}", b"%d" % n)))
        if n % 7 == 0:
            await asyncio.sleep(0)
    assert await state.get("k:{1}") == b"49"
    await asyncio.gather(*writes)


async def test_any_bytes_of_any_size_are_kept(server: RedisServer, open_state: Open) -> None:
    state = await open_state(server.url, Limits(timeout_s=5))
    every_byte = bytes(range(256))
    huge = every_byte * 65_536
    await asyncio.gather(
        state.put_if_version("k:{\x00\r\n}", every_byte, 0),
        write(state, "k:{huge}", huge),
        state.create_owned("call:{huge}", "cm\r\n-ü", huge),
        state.hash_put("h:{1}", "\r\n\x00", every_byte),
        state.index_add("s:{1}", "ü\r\n\x00", 1e-300),
    )
    assert await state.get("k:{\x00\r\n}") == every_byte
    assert await state.get("k:{huge}") == huge
    assert await state.claim("call:{huge}", "cm-b", 1) == (2, huge)
    assert await state.hash_get_all("h:{1}") == {"\r\n\x00": every_byte}
    assert await state.index_range("s:{1}") == [("ü\r\n\x00", 1e-300)]


async def test_operations_on_a_frozen_server_time_out_and_go_on_after_it(
    server: RedisServer, open_state: Open, succeeds: Succeeds
) -> None:
    state = await open_state(server.url, QUICK)
    generations: list[None] = []
    state.on_new_generation(lambda: generations.append(None))
    await write(state, "k:{1}", b"1")
    server.freeze()
    clock = SystemClock()
    started = clock.now()
    results = await asyncio.gather(
        write(state, "k:{2}", b"2"), state.get("k:{1}"), return_exceptions=True
    )
    assert all(isinstance(result, BackingUnavailable) for result in results)
    assert "unknown" in str(results[0])
    assert 0.25 < clock.now() - started < 2.0
    server.thaw()
    await succeeds(lambda: write(state, "k:{3}", b"3"))
    assert await state.get("k:{1}") == b"1"
    assert generations == []


async def test_a_server_that_has_been_away_for_long_is_not_waited_for(
    server: RedisServer, open_state: Open
) -> None:
    state = await open_state(server.url, QUICK)
    server.kill()
    with pytest.raises(BackingUnavailable):
        await write(state, "k:{1}", b"1")
    clock = SystemClock()
    async with asyncio.timeout(WAIT_S):
        while True:
            started = clock.now()
            with pytest.raises(BackingUnavailable, match="away"):
                await write(state, "k:{1}", b"1")
            if clock.now() - started < 0.05:
                break


async def test_a_restarted_server_is_a_new_generation(
    server: RedisServer, open_state: Open, succeeds: Succeeds
) -> None:
    state = await open_state(server.url, QUICK)
    generations: list[None] = []
    state.on_new_generation(lambda: generations.append(None))
    assert await state.create_owned(KEY, "cm-a", b"a") == 1
    server.kill()
    await settled(lambda: state.statistics.failures > 0, WAIT_S)
    await asyncio.to_thread(server.start)
    await succeeds(lambda: state.get(KEY))
    assert generations == [None]
    server.command("FLUSHALL")
    assert not await state.put_owned(KEY, "cm-a", 1, b"b")
    assert await state.restore_owned(KEY, "cm-a", 1, b"b")
    assert await state.put_owned(KEY, "cm-a", 1, b"c")


async def test_a_broken_connection_to_the_same_server_is_no_new_generation(
    server: RedisServer, open_state: Open, succeeds: Succeeds
) -> None:
    gate = TcpGate(server.port)
    await gate.start()
    state = await open_state(f"redis://127.0.0.1:{gate.port}/0", QUICK)
    generations: list[None] = []
    state.on_new_generation(lambda: generations.append(None))
    await write(state, "k:{1}", b"1")
    await gate.cut()
    gate.heal()
    await succeeds(lambda: state.get("k:{1}"))
    assert state.statistics.connections == 2
    assert generations == []
    await gate.aclose()


async def test_a_read_whose_answer_was_lost_is_done_again_and_a_write_is_not(
    server: RedisServer, open_state: Open
) -> None:
    gate = TcpGate(server.port)
    await gate.start()
    state = await open_state(f"redis://127.0.0.1:{gate.port}/0", Limits(timeout_s=5))
    server.freeze()
    read = asyncio.ensure_future(state.get("k:{1}"))
    claim = asyncio.ensure_future(state.claim("call:{1}", "cm-1", 1))
    batches = state.statistics.batches
    await settled(lambda: state.statistics.batches > batches)
    await gate.cut()
    with pytest.raises(BackingUnavailable, match="unknown"):
        await claim
    gate.heal()
    server.thaw()
    assert await read is None
    await gate.aclose()


async def test_bytes_that_are_no_reply_end_the_connection_and_nothing_else(
    server: RedisServer, open_state: Open, succeeds: Succeeds
) -> None:
    gate = TcpGate(server.port)
    await gate.start()
    state = await open_state(f"redis://127.0.0.1:{gate.port}/0", QUICK)
    await write(state, "k:{1}", b"1")
    gate.inject(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await settled(lambda: state.statistics.failures == 1)
    await succeeds(lambda: write(state, "k:{2}", b"2"))
    assert await state.get_many(["k:{1}", "k:{2}"]) == [b"1", b"2"]
    await gate.aclose()


async def test_a_cancelled_caller_harms_no_other(server: RedisServer, open_state: Open) -> None:
    state = await open_state(server.url, QUICK)
    commands = state.statistics.commands
    tasks = [asyncio.ensure_future(write(state, f"k:{{{n}}}", b"%d" % n)) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await state.get_many(["k:{0}", "k:{1}", "k:{19}"]) == [None, b"1", b"19"]
    assert state.statistics.commands == commands + 10 + 3
    server.freeze()
    waiting = asyncio.ensure_future(state.get("k:{1}"))
    other = asyncio.ensure_future(state.get("k:{3}"))
    await settled(lambda: state.statistics.commands == commands + 15)
    waiting.cancel()
    server.thaw()
    assert await other == b"3"
    assert await state.get("k:{1}") == b"1"


async def test_a_full_queue_refuses_and_empties_again(
    server: RedisServer, open_state: Open
) -> None:
    state = await open_state(server.url, Limits(timeout_s=5, max_commands=10))
    server.freeze()
    waiting = [asyncio.ensure_future(write(state, f"k:{{{n}}}", b"x")) for n in range(10)]
    await settled(lambda: state.statistics.commands >= 10)
    with pytest.raises(BackingUnavailable, match="full"):
        await state.get("k:{1}")
    with pytest.raises(BackingUnavailable, match="full"):
        await state.get_many(["k:{1}", "k:{2}"])
    server.thaw()
    await asyncio.gather(*waiting)
    assert await state.get("k:{1}") == b"x"
    small = await open_state(server.url, Limits(timeout_s=5, max_bytes=1000))
    server.freeze()
    first = asyncio.ensure_future(write(small, "k:{1}", b"x" * 2000))
    await settled(lambda: small.statistics.batches == 1)
    with pytest.raises(BackingUnavailable, match="full"):
        await small.get("k:{1}")
    server.thaw()
    await first
    assert await small.get("k:{1}") == b"x" * 2000


async def test_scripts_that_the_server_lost_are_sent_again(
    server: RedisServer, open_state: Open
) -> None:
    state = await open_state(server.url, QUICK)
    server.command("SCRIPT", "FLUSH")
    epochs = await asyncio.gather(*(state.create_owned(f"c:{{{n}}}", "cm", b"x") for n in range(5)))
    assert epochs == [1] * 5
    assert await state.put_owned("c:{3}", "cm", 1, b"y")


async def test_closing_waits_for_what_was_asked_for(server: RedisServer, open_state: Open) -> None:
    state = await open_state(server.url, QUICK)
    writes = [asyncio.ensure_future(write(state, f"k:{{{n}}}", b"x")) for n in range(100)]
    await asyncio.sleep(0)
    await state.aclose()
    assert all(write.done() and write.exception() is None for write in writes)
    with pytest.raises(BackingUnavailable, match="not open"):
        await state.get("k:{1}")
    again = await open_state(server.url, QUICK)
    assert await again.get("k:{99}") == b"x"
    server.freeze()
    lost = asyncio.ensure_future(write(again, "k:{1}", b"y"))
    await asyncio.sleep(0)
    await again.aclose()
    with pytest.raises(BackingUnavailable):
        await lost


async def test_a_start_without_redis_fails_with_a_sentence(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.backing.state.redis._START_S", 0.5)
    server.stop()
    state = RedisState(server.url, SystemClock(), QUICK)
    with pytest.raises(BackingUnavailable, match=f"Redis at 127.0.0.1:{server.port} cannot be"):
        await state.start()
    with pytest.raises(BackingUnavailable, match="not open"):
        await state.get("k:{1}")


async def test_a_wrong_login_is_told_without_the_password(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, open_state: Open
) -> None:
    monkeypatch.setattr("parley.backing.state.redis._START_S", 0.5)
    server.command("ACL", "SETUSER", "parley", "on", ">se%cret", "~*", "+@all")
    good = await open_state(f"redis://parley:se%25cret@127.0.0.1:{server.port}/3", QUICK)
    await write(good, "k:{1}", b"1")
    assert await good.get("k:{1}") == b"1"
    state = RedisState(f"redis://parley:wr0ng@127.0.0.1:{server.port}/0", SystemClock(), QUICK)
    with pytest.raises(BackingUnavailable, match="login is refused: WRONGPASS") as refusal:
        await state.start()
    assert "wr0ng" not in str(refusal.value)
    server.command("ACL", "DELUSER", "parley")


async def test_values_of_other_programs_are_refused_and_left_alone(
    server: RedisServer, open_state: Open
) -> None:
    state = await open_state(server.url, QUICK)
    for text in ("x", "o", "owner of nothing", "veto"):
        server.command("SET", "k:{1}", text)
        with pytest.raises((WrongKind, BackingUnavailable)):
            await state.get("k:{1}")
        with suppress(WrongKind):
            assert await state.create_owned("k:{1}", "cm", b"y") is None
        with suppress(WrongKind, BackingUnavailable):
            assert await state.claim("k:{1}", "cm", 3) is None
        with suppress(WrongKind):
            assert await state.put_if_version("k:{1}", b"y", 0) is None
        assert text.encode() in server.command("GET", "k:{1}")


async def test_a_writer_with_a_slow_clock_still_raises_the_version(
    server: RedisServer, open_state: Open
) -> None:
    class SlowClock(SystemClock):
        def wall_s(self) -> float:
            return 1_000_000_000.0

    state = await open_state(server.url, QUICK)
    slow = RedisState(server.url, SlowClock(), QUICK)
    await slow.start()
    first = await state.put_if_version("k:{1}", b"a", 0)
    assert first is not None
    second = await slow.put_if_version("k:{1}", b"b", first)
    assert second is not None and second > first
    assert await state.get_versioned("k:{1}") == Versioned(b"b", second)
    third = await slow.put_if_version("k:{1}", b"c", second)
    assert third is not None and third > second
    assert await state.put_if_version("k:{1}", b"d", first) is None
    await slow.aclose()
