"""Connections to SQLite: prepared in their own thread, and ended before the event loop is.

Each connection lives in a thread of aiosqlite's, which reports to the loop once more when it stops.
Where a statement is cancelled or an opening fails nobody waits for that report; `SqliteConnector`
does, so that no thread speaks to a loop that is gone.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from time import sleep
from typing import Any

import aiosqlite
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

READ_ONLY = "parley_read_only"
"""Execution option of transactions that need no write lock."""

_PRAGMAS = (
    "PRAGMA busy_timeout=5000",
    # A commit that was told to a caller survives a power cut too.
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
)
_WAL_ATTEMPTS = 500
_WAL_RETRY_S = 0.01
_CHUNK_ROWS = 64
_STOP_TIMEOUT_S = 5.0


class SqliteConnector:
    """Opens connections to one database; the `async_creator` of its engine.

    Args:
        path: a file, or a `file:` URI.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._stopping: set[asyncio.Future[Any]] = set()

    async def __call__(self) -> aiosqlite.Connection:
        """Opens a connection."""
        return await _TrackedConnection(self._open, self._stopping)

    async def aclose(self) -> None:
        """Returns when the threads of ended connections have stopped (bounded)."""
        if self._stopping:
            await asyncio.wait(self._stopping, timeout=_STOP_TIMEOUT_S)

    def _open(self) -> sqlite3.Connection:
        # Without an isolation level the driver begins no transactions by itself; `begin` does.
        connection = sqlite3.connect(
            self._path,
            uri=self._path.startswith("file:"),
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            for pragma in _PRAGMAS:
                connection.execute(pragma)
            _use_wal(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    # A file that others write to before it is in WAL mode is busy at once, whatever the time-out.
    for attempt in range(1, _WAL_ATTEMPTS + 1):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or attempt == _WAL_ATTEMPTS:
                raise
            sleep(_WAL_RETRY_S)
        else:
            return


class _TrackedConnection(aiosqlite.Connection):
    """A connection whose last report is waited for."""

    def __init__(
        self, connector: Callable[[], sqlite3.Connection], stopping: set[asyncio.Future[Any]]
    ) -> None:
        super().__init__(connector, _CHUNK_ROWS)
        self._stopping = stopping
        # A process that ends without closing must not wait for it.
        self._thread.daemon = True

    def stop(self) -> asyncio.Future[Any] | None:
        future = super().stop()
        if future is not None:
            self._stopping.add(future)
            future.add_done_callback(self._stopping.discard)
        return future


def begin_explicitly(engine: AsyncEngine) -> None:
    """Makes writing transactions take the write lock when they begin, not half-way."""
    event.listen(engine.sync_engine, "begin", _begin)


def _begin(connection: Connection) -> None:
    is_read = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if is_read else "BEGIN IMMEDIATE")
