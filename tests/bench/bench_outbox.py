"""How fast changes of one tenant leave the outbox, over a bus that gathers for 50 ms.

    python -m tests.bench.bench_outbox [rows]

The bus answers as Kafka does: what is published within 50 ms leaves together, acknowledged 4 ms
later. The database is SQLite in memory, or the one that DATABASE_URL names.
"""

import asyncio
import os
import sys
from time import perf_counter
from typing import Any

from parley.backing.db.engine import Database
from parley.backing.db.outbox import OutboxPublisher, OutboxRecord, add_to_outbox
from parley.service.clock import SystemClock
from parley.service.metrics import Metrics, Registry

LINGER_S = 0.05
ACKNOWLEDGE_S = 0.004
ROWS = 10_000
CHUNK = 1000


class LingeringBus:
    """Takes what is published within the linger together."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def publish_and_wait(self, topic: str, key: str, value: bytes) -> None:
        """Returns when the batch that this record goes with is acknowledged."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._waiting:
            loop.call_later(LINGER_S + ACKNOWLEDGE_S, self._acknowledge)
        self._waiting.append(future)
        await future

    def _acknowledge(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


async def measure(rows: int) -> None:
    """Fills the outbox and prints how long it takes to empty."""
    url = os.environ.get("DATABASE_URL", "sqlite://")
    database = Database(url, SystemClock(), migrates=True)
    await database.start()
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        async with database.write() as connection:
            record = OutboxRecord("config", "tenant", b"x" * 300)
            await add_to_outbox(database, connection, [record] * count)
    bus: Any = LingeringBus()
    publisher = OutboxPublisher(database, bus, Metrics(Registry(), "bench"))
    began = perf_counter()
    left = rows
    while left > 0:
        left -= await publisher.publish_once()
    took_s = perf_counter() - began
    print(f"{rows} rows of one tenant in {took_s:.2f} s: {rows / took_s:.0f} a second")
    await database.aclose()


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS))
