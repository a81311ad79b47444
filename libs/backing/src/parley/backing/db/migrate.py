"""The schema: what this version needs, what the database has, and the way from one to the other.

Revisions ascend: 0001, 0002... This code runs on its own revision and on newer ones, as long as
the database says that they still serve it (`schema_compatibility`). So a migration expands (tables,
columns with defaults, indexes) and leaves what older code reads and writes alone; one that
contracts raises `oldest_code` and comes a release after the code that no longer needs what it
removes.
"""

from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection, inspect, select, text

from parley.backing.db.models import SchemaRow
from parley.backing.db.postgresql import WAIT_FOR_LOCK

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK_ID: Final = 0x7061726C6579  # any constant of ours
_VERSIONS: Final = "alembic_version"


class MigrationError(Exception):
    """The database's schema does not serve this version; the text says why and what to do."""


class Migrated(NamedTuple):
    """The schema's revision before and after; None: there was no schema."""

    before: str | None
    after: str | None


def check(connection: Connection) -> Migrated:
    """Makes sure that the schema is at least the one that this version needs.

    Raises:
        MigrationError: it is older, or so new that it no longer serves this version.
    """
    found = _current(connection)
    if found is None or found < newest():
        has = "it has no schema yet" if found is None else f"its schema is revision {found}"
        raise MigrationError(
            f"{has}, and this version needs {newest()} or newer; run `parley migrate`"
        )
    if found > newest():
        _check_newer(connection, found)
    return Migrated(found, found)


def upgrade(connection: Connection, revision: str | None = None) -> Migrated:
    """Applies the migrations that are missing; without any, Alembic is not even loaded.

    Args:
        connection: in a transaction. Of several that migrate at once one does, the others wait
            for it and find nothing to do.
        revision: up to which; None: the newest.

    Raises:
        MigrationError: the schema is so new that it no longer serves this version.
    """
    if connection.dialect.name == "postgresql":
        # The transaction's own time-out bounds it; the server's is for short ones.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(WAIT_FOR_LOCK, {"id": _LOCK_ID})
        # A change of a table in use waits for its users and makes others wait behind it.
        connection.execute(text("SET LOCAL lock_timeout = '10s'"))
    before = _current(connection)
    wanted = revision or newest()
    if before is not None and before >= wanted:
        return check(connection) if revision is None else Migrated(before, before)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, wanted)
    return Migrated(before, wanted)


@cache
def newest() -> str:
    """The revision that this version needs: the last of `versions/<revision>_<name>.py`."""
    names = (path.name for path in (_SCRIPTS / "versions").glob("[0-9]*_*.py"))
    return max(names).partition("_")[0]


def _check_newer(connection: Connection, found: str) -> None:
    oldest = None
    if inspect(connection).has_table(SchemaRow.__tablename__):
        oldest = connection.scalar(select(SchemaRow.oldest_code))
    if oldest is None or oldest > newest():
        raise MigrationError(
            f"its schema is revision {found}, which serves code of revision {oldest or found} and"
            f" newer, and this version's is {newest()}; install a newer version"
        )


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSIONS):
        return None
    query = text(f"SELECT version_num FROM {_VERSIONS}")  # noqa: S608 - a constant
    found: str | None = connection.scalar(query)
    return found
