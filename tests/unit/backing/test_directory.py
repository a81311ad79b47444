"""The tenant directory answers from memory, reads once, and follows changes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from parley.backing.bus.base import Handler, Record, Subscription
from parley.backing.db.engine import Database
from parley.backing.db.extensions import ExtensionChange, ExtensionRepository, NewExtension
from parley.backing.db.models import OutboxRow
from parley.backing.db.provisioning import NewTenant, provision_tenant
from parley.backing.db.tenants import TenantRepository
from parley.backing.directory import NEGATIVE_TTL_S, TenantDirectory
from parley.backing.errors import BackingUnavailable
from parley.model.ids import TenantId
from parley.model.tenant import TenantSnapshot
from parley.testkit.clock import FakeClock
from parley.testkit.contracts.arms import settled

_REFRESH = "parley.backing.tenant_refresh"


class _WatchedDatabase(Database):
    """Counts reads, and can hold them up or fail them."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__("sqlite://", clock)
        self.reads = 0
        self.is_away = False
        self.gate: asyncio.Event | None = None
        self.read_done = asyncio.Event()

    @asynccontextmanager
    async def read(self, timeout_s: float = 5.0) -> AsyncIterator[AsyncConnection]:
        self.reads += 1
        if self.is_away:
            raise BackingUnavailable("away")
        async with super().read(timeout_s) as connection:
            yield connection
        self.read_done.set()
        if self.gate is not None:
            await self.gate.wait()


class _Tail:
    """A bus of which only `tail` is used; the test delivers by hand."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.lag = 0

    def tail(self, topic: str, handler: Handler) -> Subscription:
        assert topic == "config"
        self.handler = handler
        return self

    async def aclose(self) -> None:
        self.handler = None

    async def start(self) -> None: ...

    def publish(self, topic: str, key: str, value: bytes) -> None:
        raise AssertionError("a reader")

    async def publish_and_wait(self, topic: str, key: str, value: bytes) -> None:
        raise AssertionError("a reader")

    def subscribe(self, topic: str, group: str, handler: Handler) -> Subscription:
        raise AssertionError("a group would share the events")


class _Bench:
    """A directory with one tenant `demo` of two extensions in its database."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.db = _WatchedDatabase(self.clock)
        self.bus = _Tail()
        self.directory = TenantDirectory(self.db, self.bus)
        self.tenants = TenantRepository(self.db)
        self.extensions = ExtensionRepository(self.db)

    async def start(self) -> None:
        await self.db.start()
        await self.directory.start()
        await self.provision("demo", ["demo.localhost", "demo.example"])
        await self.take_events()

    async def provision(self, tenant_id: str, domains: Sequence[str]) -> TenantSnapshot:
        numbers = ("1001", "1002")
        new = NewTenant(
            id=TenantId(tenant_id),
            name=tenant_id,
            domains=domains,
            extensions=[NewExtension(number=number, password="pw") for number in numbers],
        )
        return await provision_tenant(self.db, new)

    async def warm(self) -> TenantSnapshot:
        snapshot = await self.directory.load("demo.localhost")
        assert snapshot is not None
        self.db.reads = 0
        return snapshot

    def numbers(self) -> list[str]:
        """The warm tenant's extensions."""
        warm = self.directory.peek("demo.localhost")
        return [] if warm is None else list(warm.extensions)

    async def take_events(self) -> list[Record]:
        async with self.db.write() as connection:
            rows = (await connection.execute(select(OutboxRow).order_by(OutboxRow.id))).all()
            await connection.execute(delete(OutboxRow))
        return [Record(row.topic, 0, row.id, row.key, row.value, 0.0) for row in rows]

    async def deliver(self, records: Sequence[Record] | None = None) -> None:
        assert self.bus.handler is not None
        await self.bus.handler(await self.take_events() if records is None else records)


@pytest.fixture
async def bench() -> AsyncIterator[_Bench]:
    bench = _Bench()
    await bench.start()
    yield bench
    await bench.directory.aclose()
    await bench.db.aclose()


async def test_cold_tenant_is_read_once_and_warm_by_every_name(bench: _Bench) -> None:
    directory = bench.directory
    assert directory.peek("demo.localhost") is None

    loaded = await directory.load("Demo.Localhost")

    assert loaded is not None
    bench.db.reads = 0
    assert directory.peek("demo.localhost") is loaded
    assert directory.peek("DEMO.EXAMPLE") is loaded
    assert directory.peek_by_id(TenantId("demo")) is loaded
    assert await directory.load("demo.example") is loaded
    assert await directory.load_by_id(TenantId("demo")) is loaded
    assert bench.db.reads == 0


