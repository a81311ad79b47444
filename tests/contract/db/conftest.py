"""Databases for the contract suite: SQLite in a file and in memory, and PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, select
from tests.cluster.servers.postgresql import PostgresServer

from parley.backing.db.engine import Database
from parley.backing.db.extensions import NewExtension
from parley.backing.db.models import Base, OutboxRow
from parley.backing.db.provisioning import NewTenant, provision_tenant
from parley.model.events import ConfigChanged, decode_event
from parley.model.ids import TenantId
from parley.testkit.clock import FakeClock

_ENGINES = ("sqlite", "memory", "postgresql")


def _url(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        return server.create_database("contract")
    return "sqlite://" if request.param == "memory" else f"sqlite:///{folder}/data/parley.db"


async def _wipe(db: Database) -> None:
    async with db.write() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            await connection.execute(table.delete())


@pytest.fixture(params=_ENGINES)
async def db(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(_url(request, tmp_path), FakeClock(), migrates=True)
    await database.start()
    if request.param == "postgresql":
        await _wipe(database)
    yield database
    await database.aclose()


@pytest.fixture
def make_tenant(db: Database) -> Callable[[str], Awaitable[TenantId]]:
    """Provisions a tenant with the domain `<name>.localhost` and extensions 1001 and 1002."""

    async def make(name: str) -> TenantId:
        numbers = ("1001", "1002")
        extensions = [NewExtension(number=number, password="pw") for number in numbers]
        new = NewTenant(name=name, domains=[f"{name}.localhost"], extensions=extensions)
        return (await provision_tenant(db, new)).id

    return make


@pytest.fixture
def take_config_events(db: Database) -> Callable[[], Awaitable[list[ConfigChanged]]]:
    """Takes from the outbox what would be told to others."""

    async def take() -> list[ConfigChanged]:
        async with db.write() as connection:
            query = select(OutboxRow.value).order_by(OutboxRow.id)
            values = (await connection.scalars(query)).all()
            await connection.execute(delete(OutboxRow))
        events = [decode_event(value) for value in values]
        return [event for event in events if isinstance(event, ConfigChanged)]

    return take
