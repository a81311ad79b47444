"""A process that uses the bus, for tests that kill it.

`bus_process.py publish SERVER PREFIX FOLDER COUNT` queues records and waits to be killed.
`bus_process.py consume SERVER PREFIX FOLDER SLOW` prints `got VALUE`, and `idle` whenever all that
it was given is committed; a handler that meets the value `slow` takes SLOW seconds.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from parley.backing.bus.base import Record
from parley.backing.bus.kafka import KafkaBus
from parley.backing.bus.kafka_options import KafkaOptions
from parley.backing.journal import Journal
from parley.service.clock import SystemClock
from parley.service.metrics import Metrics, Registry

TOPIC, GROUP = "calls", "g"


def options(server: str, prefix: str, **others: object) -> KafkaOptions:
    """What the tests' processes have in common."""
    chosen = {
        "partitions": 4,
        "attempts": 3,
        "retry_s": 0.001,
        "session_s": 1.0,
        "heartbeat_s": 0.2,
        "start_s": 5.0,
    }
    return KafkaOptions((server,), prefix, **(chosen | others))  # type: ignore[arg-type]  # by name


def tell(line: str) -> None:
    print(line, flush=True)


async def publish(bus: KafkaBus, count: int) -> None:
    for n in range(count):
        bus.publish(TOPIC, f"k{n % 5}", b"%d" % n)
    await asyncio.sleep(0.05)  # one turn is enough; the journal is written at its end
    tell("queued")
    await asyncio.Event().wait()


async def consume(bus: KafkaBus, slow_s: float) -> None:
    async def handle(records: Sequence[Record]) -> None:
        for record in records:
            if record.value == b"slow":
                tell("slow")
                await asyncio.sleep(slow_s)
            tell(f"got {record.value.decode()}")

    subscription = bus.subscribe(TOPIC, GROUP, handle)
    lag = 0
    while True:
        if lag and not subscription.lag:
            tell("idle")
        lag = subscription.lag
        await asyncio.sleep(0.01)


async def main(mode: str, server: str, prefix: str, folder: str, number: str) -> None:
    chosen = options(server, prefix, start_s=0.2 if mode == "publish" else 5.0)
    bus = KafkaBus(
        SystemClock(), chosen, Journal(Path(folder), "bus"), Metrics(Registry(), "backing")
    )
    await bus.start()
    tell("ready")
    if mode == "publish":
        await publish(bus, int(number))
    else:
        await consume(bus, float(number))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