async def test_callers_at_the_same_time_share_one_read(bench: _Bench) -> None:
    bench.db.reads = 0

    found = await asyncio.gather(*(bench.directory.load("demo.localhost") for _ in range(50)))

    assert bench.db.reads == 1
    assert len({id(snapshot) for snapshot in found}) == 1


async def test_caller_that_gives_up_leaves_the_others_waiting(bench: _Bench) -> None:
    bench.db.gate = asyncio.Event()
    hasty = asyncio.ensure_future(bench.directory.load("demo.localhost"))
    patient = asyncio.ensure_future(bench.directory.load("demo.localhost"))
    await bench.db.read_done.wait()

    hasty.cancel()
    bench.db.gate.set()

    assert (await patient) is not None
    assert hasty.cancelled()


async def test_unknown_domain_is_remembered_for_a_while(bench: _Bench) -> None:
    directory = bench.directory
    assert await directory.load("nobody.example") is None

    bench.db.reads = 0
    assert await directory.load("Nobody.example") is None
    assert bench.db.reads == 0
    bench.clock.advance(NEGATIVE_TTL_S)
    assert await directory.load("nobody.example") is None
    assert bench.db.reads == 1


async def test_new_tenant_ends_the_memory_of_its_absence(bench: _Bench) -> None:
    assert await bench.directory.load("new.localhost") is None
    assert await bench.directory.load_by_id(TenantId("new")) is None

    await bench.provision("new", ["new.localhost"])
    await bench.deliver()

    assert await bench.directory.load("new.localhost") is not None
    assert await bench.directory.load_by_id(TenantId("new")) is not None


async def test_changed_extension_replaces_only_its_own_entry(bench: _Bench) -> None:
    old = await bench.warm()
    change = ExtensionChange(display_name="Ann", number="2001")
    await bench.extensions.update(old.id, old.extensions["1001"].id, change)

    bench.db.reads = 0
    await bench.deliver()

    new = bench.directory.peek("demo.example")
    assert new is not None
    assert new is bench.directory.peek_by_id(old.id)
    assert sorted(new.extensions) == ["1002", "2001"]
    assert new.extensions["2001"].display_name == "Ann"
    assert new.extensions["1002"] is old.extensions["1002"]
    assert bench.db.reads == 1


async def test_deleted_extension_leaves_the_snapshot(bench: _Bench) -> None:
    old = await bench.warm()
    await bench.extensions.delete(old.id, old.extensions["1001"].id)

    await bench.deliver()

    assert bench.numbers() == ["1002"]


async def test_batch_of_changes_costs_one_read(bench: _Bench) -> None:
    old = await bench.warm()
    for number in range(3001, 3021):
        new = NewExtension(number=str(number), password="pw")
        await bench.extensions.create_many(old.id, [new])
    events = await bench.take_events()
    assert len(events) == 20

    bench.db.reads = 0
    await bench.deliver(events)

    assert bench.db.reads == 1
    assert "3020" in bench.numbers()


async def test_changed_tenant_is_read_again_and_forgets_lost_domains(bench: _Bench) -> None:
    old = await bench.warm()
    await bench.tenants.update(old.id, enabled=False, further_domains=["demo.test"])

    await bench.deliver()

    assert bench.directory.peek("demo.example") is None
    new = bench.directory.peek("demo.test")
    assert new is not None
    assert not new.enabled


async def test_deleted_tenant_is_gone(bench: _Bench) -> None:
    old = await bench.warm()
    await bench.tenants.delete(old.id)

    await bench.deliver()

    assert bench.directory.peek("demo.localhost") is None
    assert await bench.directory.load_by_id(old.id) is None


async def test_change_during_a_read_is_not_lost(bench: _Bench) -> None:
    bench.db.gate = asyncio.Event()
    loading = asyncio.ensure_future(bench.directory.load("demo.localhost"))
    await bench.db.read_done.wait()
    # The old state is read, but not yet in the directory, when the change is made and told.
    gate, bench.db.gate = bench.db.gate, None
    await bench.tenants.update(TenantId("demo"), name="Renamed")
    await bench.deliver()
    gate.set()

    loaded = await loading

    assert loaded is not None
    assert loaded.name == "Renamed"
    assert bench.directory.peek("demo.localhost") is loaded


