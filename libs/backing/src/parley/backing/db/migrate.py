"""Brings a database to the schema of this version; runs at every start, in one transaction."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK_ID = 0x7061726C6579  # any constant of ours


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Applies the migrations that are missing."""
    if connection.dialect.name == "postgresql":
        # The transaction's own time-out bounds it; the server's is for short ones.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        # Several processes may start at once: the second waits and finds nothing to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
    command.upgrade(_config(connection), revision)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
