"""The cache of tenants stays true when events are missed, doubled, or cannot be read."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from parley.backing.bus.base import Record
from parley.backing.bus.embedded import EmbeddedBus
from parley.backing.bus.log import BusLimits
from parley.backing.db.engine import Database
from parley.backing.db.extensions import ExtensionChange, ExtensionRepository, NewExtension
from parley.backing.db.models import OutboxRow
from parley.backing.db.provisioning import NewTenant, provision_tenant
from parley.backing.db.tenants import TenantRepository
from parley.backing.directory import TenantDirectory
from parley.backing.errors import BackingUnavailable
from parley.model.ids import TenantId
from parley.model.tenant import TenantSnapshot
from parley.service.metrics import Metrics, Registry
from parley.testkit.clock import FakeClock
from parley.testkit.contracts.arms import settled

_REFRESH = "parley.backing.tenant_refresh"
_DEMO = TenantId("demo")


class _Database(Database):
    """Counts reads, and can fail them."""

    def __init__(self) -> None:
        super().__init__("sqlite://", FakeClock())
        self.reads = 0
        self.error: Exception | None = None

    @asynccontextmanager
    async def read(self, timeout_s: float = 5.0) -> AsyncIterator[AsyncConnection]:
        self.reads += 1
        if self.error is not None:
            raise self.error
        async with super().read(timeout_s) as connection:
            yield connection


class _Bench:
    """A directory over a real bus; events travel only when the test sends them."""

    def __init__(self, db: Database, bus: EmbeddedBus, directory: TenantDirectory) -> None:
        self.db = db
        self.bus = bus
        self.directory = directory
        self.tenants = TenantRepository(db)
        self.extensions = ExtensionRepository(db)

    async def provision(self, name: str, extensions: int = 2) -> TenantSnapshot:
        new = [NewExtension(number=str(1001 + n), password="pw") for n in range(extensions)]
        tenant = NewTenant(id=TenantId(name), name=name, domains=[f"{name}.test"], extensions=new)
        return await provision_tenant(self.db, tenant)

    async def warm(self) -> TenantSnapshot:
        snapshot = await self.directory.load("demo.test")
        assert snapshot is not None
        return snapshot

    async def take_events(self) -> list[bytes]:
        async with self.db.write() as connection:
            rows = (await connection.scalars(select(OutboxRow.value).order_by(OutboxRow.id))).all()
            await connection.execute(delete(OutboxRow))
        return list(rows)

    async def send(self, values: Sequence[bytes]) -> None:
        """Sends events; returns when the directory has them."""
        taken = asyncio.Event()

        async def take(_: Sequence[Record]) -> None:
            taken.set()

        # Heard after the directory's own tail.
        after = self.bus.tail("config", take)
        await asyncio.sleep(0)
        for value in values:
            self.bus.publish("config", "demo", value)
        async with asyncio.timeout(5):
            await taken.wait()
        await after.aclose()

    def peek(self) -> TenantSnapshot | None:
        return self.directory.peek("demo.test")


@pytest.fixture
async def db() -> AsyncIterator[_Database]:
    database = _Database()
    await database.start()
    yield database
    await database.aclose()


@asynccontextmanager
async def _running(db: Database, max_extensions: int = 1000) -> AsyncIterator[_Bench]:
    bus = EmbeddedBus(FakeClock(), Metrics(Registry(), "backing"), None, BusLimits(partitions=1))
    await bus.start()
    directory = TenantDirectory(db, bus, max_extensions)
    await directory.start()
    bench = _Bench(db, bus, directory)
    await bench.provision("demo")
    await bench.take_events()
    yield bench
    await directory.aclose()
    await bus.aclose()


@pytest.fixture
async def bench(db: _Database) -> AsyncIterator[_Bench]:
    async with _running(db) as running:
        yield running


@pytest.fixture
async def hasty(db: _Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[_Bench]:
    """One that reconciles all the time."""
    for name in ("_FIRST_S", "_RECONCILE_S", "_RETRY_S"):
        monkeypatch.setattr(f"{_REFRESH}.{name}", 0.005)
    async with _running(db) as running:
        yield running


async def test_change_that_nobody_told_is_found_by_reconciliation(hasty: _Bench) -> None:
    old = await hasty.warm()

    await hasty.extensions.update(
        _DEMO, old.extensions["1001"].id, ExtensionChange(display_name="Ann")
    )

    await settled(lambda: (w := hasty.peek()) is not None and w.version == old.version + 1)
    new = hasty.peek()
    assert new is not None and new.extensions["1001"].display_name == "Ann"


async def test_deletion_that_nobody_told_is_found_by_reconciliation(hasty: _Bench) -> None:
    await hasty.warm()

    await hasty.tenants.delete(_DEMO)

    await settled(lambda: hasty.peek() is None)


async def test_auth_name_that_became_ambiguous_unheard_finds_nobody(hasty: _Bench) -> None:
    assert await hasty.directory.load_by_auth_name("1001") is not None

    await hasty.provision("other")

    await settled(lambda: hasty.directory.peek_by_auth_name("1001") is None)
    assert await hasty.directory.load_by_auth_name("1001") is None


@pytest.mark.parametrize("error", [BackingUnavailable("away"), RuntimeError("a fault of ours")])
async def test_reconciliation_outlives_whatever_fails(
    db: _Database, hasty: _Bench, error: Exception
) -> None:
    old = await hasty.warm()
    db.error, db.reads = error, 0
    await settled(lambda: db.reads >= 3)
    assert hasty.peek() is old

    await hasty.tenants.update(_DEMO, name="Renamed")
    db.error = None

    await settled(lambda: (w := hasty.peek()) is not None and w.name == "Renamed")


async def test_event_after_a_missed_one_brings_both_changes(bench: _Bench) -> None:
    old = await bench.warm()
    first, second = old.extensions["1001"].id, old.extensions["1002"].id
    await bench.extensions.update(_DEMO, first, ExtensionChange(display_name="Ann"))
    await bench.extensions.update(_DEMO, second, ExtensionChange(display_name="Bob"))
    _, later = await bench.take_events()

    await bench.send([later])

    await settled(lambda: bench.peek() is not old)
    new = bench.peek()
    assert new is not None and new.version == old.version + 2
    assert [entry.display_name for entry in new.extensions.values()] == ["Ann", "Bob"]


async def test_event_of_what_is_known_costs_no_read(db: _Database, bench: _Bench) -> None:
    extension = (await bench.warm()).extensions["1001"].id
    await bench.extensions.update(_DEMO, extension, ExtensionChange(display_name="Ann"))
    events = await bench.take_events()
    await bench.send(events)
    await settled(lambda: (w := bench.peek()) is not None and w.version == 2)
    known, db.reads = bench.peek(), 0

    await bench.send(events)
    await bench.tenants.update(_DEMO, name="Renamed")
    await bench.send(await bench.take_events())

    await settled(lambda: bench.peek() is not known)
    # One for the new name alone.
    assert db.reads == 1


async def test_handler_that_failed_by_a_fault_of_ours_is_made_up_for(
    db: _Database, bench: _Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{_REFRESH}._RETRY_S", 0.005)
    extension = (await bench.warm()).extensions["1001"].id
    await bench.extensions.update(_DEMO, extension, ExtensionChange(display_name="Ann"))

    db.error = RuntimeError("a fault of ours")
    await bench.send(await bench.take_events())
    await settled(lambda: db.reads >= 2)
    db.error = None

    await settled(lambda: (w := bench.peek()) is not None and w.version == 2)


async def test_memory_is_bounded_and_those_in_use_stay(db: _Database) -> None:
    async with _running(db, max_extensions=30) as bench:
        for number in range(10):
            await bench.provision(f"t{number}", extensions=4)
        for number in range(10):
            assert await bench.directory.load(f"t{number}.test") is not None
            # Somebody calls here all the time.
            assert await bench.directory.load("demo.test") is not None

        warm = [n for n in range(10) if bench.directory.peek(f"t{n}.test") is not None]
        assert 1 <= len(warm) <= 6
        assert 9 in warm
        assert bench.peek() is not None
        assert await bench.directory.load("t0.test") is not None


async def test_tenant_larger_than_the_bound_is_served_all_the_same(db: _Database) -> None:
    async with _running(db, max_extensions=5) as bench:
        await bench.provision("large", extensions=20)
        await bench.warm()

        assert await bench.directory.load("large.test") is not None

        assert bench.directory.peek("large.test") is not None
        assert bench.peek() is None
