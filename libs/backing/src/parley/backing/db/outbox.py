"""The outbox: what a change must tell others is written in the change's own transaction.

`OutboxPublisher` moves the rows to the bus. The rows of a batch are submitted at once, in the order
of their ids, and awaited together; of each key the rows that the bus has durably, up to the first
that it has not, are deleted. A row behind a failed one may have got through: it is published again
after it. So each row reaches the bus at least once (as with the bus itself), and the last copies of
a key's rows are in order; a change that was rolled back is never published.

Ids are drawn before the commit. Where the order of a key matters its writers wait for each other
(`changes.py`), so that the order of the ids is that of the commits.

Of several processes the one that holds the database's lock publishes, until its connection ends;
it makes sure of the lock before each batch. A holder that lost it at that moment may repeat one
batch after its successor went on: readers take what a record names, not its place.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import structlog
from sqlalchemy import Row, bindparam, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from parley.backing.bus.base import Bus
from parley.backing.db.engine import Database
from parley.backing.db.models import OutboxRow
from parley.backing.errors import BackingError, BackingUnavailable
from parley.service.metrics import Metrics
from parley.service.series import Counter, Gauge
from parley.service.tasks import TaskOwner

EVENT_SOURCE: Final = "parley"
"""Source of the events that go through the outbox: the platform, not one process."""

_BATCH = 500
_POLL_S = 1.0  # rows of other processes and of a run before this one
_MIN_PAUSE_S = 0.1
_MAX_PAUSE_S = 10.0
_PUBLISH_TIMEOUT_S = 10.0
_LOCK_ID = 0x6F7574626F78

# Made once: making a statement costs more than carrying it out.
_INSERTION: Final = insert(OutboxRow)
_OLDEST: Final = (
    select(OutboxRow.id, OutboxRow.topic, OutboxRow.key, OutboxRow.value)
    .order_by(OutboxRow.id)
    .limit(_BATCH)
)
_DELETION: Final = delete(OutboxRow).where(OutboxRow.id.in_(bindparam("ids", expanding=True)))

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
    await connection.execute(_INSERTION, rows)


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
            if rows and not await is_held():
                raise BackingUnavailable("another process may publish the outbox now")
            done, error = await self._publish(rows)
            # Also keeps the server from taking the lock's transaction for a forgotten one.
            await is_held()
            if done:
                async with self._db.write() as connection:
                    await connection.execute(_DELETION, {"ids": done})
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
        async with self._db.read() as connection:
            rows = (await connection.execute(_OLDEST)).all()
            if len(rows) < _BATCH:
                self._waiting.set(len(rows))
            else:
                total = await connection.scalar(select(func.count()).select_from(OutboxRow))
                self._waiting.set(total or 0)
        return rows

    async def _publish(self, rows: Sequence[_Row]) -> tuple[list[int], BackingError | None]:
        """Publishes rows; returns which of them may be deleted, and the first error."""
        # Tasks begin in the order in which they are made.
        errors = await asyncio.gather(*map(self._publish_row, rows))
        done: list[int] = []
        failed: set[tuple[str, str]] = set()
        for row, error in zip(rows, errors, strict=True):
            if error is not None:
                failed.add((row.topic, row.key))
            elif (row.topic, row.key) not in failed:
                done.append(row.id)
        return done, next((error for error in errors if error is not None), None)

    async def _publish_row(self, row: _Row) -> BackingError | None:
        try:
            async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
                await self._bus.publish_and_wait(row.topic, row.key, row.value)
        except TimeoutError:
            return BackingUnavailable("the bus did not answer in time")
        except BackingError as error:
            return error
        return None
