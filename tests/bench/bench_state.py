"""What the embedded state and bus cost per operation, beside a plain dictionary.

Run: `python -m tests.bench.bench_state`. CPU time of this thread, best of five rounds; writes
include framing and the journal's one `write()` per turn, a turn having 16 operations.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop

from parley.backing.bus.base import Record
from parley.backing.bus.embedded import EmbeddedBus
from parley.backing.journal import Journal, SyncPolicy
from parley.backing.state.embedded import EmbeddedState
from parley.service.clock import SystemClock
from parley.service.metrics import Metrics, Registry

_ROUNDS, _TURNS, _PER_TURN = 5, 250, 16
_SNAPSHOT = b"s" * 1500
_KEYS = [f"call:{{{n:08x}}}" for n in range(1000)]


async def _measure(name: str, operation: Callable[[int], Awaitable[object]]) -> None:
    best = float("inf")
    for _ in range(_ROUNDS):
        started = time.thread_time_ns()
        for turn in range(_TURNS):
            for n in range(_PER_TURN):
                await operation(turn * _PER_TURN + n)
            await asyncio.sleep(0)
        best = min(best, (time.thread_time_ns() - started) / (_TURNS * _PER_TURN))
    print(f"{name:44} {best / 1000:8.2f} us {1e9 / best:12,.0f} /s")


async def _bench_dict() -> None:
    plain: dict[str, bytes] = {}

    async def put(n: int) -> None:
        plain[_KEYS[n % 1000]] = _SNAPSHOT

    async def get(n: int) -> bytes | None:
        return plain.get(_KEYS[n % 1000])

    await _measure("dict put (in a coroutine)", put)
    await _measure("dict get (in a coroutine)", get)


async def _bench_state(name: str, state: EmbeddedState) -> None:
    await state.start()
    for key in _KEYS:
        await state.create_owned(key, "cm-1", _SNAPSHOT)

    await _measure(
        f"{name} put_owned 1500 B, ttl",
        lambda n: state.put_owned(_KEYS[n % 1000], "cm-1", 1, _SNAPSHOT, 60),
    )
    await _measure(f"{name} get", lambda n: state.get(_KEYS[n % 1000]))
    await _measure(f"{name} index_add", lambda n: state.index_add("calls:{t}", _KEYS[n % 1000], n))
    await state.aclose()


async def _bench_bus(name: str, bus: EmbeddedBus) -> None:
    await bus.start()
    value = b"e" * 400

    async def publish(n: int) -> None:
        bus.publish("calls", _KEYS[n % 1000], value)

    await _measure(f"{name} publish 400 B, nobody listens", publish)
    arrived = asyncio.Event()
    latencies: list[int] = []

    async def handler(records: Sequence[Record]) -> None:
        latencies.append(time.perf_counter_ns() - published)
        arrived.set()

    bus.subscribe("calls2", "g", handler)
    published = 0
    for n in range(2000):
        arrived.clear()
        published = time.perf_counter_ns()
        bus.publish("calls2", _KEYS[n % 1000], value)
        await arrived.wait()
    latencies.sort()
    p50, p99 = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    print(f"{name + ' publish to handler':44} {p50 / 1000:8.2f} us p50 {p99 / 1000:8.2f} us p99")
    await bus.aclose()


async def _main() -> None:
    clock = SystemClock()
    await _bench_dict()
    await _bench_state("memory", EmbeddedState(clock))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        await _bench_state("journal", EmbeddedState(clock, Journal(path, "s", SyncPolicy.NEVER)))
        await _bench_bus("memory", EmbeddedBus(clock, Metrics(Registry(), "backing")))
        await _bench_bus(
            "journal",
            EmbeddedBus(
                clock, Metrics(Registry(), "backing"), Journal(path, "b", SyncPolicy.NEVER)
            ),
        )


if __name__ == "__main__":
    uvloop.run(_main())
