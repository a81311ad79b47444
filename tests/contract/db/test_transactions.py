"""The database contract: one schema, and transactions that are whole or not at all."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select, text

from parley.backing.db.engine import CannotOpen, Database
from parley.backing.db.migrate import upgrade
from parley.backing.db.models import Base, TenantRow
from parley.backing.db.tenants import TenantRepository
from parley.backing.errors import BackingUnavailable
from parley.model.errors import InvalidValue
from parley.model.ids import TenantId
from parley.testkit.clock import FakeClock

MakeTenant = Callable[[str], Awaitable[TenantId]]


@pytest.mark.filterwarnings("ignore:.*expression-based index")
async def test_migrations_give_the_schema_of_the_models(db: Database) -> None:
    def differences(connection: Connection) -> Sequence[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    async with db.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrating_again_changes_nothing(db: Database, make_tenant: MakeTenant) -> None:
    tenant_id = await make_tenant("demo")

    async with db.write() as connection:
        await connection.run_sync(upgrade)

    assert (await TenantRepository(db).get(tenant_id)).name == "demo"


async def test_data_survives_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/parley.db"
    first = Database(url, FakeClock())
    await first.start()
    tenant = await TenantRepository(first).create("demo", ["demo.localhost"])
    await first.aclose()

    second = Database(url, FakeClock())
    await second.start()
    survivor = await TenantRepository(second).get(tenant.id)
    await second.aclose()

    assert survivor == tenant


async def test_exception_rolls_the_whole_transaction_back(db: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with db.write() as connection:
            await TenantRepository(db).insert(connection, "demo", ["demo.localhost"])
            raise ZeroDivisionError

    assert await TenantRepository(db).list_all() == []


async def test_concurrent_writers_all_succeed(db: Database) -> None:
    tenants = TenantRepository(db)

    await asyncio.gather(*(tenants.create(f"n{i}", [f"d{i}.localhost"]) for i in range(20)))

    assert len(await tenants.list_all()) == 20


async def test_transaction_that_takes_too_long_is_unavailable_and_rolled_back(
    db: Database,
    make_tenant: MakeTenant,
) -> None:
    with pytest.raises(BackingUnavailable, match="did not answer in time"):
        async with db.write(0.01) as connection:
            await TenantRepository(db).insert(connection, "demo", ["demo.localhost"])
            await asyncio.Event().wait()

    assert await TenantRepository(db).list_all() == []
    assert await make_tenant("demo")


async def test_cancelled_transaction_takes_nothing_along(db: Database) -> None:
    tenant = await TenantRepository(db).create("demo", ["demo.localhost"])
    for _ in range(3):
        reading = asyncio.ensure_future(TenantRepository(db).list_all())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])

    assert await TenantRepository(db).list_all() == [tenant]


async def test_failing_statement_is_unavailable(db: Database) -> None:
    with pytest.raises(BackingUnavailable, match="the database failed"):
        async with db.read() as connection:
            await connection.execute(text("SELECT * FROM nothing"))


async def test_text_that_cannot_be_stored_is_refused(db: Database) -> None:
    with pytest.raises(InvalidValue):
        await TenantRepository(db).create("caf\udce9", ["demo.localhost"])


async def test_reader_sees_one_state_of_the_database(db: Database, make_tenant: MakeTenant) -> None:
    tenants = TenantRepository(db)
    await make_tenant("one")
    query = select(TenantRow.id)

    async with db.read() as connection:
        before = (await connection.scalars(query)).all()
        other = asyncio.ensure_future(make_tenant("two"))
        await asyncio.wait([other], timeout=0.1)
        assert (await connection.scalars(query)).all() == before
    await other

    assert len(await tenants.list_all()) == 2


async def test_closed_database_is_unavailable(db: Database) -> None:
    await db.aclose()

    with pytest.raises(BackingUnavailable, match="closed"):
        await TenantRepository(db).get(TenantId("t1"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no url",
        "nodb://u:secret@h/d",
        "postgresql://u@h:secret/d",
        "postgresql://u@127.0.0.1:1/d?password=secret",
    ],
)
async def test_foreign_url_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(CannotOpen) as caught:
        await Database(url, FakeClock()).start()

    assert "secret" not in str(caught.value)


async def test_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}", FakeClock())

    with pytest.raises(CannotOpen, match=r"^The database sqlite.* cannot be opened: .*\.$"):
        await database.start()
