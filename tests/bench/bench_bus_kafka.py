"""What publishing on Kafka costs per event, beside aiokafka alone; the broker is a child.

Run: `python -m tests.bench.bench_bus_kafka [SECONDS]`. CPU time of this thread, events of 500
bytes with 1,000 keys on one topic with 8 partitions, acks=all, idempotent. The broker runs on the
same machine, so only the client's own CPU counts.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # the library has no types
from tests.cluster.servers.kafka import KafkaServer

from parley.backing.bus.base import Record
from parley.backing.bus.kafka import KafkaBus
from parley.backing.bus.kafka_options import KafkaOptions
from parley.backing.journal import Journal, SyncPolicy
from parley.service.clock import SystemClock
from parley.service.log import configure_logging
from parley.service.metrics import Metrics, Registry

_VALUE = b"e" * 500
_KEYS = [f"{n:032x}" for n in range(1000)]
_BULK = 20_000
_SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0

Publish = Callable[[int], Awaitable[None]]
Flush = Callable[[], Awaitable[None]]


def _show(name: str, cpu_ns: int, events: int, base_us: float | None = None) -> float:
    each_us = cpu_ns / events / 1000
    ratio = "" if base_us is None else f"  {each_us / base_us:5.2f} x aiokafka"
    print(f"{name:44} {each_us:8.1f} us per event{ratio}", flush=True)
    return each_us


async def _paced(publish: Publish, flush: Flush, rate: int) -> tuple[int, int]:
    """Publishes single events at a rate; returns CPU time in ns and the number of events."""
    loop = asyncio.get_running_loop()
    events = round(rate * _SECONDS)
    started = time.thread_time_ns()
    begun = loop.time()
    for n in range(events):
        ahead_s = begun + n / rate - loop.time()
        if ahead_s > 0:
            await asyncio.sleep(ahead_s)
        await publish(n)
    await flush()
    return time.thread_time_ns() - started, events


async def _bulk(publish: Publish, flush: Flush) -> tuple[int, int]:
    started = time.thread_time_ns()
    for n in range(_BULK):
        await publish(n)
    await flush()
    return time.thread_time_ns() - started, _BULK


async def _idle(rate: int) -> int:
    """The loop's own cost of waking at that rate, in ns for the whole time."""

    async def nothing(_n: int = 0) -> None:
        return

    cpu_ns, _ = await _paced(nothing, nothing, rate)
    return cpu_ns


async def _raw(server: KafkaServer, linger_s: float) -> tuple[Any, Publish, Flush]:
    producer = AIOKafkaProducer(
        bootstrap_servers=server.bootstrap,
        acks="all",
        enable_idempotence=True,
        linger_ms=round(linger_s * 1000),
        max_batch_size=128 * 1024,
    )
    await producer.start()

    async def publish(n: int) -> None:
        await producer.send("events", _VALUE, _KEYS[n % 1000].encode())

    return producer, publish, producer.flush


async def _ours(server: KafkaServer, linger_s: float, folder: Path) -> tuple[Any, Publish, Flush]:
    journal = Journal(folder, "bus", SyncPolicy.INTERVAL)
    bus = KafkaBus(
        SystemClock(),
        KafkaOptions((server.bootstrap,), linger_s=linger_s),
        journal,
        Metrics(Registry(), "backing"),
    )
    await bus.start()
    await bus.publish_and_wait("events", "k", b"first")

    async def publish(n: int) -> None:
        bus.publish("events", _KEYS[n % 1000], _VALUE)

    async def flush() -> None:
        while bus.queued:  # noqa: ASYNC110 - a measurement
            await asyncio.sleep(0.002)

    return bus, publish, flush


async def _measure(server: KafkaServer, linger_s: float, rate: int, folder: Path) -> None:
    idle_ns = await _idle(rate)
    name = f"{rate}/s, linger {linger_s * 1000:.0f} ms"
    producer, publish, flush = await _raw(server, linger_s)
    cpu_ns, events = await _paced(publish, flush, rate)
    await producer.stop()
    base_us = _show(f"aiokafka, {name}", cpu_ns - idle_ns, events)
    bus, publish, flush = await _ours(server, linger_s, folder)
    cpu_ns, events = await _paced(publish, flush, rate)
    await bus.aclose()
    _show(f"bus, {name}", cpu_ns - idle_ns, events, base_us)


async def _measure_bulk(server: KafkaServer, folder: Path) -> None:
    producer, publish, flush = await _raw(server, 0.0)
    cpu_ns, events = await _bulk(publish, flush)
    await producer.stop()
    base_us = _show("aiokafka, in bulk", cpu_ns, events)
    bus, publish, flush = await _ours(server, 0.025, folder)
    cpu_ns, events = await _bulk(publish, flush)
    _show("bus, in bulk", cpu_ns, events, base_us)
    await _measure_consuming(bus)
    await bus.aclose()


async def _measure_consuming(bus: KafkaBus) -> None:
    left = asyncio.Event()
    got = 0

    async def handler(records: Sequence[Record]) -> None:
        nonlocal got
        got += len(records)
        if got >= _BULK:
            left.set()

    started = time.thread_time_ns()
    bus.subscribe("events", "bench", handler)
    await left.wait()
    _show("bus, consuming what waits", time.thread_time_ns() - started, got)


async def _main(server: KafkaServer, folder: Path) -> None:
    bus, _, _ = await _ours(server, 0.0, folder / "first")  # makes the topic
    await bus.aclose()
    for rate in (200, 1000):
        for linger_s in (0.0, 0.025, 0.05):
            await _measure(server, linger_s, rate, folder / f"{rate}-{linger_s}")
    await _measure_bulk(server, folder / "bulk")


if __name__ == "__main__":
    configure_logging("warning", None)
    with tempfile.TemporaryDirectory() as place, KafkaServer(Path(place) / "kafka") as broker:
        uvloop.run(_main(broker, Path(place)))
