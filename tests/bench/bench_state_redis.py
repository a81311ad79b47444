"""What the state in Redis costs per operation, beside plain calls of redis-py.

Run: `python -m tests.bench.bench_state_redis`. It starts a redis-server of its own, without disk.
`n` callers work at the same time, each waiting for its reply before it asks again. CPU is that of
this thread, the best of three rounds that take turns.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from redis.asyncio import BlockingConnectionPool, Redis
from tests.cluster.servers.redis import RedisServer

from parley.backing.state.redis import RedisState
from parley.service.clock import SystemClock
from parley.service.log import configure_logging

_ROUNDS, _OPERATIONS = 3, 6000
_SNAPSHOT = b"s" * 1500
_KEYS = [f"call:{{{n:08x}}}" for n in range(1000)]
_FENCED_WRITE = """
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""

Operation = Callable[[int], Awaitable[object]]


async def _round(operation: Operation, callers: int) -> tuple[float, float]:
    """Returns seconds of CPU and of time per operation."""

    async def call(first: int) -> None:
        for n in range(first, _OPERATIONS, callers):
            await operation(n % 1000)

    cpu, started = time.thread_time(), time.perf_counter()
    await asyncio.gather(*(call(first) for first in range(callers)))
    return (
        (time.thread_time() - cpu) / _OPERATIONS,
        (time.perf_counter() - started) / _OPERATIONS,
    )


async def _compare(name: str, ours: Operation, plain: Operation, callers: int) -> None:
    rounds = [(await _round(ours, callers), await _round(plain, callers)) for _ in range(_ROUNDS)]
    (cpu, took), (plain_cpu, plain_took) = (
        tuple(min(both[side][figure] for both in rounds) for figure in (0, 1)) for side in (0, 1)
    )
    print(
        f"{name:12} {callers:3} in flight  {1 / took:8,.0f} /s {cpu * 1e6:6.1f} us CPU"
        f"   redis-py {1 / plain_took:8,.0f} /s {plain_cpu * 1e6:6.1f} us CPU"
        f"   {plain_took / took:4.1f} x the rate, {cpu / plain_cpu:5.0%} of the CPU"
    )


async def _main(url: str) -> None:
    state = RedisState(url, SystemClock())
    await state.start()
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(url, max_connections=64)
    plain = Redis(connection_pool=pool)
    fenced_write = plain.register_script(_FENCED_WRITE)
    head = b"o" + b"e" * 20
    for key in _KEYS:
        await state.create_owned(key, "cm-1", _SNAPSHOT)
        await plain.set(f"plain:{key}", head + _SNAPSHOT)

    def put_owned(n: int) -> Awaitable[object]:
        return state.put_owned(_KEYS[n], "cm-1", 1, _SNAPSHOT, 60)

    def plain_put_owned(n: int) -> Awaitable[object]:
        return fenced_write(keys=[f"plain:{_KEYS[n]}"], args=[head, head + _SNAPSHOT, 60_000])

    for callers in (1, 16, 64):
        await _compare("put_owned", put_owned, plain_put_owned, callers)
        await _compare(
            "get",
            lambda n: state.get(_KEYS[n]),
            lambda n: plain.get(f"plain:{_KEYS[n]}"),
            callers,
        )
        await _compare(
            "index_add",
            lambda n: state.index_add("calls:{a}", _KEYS[n], n),
            lambda n: plain.zadd("calls:{b}", {_KEYS[n]: n}),
            callers,
        )
    counted = state.statistics
    print(f"{counted.commands:,} commands in {counted.batches:,} batches on one connection")
    await state.aclose()
    await plain.aclose()
    await pool.aclose()


if __name__ == "__main__":
    configure_logging("warning", None)
    folder = Path(tempfile.mkdtemp())
    try:
        with RedisServer(folder, options=("--appendonly", "no")) as server:
            uvloop.run(_main(server.url))
    finally:
        shutil.rmtree(folder)