async def test_unavailable_database_is_told_when_cold_and_unnoticed_when_warm(
    bench: _Bench,
) -> None:
    old = await bench.warm()
    bench.db.is_away = True

    assert await bench.directory.load("demo.localhost") is old
    with pytest.raises(BackingUnavailable):
        await bench.directory.load("other.localhost")
    bench.db.is_away = False
    await bench.provision("other", ["other.localhost"])
    assert await bench.directory.load("other.localhost") is not None


async def test_change_that_cannot_be_read_now_is_read_later(
    bench: _Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{_REFRESH}._RETRY_S", 0.001)
    old = await bench.warm()
    await bench.tenants.update(old.id, name="Renamed")
    events = await bench.take_events()

    bench.db.is_away = True
    await bench.deliver(events)
    assert bench.directory.peek("demo.localhost") is old
    bench.db.is_away = False

    await settled(lambda: getattr(bench.directory.peek_by_id(old.id), "name", "") == "Renamed")


async def test_unique_auth_name_finds_its_extension_without_a_domain(bench: _Bench) -> None:
    directory = bench.directory
    assert directory.peek_by_auth_name("1001") is None

    found = await directory.load_by_auth_name("1001")

    assert found is not None
    assert found.tenant_id == "demo"
    bench.db.reads = 0
    assert directory.peek_by_auth_name("1001") is found
    assert await directory.load_by_auth_name("1001") is found
    assert bench.db.reads == 0


async def test_auth_name_that_became_ambiguous_finds_nobody(bench: _Bench) -> None:
    assert await bench.directory.load_by_auth_name("1001") is not None

    await bench.provision("other", ["other.localhost"])
    await bench.deliver()

    assert bench.directory.peek_by_auth_name("1001") is None
    assert await bench.directory.load_by_auth_name("1001") is None
    bench.db.reads = 0
    assert await bench.directory.load_by_auth_name("1001") is None
    assert bench.db.reads == 0


async def test_malformed_event_harms_nothing(bench: _Bench) -> None:
    old = await bench.warm()

    await bench.deliver([Record("config", 0, 1, "demo", b"\xff", 0.0)])

    assert bench.directory.peek("demo.localhost") is old


async def test_closing_ends_a_load_as_unavailable(bench: _Bench) -> None:
    bench.db.gate = asyncio.Event()
    loading = asyncio.ensure_future(bench.directory.load("demo.localhost"))
    await bench.db.read_done.wait()

    await bench.directory.aclose()

    with pytest.raises(BackingUnavailable):
        await loading
    assert bench.bus.handler is None


async def test_extension_that_memory_does_not_know_yet_is_found_by_a_second_look(
    bench: _Bench,
) -> None:
    tenant = (await bench.warm()).id
    await bench.extensions.create_many(
        tenant, [NewExtension(number="1003", auth_name="anna", password="pw")]
    )
    by_name = await bench.directory.look_again(tenant, "anna")
    assert by_name is not None
    assert by_name.find_auth_name("anna") == by_name.extensions["1003"]
    assert bench.directory.peek("demo.localhost") is by_name


async def test_changed_password_is_found_by_a_second_look(bench: _Bench) -> None:
    tenant = await bench.warm()
    known = tenant.extensions["1001"]
    await bench.extensions.update(tenant.id, known.id, ExtensionChange(password="new"))
    newer = await bench.directory.look_again(tenant.id, "1001")
    assert newer is not None and newer.extensions["1001"].ha1 != known.ha1


async def test_a_name_is_looked_up_again_once_a_second(bench: _Bench) -> None:
    tenant = (await bench.warm()).id
    await asyncio.gather(*(bench.directory.look_again(tenant, "nobody") for _ in range(5)))
    assert bench.db.reads == 1
    assert not bench.directory.may_look_again(tenant, "nobody")


async def test_second_look_while_the_database_is_away_keeps_what_is_known(bench: _Bench) -> None:
    tenant = await bench.warm()
    bench.db.is_away = True
    assert await bench.directory.look_again(tenant.id, "1003") is tenant


async def test_change_during_a_second_look_wins(bench: _Bench) -> None:
    tenant = await bench.warm()
    bench.db.gate = asyncio.Event()
    looking = asyncio.create_task(bench.directory.look_again(tenant.id, "1001"))
    await bench.db.read_done.wait()
    gate, bench.db.gate = bench.db.gate, None
    await bench.extensions.update(
        tenant.id, tenant.extensions["1001"].id, ExtensionChange(display_name="Anna")
    )
    await bench.deliver()
    gate.set()
    newer = await looking
    assert newer is not None and newer.extensions["1001"].display_name == "Anna"
