"""How this platform connects to PostgreSQL: limits that hold when a process or a host is gone.

Transactions have time-outs of their own (`engine.py`); these settings let the server end what a
client that froze or vanished would keep open, such as the lock of the outbox.
"""

import asyncio
import ssl
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from parley.service.tls import TlsFiles, client_context

CONNECT_TIMEOUT_S = 5.0
_CHECKED: Final = frozenset(("verify-ca", "verify-full"))
_ROLLBACK_TIMEOUT_S = 1.0
_ANSWER_TIMEOUT_S = 3.0

_SERVER_SETTINGS = {
    "application_name": "parley",
    # Above every time-out of a transaction; migrations lift it.
    "statement_timeout": "65s",
    "idle_in_transaction_session_timeout": "30s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
}

ONE_STATE = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
"""Execution options of transactions that see one state of the database and change nothing."""

WAIT_FOR_LOCK = text("SELECT pg_advisory_xact_lock(:id)")
"""Takes a lock among all processes until the transaction ends, waiting for its holder."""


def connect_options(tls: ssl.SSLContext | None) -> dict[str, Any]:
    """Returns the options of the engine for a PostgreSQL server; None: TLS as the URL says."""
    return {
        # A connection that died in the pool is found before it is used.
        "pool_pre_ping": True,
        "connect_args": {
            "timeout": CONNECT_TIMEOUT_S,
            "server_settings": dict(_SERVER_SETTINGS),
            **({} if tls is None else {"ssl": tls}),
        },
    }


def driver_url(url: URL) -> URL:
    """Names the TLS option as the driver does; URLs made for others call it `sslmode`."""
    mode = url.query.get("sslmode")
    if mode is None:
        return url
    return url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})


def tls_of(url: URL, files: TlsFiles) -> tuple[URL, ssl.SSLContext | None]:
    """Makes the TLS of a URL that wants the server's certificate checked.

    Believed is the CA of `files`, or the system's where they name none.

    Returns:
        The URL without what the context says now, and the context; None leaves it to the driver.

    Raises:
        StartError: the files cannot be used.
    """
    mode = url.query.get("ssl")
    if mode not in _CHECKED:
        return url, None
    context = client_context(files, checks_name=mode == "verify-full")
    return url.difference_update_query(["ssl"]), context


async def end_transaction(connection: AsyncConnection) -> None:
    """Rolls back what was not committed; a connection that cannot is thrown away.

    Closing a connection does the same, but waits for a server that hangs for ever, whatever
    time-out or cancellation its caller is under.
    """
    try:
        async with asyncio.timeout(_ROLLBACK_TIMEOUT_S):
            await connection.rollback()
    except (TimeoutError, SQLAlchemyError):
        if not connection.invalidated and not connection.closed:
            await connection.invalidate()


class AdvisoryLock:
    """A lock among all processes, held by the transaction of one connection.

    The server ends a transaction that is idle for half a minute: a process that froze loses it.
    """

    def __init__(self, connection: AsyncConnection, lock_id: int) -> None:
        self._connection = connection
        self._lock_id = lock_id

    async def try_acquire(self) -> bool:
        """Takes the lock unless another process has it."""
        query = text("SELECT pg_try_advisory_xact_lock(:id)")
        return bool(await self._connection.scalar(query, {"id": self._lock_id}))

    async def is_held(self) -> bool:
        """Asks the server whether the transaction, and so the lock, is still there."""
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                await self._connection.execute(text("SELECT 1"))
        except (TimeoutError, SQLAlchemyError, OSError):
            return False
        return True
