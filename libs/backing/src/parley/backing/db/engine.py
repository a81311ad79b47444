"""The database: one engine, short transactions, each with a time-out.

SQLite runs in WAL mode: readers never wait; writers queue in process (SQLite itself would poll) and
begin IMMEDIATE, so that a transaction never fails half-way for want of the write lock. PostgreSQL
comes by URL alone: a connection that broke is replaced at the next transaction, and a server that
hangs costs a transaction its time-out and three seconds at most. What the server cannot do now is
`BackingUnavailable`; what a constraint forbids stays SQLAlchemy's `IntegrityError`, which
repositories turn into domain errors.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from parley.backing.db.migrate import Migrated, MigrationError, check, upgrade
from parley.backing.db.models import Base
from parley.backing.db.postgresql import (
    ONE_STATE,
    WAIT_FOR_LOCK,
    AdvisoryLock,
    connect_options,
    driver_url,
    end_transaction,
    tls_of,
)
from parley.backing.db.sqlite import READ_ONLY, SqliteConnector, begin_explicitly
from parley.backing.errors import BackingUnavailable
from parley.model.errors import InvalidValue
from parley.service.clock import Clock
from parley.service.errors import StartError
from parley.service.ids import RandomIds
from parley.service.tls import TlsFiles

READ_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 10.0
_MIGRATION_TIMEOUT_S = 3600.0
_POOL_SIZE = 8
_CLOSE_TIMEOUT_S = 0.5

IsHeld: TypeAlias = Callable[[], Awaitable[bool]]

_ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


class CannotOpen(BackingUnavailable, StartError):
    """The database cannot be opened, or its schema does not serve this version."""


class Database:
    """Opens transactions; repositories are built on it.

    Attributes:
        clock: stamps rows and events.
        ids: makes ids and tokens.
        committed: set after every commit of this process; the outbox's publisher waits for it.
        migrated: what `start` found and left as the schema's revision.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        migrates: bool = False,
        tls: TlsFiles = TlsFiles(),  # noqa: B008 - immutable
    ) -> None:
        """Takes the database's URL.

        Args:
            url: of SQLAlchemy, for SQLite or PostgreSQL.
            clock: see above.
            migrates: brings a server's schema to this version's at the start, which takes the
                right to change it; otherwise it is only checked. An embedded one always migrates.
            tls: files for a URL with `sslmode=verify-full`.
        """
        self.clock = clock
        self.ids = RandomIds()
        self.committed = asyncio.Event()
        self.migrated = Migrated(None, None)
        self._url, self._tls = tls_of(_parsed(url), tls)
        self._is_memory = self.is_sqlite and self._url.database in {None, "", ":memory:"}
        self._anchor: sqlite3.Connection | None = None
        if self._is_memory:
            # A name makes it one database for several connections: a statement that is cancelled
            # takes its connection along, and must not take the data.
            name = f"file:/parley-{self.ids.token(8)}?vfs=memdb"
            self._url = self._url.set(database=name, query={})
        self._migrates = migrates or self.is_sqlite
        self._connector = SqliteConnector(self._url.database or "") if self.is_sqlite else None
        self._engine: AsyncEngine | None = None
        self._writer = asyncio.Lock()
        self._exclusive: dict[int, asyncio.Lock] = {}
        self._read_options = {READ_ONLY: True} if self.is_sqlite else ONE_STATE

    @property
    def is_sqlite(self) -> bool:
        """Says whether this process is alone on an embedded database."""
        return self._url.get_backend_name() == "sqlite"

    async def start(self) -> None:
        """Opens the database and migrates it, or checks its schema.

        Raises:
            CannotOpen: it cannot be reached, opened or migrated, or its schema is too old or new.
        """
        try:
            if self._is_memory:
                self._anchor = sqlite3.connect(self._url.database or "", uri=True)
            elif self.is_sqlite:
                Path(self._url.database or "").parent.mkdir(parents=True, exist_ok=True)
            self._engine = self._make_engine()
            if self._migrates:
                async with self.write(_MIGRATION_TIMEOUT_S) as connection:
                    self.migrated = await connection.run_sync(upgrade)
            else:
                async with self.read() as connection:
                    self.migrated = await connection.run_sync(check)
        except (
            *(BackingUnavailable, OSError, ImportError, ArgumentError, MigrationError),
            TypeError,  # an option in the URL that the driver does not know
        ) as error:
            await self.aclose()
            # Without the options: a password may be one of them.
            place = self._url.set(query={}).render_as_string(hide_password=True)
            raise CannotOpen(f"The database {place} cannot be opened: {error}.") from error
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Closes every connection."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await self._dispose(engine)
        if self._connector is not None:
            await self._connector.aclose()
        if self._anchor is not None:
            self._anchor.close()
            self._anchor = None

    @asynccontextmanager
    async def read(self, timeout_s: float = READ_TIMEOUT_S) -> AsyncIterator[AsyncConnection]:
        """Opens a transaction that sees one state of the database and changes nothing.

        Raises:
            BackingUnavailable: no answer in time, or the connection broke.
        """
        # In memory there is no WAL: a reader would find the database locked by a writer.
        turn = self._writer if self._is_memory else nullcontext()
        async with self._guarded(timeout_s), turn, self._connect(read_only=True) as connection:
            yield connection

    @asynccontextmanager
    async def write(self, timeout_s: float = WRITE_TIMEOUT_S) -> AsyncIterator[AsyncConnection]:
        """Opens a transaction that is committed at the end, or rolled back by an exception.

        Raises:
            BackingUnavailable: no answer in time, or the connection broke.
            InvalidValue: a value does not fit its column.
        """
        turn = self._writer if self.is_sqlite else nullcontext()
        async with self._guarded(timeout_s), turn, self._connect() as connection:
            yield connection
            await connection.commit()
        self.committed.set()

    @asynccontextmanager
    async def exclusive(self, lock_id: int) -> AsyncIterator[IsHeld | None]:
        """Tries to be the only holder of a lock among all processes.

        Yields:
            Asks the server whether it is held still, at least every twenty seconds, or the server
            ends it; None when another holds it.

        Raises:
            BackingUnavailable: no answer in time, or the connection broke.
        """
        if self.is_sqlite:
            lock = self._exclusive.setdefault(lock_id, asyncio.Lock())
            if lock.locked():
                yield None
                return
            async with lock:
                yield _always
            return
        stack = AsyncExitStack()
        try:
            async with self._guarded(READ_TIMEOUT_S):
                connection = await stack.enter_async_context(self._connect())
                lease = AdvisoryLock(connection, lock_id)
                is_mine = await lease.try_acquire()
            yield lease.is_held if is_mine else None
        finally:
            async with self._guarded(READ_TIMEOUT_S):
                await stack.aclose()

    async def take_turns(self, connection: AsyncConnection, lock_id: int) -> None:
        """Waits until no other transaction has this lock, and has it to its end."""
        if not self.is_sqlite:
            await connection.execute(WAIT_FOR_LOCK, {"id": lock_id})

    def insert(self, table: type[Base]) -> SqliteInsert | PostgresInsert:
        """Begins an INSERT that can say ON CONFLICT."""
        return sqlite_insert(table) if self.is_sqlite else postgres_insert(table)

    @asynccontextmanager
    async def _guarded(self, timeout_s: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except IntegrityError:
            raise
        except (UnicodeEncodeError, OverflowError) as error:
            raise _unfit() from error
        except (TimeoutError, PoolTimeout) as error:
            raise BackingUnavailable("the database did not answer in time") from error
        except (DBAPIError, OSError) as error:
            if _is_unfit_value(error):
                raise _unfit() from error
            raise BackingUnavailable(f"the database failed: {_reason(error)}") from error

    @asynccontextmanager
    async def _connect(self, *, read_only: bool = False) -> AsyncIterator[AsyncConnection]:
        if self._engine is None:
            raise BackingUnavailable("the database is closed")
        async with self._engine.connect() as connection:
            if read_only:
                await connection.execution_options(**self._read_options)
            try:
                yield connection
            finally:
                if self._connector is None:
                    await end_transaction(connection)

    async def _dispose(self, engine: AsyncEngine) -> None:
        # A server that hangs does not say good-bye: each attempt gives up one connection.
        for _ in range(_POOL_SIZE + 1):
            try:
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await engine.dispose()
            except TimeoutError:
                continue
            return

    def _make_engine(self) -> AsyncEngine:
        options: dict[str, Any] = {
            "json_serializer": lambda value: msgspec.json.encode(value).decode(),
            "json_deserializer": msgspec.json.decode,
        }
        options.update(pool_size=_POOL_SIZE, max_overflow=0, pool_timeout=WRITE_TIMEOUT_S)
        options["poolclass"] = AsyncAdaptedQueuePool
        if self._connector is not None:
            options["async_creator"] = self._connector
        else:
            options.update(connect_options(self._tls))
        engine = create_async_engine(self._url, **options)
        if self._connector is not None:
            begin_explicitly(engine)
        return engine


async def _always() -> bool:
    return True


def _parsed(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text may hold a password: it is not repeated, nor the error that repeats it.
        raise CannotOpen(
            "PARLEY_BACKING_DATABASE_URL cannot be understood: it is sqlite:///path or "
            "postgresql://user:password@host:port/name."
        ) from None
    if url.get_backend_name() == "postgresql":
        url = driver_url(url)
    driver = _ASYNC_DRIVERS.get(url.drivername)
    return url if driver is None else url.set(drivername=driver)


def _unfit() -> InvalidValue:
    return InvalidValue("a value cannot be stored", error_id="value-invalid")


def names_unknown_row(error: IntegrityError) -> bool:
    """Says whether a foreign key was refused because the row that it names is not there."""
    # 23503 is PostgreSQL's "foreign key violation"; SQLite has words only.
    state = getattr(error.orig, "sqlstate", None)
    return state == "23503" or "FOREIGN KEY" in str(error.orig)


def _reason(error: DBAPIError | OSError) -> str:
    # The driver's own words: SQLAlchemy adds the statement with its values.
    return str(getattr(error, "orig", None) or error).partition("\n")[0]


def _is_unfit_value(error: DBAPIError | OSError) -> bool:
    # Class 22 of the SQL states is "data exception"; asyncpg's errors carry no better type.
    state = str(getattr(getattr(error, "orig", None), "sqlstate", ""))
    return isinstance(error, DataError) or state.startswith("22")
