"""Brings a database to the schema of this version; runs at every start, in one transaction."""

from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK_ID: Final = 0x7061726C6579  # any constant of ours
_VERSIONS: Final = "alembic_version"


class MigrationError(Exception):
    """The database's schema cannot be brought to this version; the text says why."""


def upgrade(connection: Connection, revision: str | None = None) -> None:
    """Applies the migrations that are missing; without any, Alembic is not even loaded.

    Args:
        connection: in a transaction.
        revision: up to which; None: the newest.

    Raises:
        MigrationError: the schema is not one that this version knows.
    """
    if revision in (None, newest()) and _current(connection) == newest():
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    if connection.dialect.name == "postgresql":
        # The transaction's own time-out bounds it; the server's is for short ones.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        # Several processes may start at once: the second waits and finds nothing to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision or "head")
    except CommandError as error:
        raise MigrationError(str(error)) from error


@cache
def newest() -> str:
    """The revision of this version's schema: the last of `versions/<revision>_<name>.py`."""
    names = (path.name for path in (_SCRIPTS / "versions").glob("[0-9]*_*.py"))
    return max(names).partition("_")[0]


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSIONS):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {_VERSIONS}")).scalars().all()  # noqa: S608 - a constant
    return found[0] if len(found) == 1 else None
