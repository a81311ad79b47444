"""The outbox: what a change must tell others is written in the change's own transaction.

`OutboxPublisher` moves the rows to the bus, in order per key, and deletes a row once the bus has it
durably. A crash in between publishes a row twice with the same content (at least once, as the bus
itself); a change that was rolled back is never published, one that was committed always is.

Of several processes the one that holds the database's lock publishes. The lock ends with its
holder's connection: the holder looks before each row, so at most the rows that are on their way at
that moment, one per key, can reach the bus after their successors did, as repetitions.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import Row, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from parley.backing.bus.base import Bus
from parley.backing.db.engine import Database, IsHeld
from parley.backing.db.models import OutboxRow
from parley.backing.errors import BackingError, BackingUnavailable
from parley.service.metrics import Metrics
from parley.service.tasks import TaskOwner

_BATCH = 500
_POLL_S = 1.0  # rows of other processes and of a run before this one
_MIN_PAUSE_S = 0.1
_MAX_PAUSE_S = 10.0
_PUBLISH_TIMEOUT_S = 10.0
_LOCK_ID = 0x6F7574626F78

_Row: TypeAlias = Row[int, str, str, bytes]

_logger = structlog.stdlib.get_logger(__name__)


class OutboxRecord(NamedTuple):
    """A bus record to be published after the commit."""

    topic: str
    key: str
    value: bytes


async def add_to_outbox(
    db: Database, connection: AsyncConnection, records: Sequence[OutboxRecord]
) -> None:
    """Writes records in the caller's transaction."""
    if not records:
        return
    now = db.clock.wall()
    rows = [
        {"topic": topic, "key": key, "value": value, "created_at": now}
        for topic, key, value in records
    ]
    await connection.execute(insert(OutboxRow), rows)


class OutboxPublisher:
    """Publishes the outbox for as long as it runs; one process at a time does it for all.

    It is a `Service`: started after the bus and the database, drained before they close.
    """

    name = "outbox"

    def __init__(self, db: Database, bus: Bus, metrics: Metrics) -> None:
        self._db = db
        self._bus = bus
        self._tasks = TaskOwner()
        self._published: Counter = metrics.counter(
            "outbox_published", "Outbox rows that reached the bus."
        )
        self._failures: Counter = metrics.counter(
            "outbox_failures", "Passes over the outbox that ended by an error."
        )
        self._waiting: Gauge = metrics.gauge("outbox_rows", "Outbox rows not published yet.")
        self._running: asyncio.Task[None] | None = None
        self._is_draining = False

    async def start(self) -> None:
        """Begins to publish."""
        self._running = self._tasks.spawn(self._run(), name="outbox publisher")

    def is_ready(self) -> bool:
        """Says whether it publishes; an outage of the bus only delays it."""
        return self._running is not None and not self._running.done()

    async def drain(self, timeout_s: float) -> None:
        """Publishes what is left and stops, for at most `timeout_s`."""
        if self._running is None:
            return
        self._is_draining = True
        self._db.committed.set()
        _, late = await asyncio.wait([self._running], timeout=timeout_s)
        if late:
            _logger.warning("outbox not drained", timeout_s=timeout_s)

    async def aclose(self) -> None:
        """Stops; what is left is published by the next run."""
        await self._tasks.aclose()

    async def publish_once(self) -> int:
        """Publishes one batch of rows and returns how many.

        Raises:
            BackingError: the database or the bus failed; rows that got through are not repeated.
        """
        async with self._db.exclusive(_LOCK_ID) as is_held:
            if is_held is None:
                return 0
            rows = await self._fetch()
            done, error = await self._publish(rows, is_held)
            if done:
                async with self._db.write() as connection:
                    await connection.execute(delete(OutboxRow).where(OutboxRow.id.in_(done)))
                self._published.inc(len(done))
        if error is not None:
            raise error
        return len(done)

    async def _run(self) -> None:
        pause_s = 0.0
        while True:
            self._db.committed.clear()
            # Rows committed before the drain began must be seen by a pass that begins after it.
            is_last = self._is_draining
            try:
                while await self.publish_once() == _BATCH:
                    pass
                pause_s = 0.0
            except BackingError as error:
                pause_s = await self._pause(pause_s, error)
            except Exception as error:
                _logger.exception("outbox pass crashed")
                pause_s = await self._pause(pause_s, error)
            else:
                if is_last:
                    return
                await self._wait_for_commit()

    async def _pause(self, last_pause_s: float, error: Exception) -> float:
        pause_s = min(_MAX_PAUSE_S, max(_MIN_PAUSE_S, last_pause_s * 2))
        self._failures.inc()
        _logger.warning("outbox waits", pause_s=pause_s, reason=str(error))
        await asyncio.sleep(pause_s)
        return pause_s

    async def _wait_for_commit(self) -> None:
        if self._is_draining:
            return
        try:
            async with asyncio.timeout(_POLL_S):
                await self._db.committed.wait()
        except TimeoutError:
            return

    async def _fetch(self) -> Sequence[_Row]:
        query = (
            select(OutboxRow.id, OutboxRow.topic, OutboxRow.key, OutboxRow.value)
            .order_by(OutboxRow.id)
            .limit(_BATCH)
        )
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).all()
            if len(rows) < _BATCH:
                self._waiting.set(len(rows))
            else:
                total = await connection.scalar(select(func.count()).select_from(OutboxRow))
                self._waiting.set(total or 0)
        return rows

    async def _publish(
        self, rows: Sequence[_Row], is_held: IsHeld
    ) -> tuple[list[int], BackingError | None]:
        chains: defaultdict[tuple[str, str], list[_Row]] = defaultdict(list)
        for row in rows:
            chains[row.topic, row.key].append(row)
        results = await asyncio.gather(
            *(self._publish_chain(chain, is_held) for chain in chains.values())
        )
        done = [row_id for ids, _ in results for row_id in ids]
        return done, next((error for _, error in results if error is not None), None)

    async def _publish_chain(
        self, rows: Sequence[_Row], is_held: IsHeld
    ) -> tuple[list[int], BackingError | None]:
        """Publishes the rows of one key one after the other, up to the first failure."""
        done: list[int] = []
        for row in rows:
            if not is_held():
                return done, BackingUnavailable("another process may publish the outbox now")
            try:
                async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
                    await self._bus.publish_and_wait(row.topic, row.key, row.value)
            except TimeoutError:
                return done, BackingUnavailable("the bus did not answer in time")
            except BackingError as error:
                return done, error
            done.append(row.id)
        return done, None
