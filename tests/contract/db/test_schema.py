"""The schema: services run on their own revision and newer ones, and change none by themselves."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest
from sqlalchemy import text, update
from tests.cluster.servers.postgresql import PostgresServer

from parley.backing.db.engine import CannotOpen, Database
from parley.backing.db.extensions import ExtensionChange, ExtensionRepository, NewExtension
from parley.backing.db.migrate import newest, upgrade
from parley.backing.db.models import SchemaRow
from parley.backing.db.provisioning import NewTenant, provision_tenant
from parley.backing.db.tenants import TenantRepository
from parley.backing.db.tokens import TokenRepository
from parley.backing.errors import BackingUnavailable
from parley.service.ids import RandomIds
from parley.testkit.clock import FakeClock

_OLD_TENANT = (
    "INSERT INTO tenants (id, name, enabled, settings, created_at, updated_at)"
    " VALUES ('t1', 'Old', true, '{}', '2026-01-01 00:00:00', '2026-01-01 00:00:00')",
    "INSERT INTO tenant_domains (domain, tenant_id, position) VALUES ('old.test', 't1', 0)",
)


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a new database without a schema."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/parley.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"schema_{RandomIds().token()}"
    yield server.create_database(name)
    await asyncio.to_thread(server.drop_database, name)


class _OldDatabase(Database):
    """Leaves the schema of the first revision behind."""

    async def start(self) -> None:
        self._engine = self._make_engine()
        async with self.write() as connection:
            await connection.run_sync(upgrade, "0001")


async def _execute(database: Database, *statements: str) -> None:
    async with database.write() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def _make_old(url: str) -> None:
    old = _OldDatabase(url, FakeClock())
    await old.start()
    await _execute(old, *_OLD_TENANT)
    await old.aclose()


async def _make_newer(url: str, oldest_code: str) -> None:
    """Makes a schema that a later version expanded."""
    database = Database(url, FakeClock(), migrates=True)
    await database.start()
    await _execute(
        database,
        "ALTER TABLE extensions ADD COLUMN colour VARCHAR(8) DEFAULT 'red' NOT NULL",
        "CREATE TABLE colours (name VARCHAR(8) PRIMARY KEY)",
        "UPDATE alembic_version SET version_num = '9998'",
    )
    async with database.write() as connection:
        await connection.execute(update(SchemaRow).values(oldest_code=oldest_code))
    await database.aclose()


async def _works(database: Database) -> None:
    new = NewTenant(
        name="demo",
        domains=["demo.test"],
        extensions=[NewExtension(number="1001", password="pw")],
    )
    tenant = await provision_tenant(database, new)
    extension = tenant.extensions["1001"]
    change = ExtensionChange(display_name="Ann")
    await ExtensionRepository(database).update(tenant.id, extension.id, change)
    await TokenRepository(database).create("key", tenant.id)
    assert (await TenantRepository(database).load_snapshot(tenant.id)) is not None
    assert await TenantRepository(database).delete(tenant.id)


async def test_service_refuses_an_old_schema_of_a_server_and_names_the_command(url: str) -> None:
    await _make_old(url)
    database = Database(url, FakeClock())
    if database.is_sqlite:
        # This process is alone on it: nobody else could migrate it.
        await database.start()
        assert database.migrated == ("0001", newest())
    else:
        with pytest.raises(CannotOpen, match=r"^The database .*0001.*`parley migrate`\.$"):
            await database.start()
        # It was left as it was.
        with pytest.raises(CannotOpen, match="0001"):
            await database.start()
    await database.aclose()


async def test_server_without_a_schema_is_refused_too(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database("schema_none")

    with pytest.raises(CannotOpen, match=r"no schema.*`parley migrate`\.$"):
        await Database(url, FakeClock()).start()
    await asyncio.to_thread(postgres_server.drop_database, "schema_none")


async def test_migrating_keeps_what_is_there(url: str) -> None:
    await _make_old(url)
    database = Database(url, FakeClock(), migrates=True)

    await database.start()

    assert database.migrated == ("0001", newest())
    found = await TenantRepository(database).find_by_domain("old.test")
    assert found is not None
    assert (found.name, found.version) == ("Old", 1)
    await _works(database)
    await database.aclose()


async def test_code_works_on_a_newer_schema_that_still_serves_it(url: str) -> None:
    await _make_newer(url, oldest_code="0001")
    for migrates in (False, True):
        database = Database(url, FakeClock(), migrates=migrates)
        await database.start()

        assert database.migrated == ("9998", "9998")
        await _works(database)
        await database.aclose()


async def test_schema_that_no_longer_serves_this_code_is_refused_in_one_sentence(url: str) -> None:
    await _make_newer(url, oldest_code="9997")
    for migrates in (False, True):
        with pytest.raises(CannotOpen, match=r"^The .* revision 9998, .*9997.* newer version\.$"):
            await Database(url, FakeClock(), migrates=migrates).start()


async def test_of_several_that_migrate_at_once_one_does(url: str) -> None:
    databases = [Database(url, FakeClock(), migrates=True) for _ in range(4)]

    await asyncio.gather(*(database.start() for database in databases))

    found = sorted(str(database.migrated.before) for database in databases)
    assert found == sorted(["None", newest(), newest(), newest()])
    for database in databases:
        await database.aclose()


async def test_a_new_file_that_another_writes_to_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, is_waiting = tmp_path / "parley.db", threading.Event()
    monkeypatch.setattr("parley.backing.db.sqlite.sleep", lambda _: is_waiting.set())
    monkeypatch.setattr("parley.backing.db.sqlite._WAL_ATTEMPTS", 1_000_000)
    database = Database(f"sqlite:///{path}", FakeClock())
    async with aclosing(database):
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("CREATE TABLE others (name VARCHAR(8))")
            other.execute("BEGIN IMMEDIATE")
            starting = asyncio.create_task(database.start())
            try:
                assert await asyncio.to_thread(is_waiting.wait, 5.0)
            finally:
                other.rollback()
                await asyncio.wait_for(starting, 20.0)
    assert database.migrated == (None, newest())


async def test_services_work_without_the_right_to_change_the_schema(
    postgres_server: PostgresServer,
) -> None:
    url = postgres_server.create_database("schema_rights")
    owner = Database(url, FakeClock(), migrates=True)
    await owner.start()
    await _execute(
        owner,
        "DROP ROLE IF EXISTS parley_service",
        "CREATE ROLE parley_service LOGIN",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO parley_service",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO parley_service",
    )
    service = Database(url.replace("postgres@", "parley_service@"), FakeClock())

    await service.start()

    await _works(service)
    with pytest.raises(BackingUnavailable, match="permission denied"):
        await _execute(service, "CREATE TABLE mine (id INTEGER)")
    await service.aclose()
    await owner.aclose()
    await asyncio.to_thread(postgres_server.drop_database, "schema_rights")
