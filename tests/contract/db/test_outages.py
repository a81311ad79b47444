"""The database while PostgreSQL dies, freezes and comes back, and among several processes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import func, select, text
from tests.cluster.servers.postgresql import PostgresServer

from parley.backing.bus.embedded import EmbeddedBus
from parley.backing.bus.log import BusLimits
from parley.backing.db.engine import CannotOpen, Database
from parley.backing.db.extensions import NewExtension
from parley.backing.db.models import OutboxRow, TenantRow
from parley.backing.db.outbox import OutboxPublisher, OutboxRecord, add_to_outbox
from parley.backing.db.provisioning import NewTenant, provision_tenant
from parley.backing.db.tenants import TenantRepository
from parley.backing.directory import TenantDirectory
from parley.backing.errors import BackingUnavailable
from parley.service.clock import SystemClock
from parley.service.ids import RandomIds
from parley.service.metrics import Metrics, Registry
from parley.testkit.contracts.arms import settled

SHORT_S = 0.5
# A time-out, and the seconds that the driver gives a connection to close in order.
BOUND_S = SHORT_S + 5.0
WAIT_S = 15.0

OpenDatabase = Callable[[], Awaitable[Database]]

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def server(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server, which runs again after the test whatever that did to it."""
    yield postgres_server
    if postgres_server.is_running:
        postgres_server.thaw()
    postgres_server.start()


@pytest.fixture
async def open_db(server: PostgresServer) -> AsyncIterator[OpenDatabase]:
    """Opens a new database as any number of processes would."""
    name = f"outages_{RandomIds().token()}"
    url = server.create_database(name)
    opened: list[Database] = []

    async def open_() -> Database:
        database = Database(url, SystemClock(), migrates=True)
        opened.append(database)
        await database.start()
        return database

    yield open_
    for database in opened:
        await database.aclose()
    if server.is_running:
        server.thaw()
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(server.drop_database, name)


async def _count(db: Database, table: Any = TenantRow, timeout_s: float = SHORT_S) -> int:
    async with db.read(timeout_s) as connection:
        return await connection.scalar(select(func.count()).select_from(table)) or 0


async def _insert(db: Database, number: int, timeout_s: float = SHORT_S) -> None:
    async with db.write(timeout_s) as connection:
        await TenantRepository(db).insert(connection, "demo", [f"d{number}.localhost"])


async def _answers(db: Database) -> None:
    """Waits until the database answers again."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                await _count(db)
            except BackingUnavailable:
                await asyncio.sleep(0.02)
            else:
                return


async def test_processes_that_start_at_once_migrate_one_after_the_other(
    open_db: OpenDatabase,
) -> None:
    opened = await asyncio.gather(*(open_db() for _ in range(5)))

    assert [await _count(db) for db in opened] == [0] * 5


async def test_after_a_kill_of_the_server_everything_works_again_by_itself(
    server: PostgresServer, open_db: OpenDatabase
) -> None:
    db = await open_db()
    await _insert(db, 1)
    # Several connections lie in the pool, all of them broken by the kill.
    await asyncio.gather(*(_count(db) for _ in range(8)))

    server.kill()
    for _ in range(2):
        with pytest.raises(BackingUnavailable):
            await _count(db)
        with pytest.raises(BackingUnavailable):
            await _insert(db, 2)
    with pytest.raises(BackingUnavailable):
        async with db.exclusive(1):
            raise AssertionError("nobody can hold a lock of a dead server")
    await asyncio.to_thread(server.start)

    await _answers(db)
    await asyncio.gather(*(_count(db) for _ in range(8)))
    await _insert(db, 2)
    assert await _count(db) == 2


async def test_a_kill_in_the_middle_of_a_transaction_stores_nothing_of_it(
    server: PostgresServer, open_db: OpenDatabase
) -> None:
    db = await open_db()

    with pytest.raises(BackingUnavailable):
        async with db.write() as connection:
            await TenantRepository(db).insert(connection, "demo", ["d.localhost"])
            server.kill()
            await TenantRepository(db).insert(connection, "demo", ["e.localhost"])
    await asyncio.to_thread(server.start)

    await _answers(db)
    assert await _count(db) == 0


async def test_a_frozen_server_costs_each_operation_a_bounded_time(
    server: PostgresServer, open_db: OpenDatabase
) -> None:
    db = await open_db()
    await asyncio.gather(*(_count(db) for _ in range(4)))

    async def fails(operation: Awaitable[object]) -> None:
        async with asyncio.timeout(BOUND_S):
            with pytest.raises(BackingUnavailable, match="in time"):
                await operation

    async def middle() -> None:
        async with db.write(SHORT_S) as connection:
            await TenantRepository(db).insert(connection, "demo", ["d.localhost"])
            server.freeze()
            await TenantRepository(db).insert(connection, "demo", ["e.localhost"])

    await fails(middle())
    # More than the pool has connections.
    await asyncio.gather(*(fails(_count(db)) for _ in range(10)))
    await fails(_insert(db, 1))
    server.thaw()

    await _answers(db)
    assert await _count(db) == 0
    await _insert(db, 1)


async def test_closing_is_bounded_while_the_server_is_frozen(
    server: PostgresServer, open_db: OpenDatabase
) -> None:
    db = await open_db()
    await asyncio.gather(*(_count(db) for _ in range(3)))
    async with db.exclusive(1) as is_held:
        assert is_held is not None and await is_held()
        server.freeze()
        with pytest.raises(BackingUnavailable):
            await _count(db)
        async with asyncio.timeout(5.0):
            await db.aclose()
        server.thaw()


async def test_leaving_a_transaction_is_bounded_while_the_server_is_frozen(
    server: PostgresServer, open_db: OpenDatabase
) -> None:
    db = await open_db()
    async with asyncio.timeout(8.0):
        async with db.exclusive(1):
            server.freeze()
    server.thaw()
    await _answers(db)
    async with asyncio.timeout(8.0):
        async with db.read() as connection:
            await connection.scalar(select(func.count()).select_from(TenantRow))
            server.freeze()
    server.thaw()
    await _answers(db)
    async with asyncio.timeout(8.0):
        with pytest.raises(ZeroDivisionError):
            async with db.write():
                await _insert(db, 1)
                server.freeze()
                raise ZeroDivisionError


async def test_a_lock_is_lost_with_the_server_and_had_again_afterwards(
    server: PostgresServer, open_db: OpenDatabase
) -> None:
    one, two = await open_db(), await open_db()
    with pytest.raises(BackingUnavailable):
        async with one.exclusive(1) as is_held:
            assert is_held is not None and await is_held()
            async with two.exclusive(1) as other:
                assert other is None
            server.kill()
            assert not await is_held()
            raise BackingUnavailable("the lock is lost")
    await asyncio.to_thread(server.start)

    await _answers(two)
    async with two.exclusive(1) as is_held:
        assert is_held is not None and await is_held()


async def test_a_client_that_froze_with_a_lock_loses_it(open_db: OpenDatabase) -> None:
    one, two = await open_db(), await open_db()
    async with one.read() as connection:
        # The real limit is half a minute; the server's own words say that it is in force.
        shown = await connection.scalar(text("SHOW idle_in_transaction_session_timeout"))
        assert shown == "30s"
        await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '50ms'"))
        await connection.execute(text("SELECT pg_advisory_xact_lock(1)"))

        async with asyncio.timeout(WAIT_S):
            while True:
                async with two.exclusive(1) as is_held:
                    if is_held is not None:
                        break
                await asyncio.sleep(0.01)


async def test_an_address_without_a_server_is_one_sentence(server: PostgresServer) -> None:
    server.kill()
    db = Database(server.url, SystemClock())

    with pytest.raises(CannotOpen, match=r"^The database .* cannot be opened: .*\.$"):
        await db.start()


async def test_an_option_that_the_driver_does_not_know_is_one_sentence(
    server: PostgresServer,
) -> None:
    with pytest.raises(CannotOpen, match="colour"):
        await Database(f"{server.url}?colour=red", SystemClock()).start()
    with pytest.raises(CannotOpen, match="SSL"):
        await Database(f"{server.url}?sslmode=require", SystemClock()).start()


class _Bus(EmbeddedBus):
    """A bus that several publishers share, and that takes its time."""

    def __init__(self) -> None:
        metrics = Metrics(Registry(), "backing")
        super().__init__(SystemClock(), metrics, None, BusLimits(partitions=4))
        self.published: list[tuple[str, int]] = []
        self.on_publish: Callable[[int], None] = lambda count: None
        self.submitted = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def publish_and_wait(self, topic: str, key: str, value: bytes) -> None:
        self.submitted += 1
        await asyncio.sleep(0.001)
        await self.answers.wait()
        self.published.append((key, int(value)))
        self.on_publish(len(self.published))


def _publishers(bus: _Bus, *dbs: Database) -> list[OutboxPublisher]:
    return [OutboxPublisher(db, bus, Metrics(Registry(), "test")) for db in dbs]


async def _fill(db: Database, keys: str, count: int) -> None:
    for start in range(0, count, 20):
        rows = [
            OutboxRecord("topic", key, str(number).encode())
            for number in range(start, min(start + 20, count))
            for key in keys
        ]
        while True:
            try:
                async with db.write() as connection:
                    await add_to_outbox(db, connection, rows)
            except BackingUnavailable:
                await asyncio.sleep(0.02)
            else:
                break


def _of_key(bus: _Bus, key: str) -> list[int]:
    return [value for each, value in bus.published if each == key]


async def test_two_senders_publish_every_row_once_and_in_order(open_db: OpenDatabase) -> None:
    one, two = await open_db(), await open_db()
    bus = _Bus()
    publishers = _publishers(bus, one, two)
    for publisher in publishers:
        await publisher.start()

    await asyncio.gather(_fill(one, "ab", 200), _fill(two, "cd", 200))
    await settled(lambda: len(bus.published) >= 800, WAIT_S)
    await asyncio.gather(*(publisher.drain(WAIT_S) for publisher in publishers))
    for publisher in publishers:
        await publisher.aclose()

    assert {key: _of_key(bus, key) for key in "abcd"} == dict.fromkeys("abcd", list(range(200)))
    assert await _count(one, OutboxRow) == 0


async def test_the_second_sender_goes_on_when_the_first_one_dies(open_db: OpenDatabase) -> None:
    one, two = await open_db(), await open_db()
    bus = _Bus()
    first, second = _publishers(bus, one, two)
    await _fill(one, "a", 100)
    bus.answers.clear()
    await first.start()
    await settled(lambda: bus.submitted == 100, WAIT_S)
    assert await second.publish_once() == 0

    await first.aclose()
    bus.answers.set()
    assert await second.publish_once() == 100

    assert _of_key(bus, "a") == list(range(100))
    assert await _count(two, OutboxRow) == 0


async def test_no_row_is_lost_or_out_of_order_over_a_kill_of_the_server(
    server: PostgresServer, open_db: OpenDatabase
) -> None:
    one, two = await open_db(), await open_db()
    bus = _Bus()
    publishers = _publishers(bus, one, two)
    await _fill(one, "ab", 100)
    # The server dies while rows are being published.
    bus.on_publish = lambda count: server.kill() if count == 50 else None
    for publisher in publishers:
        await publisher.start()
    await settled(lambda: not server.is_running, WAIT_S)
    published_before = len(bus.published)
    await asyncio.to_thread(server.start)

    await _fill(two, "c", 100)
    await settled(lambda: _of_key(bus, "c")[-1:] == [99], WAIT_S)
    await asyncio.gather(*(publisher.drain(WAIT_S) for publisher in publishers))
    for publisher in publishers:
        await publisher.aclose()

    # The batch that was under way could not be deleted: it came again.
    assert published_before <= 200 < len(bus.published)
    for key in "abc":
        values = _of_key(bus, key)
        assert set(values) == set(range(100))
        assert values[-100:] == list(range(100))
    assert await _count(one, OutboxRow) == 0


async def test_warm_tenants_are_served_while_the_database_is_away_and_cold_ones_are_not(
    server: PostgresServer, open_db: OpenDatabase
) -> None:
    db, metrics = await open_db(), Metrics(Registry(), "backing")
    bus = EmbeddedBus(SystemClock(), metrics, None, BusLimits(partitions=2))
    await bus.start()
    for name in ("warm", "cold"):
        phones = [NewExtension(number="1001", password="pw")]
        new = NewTenant(name=name, domains=[f"{name}.test"], extensions=phones)
        await provision_tenant(db, new)
    publisher = OutboxPublisher(db, bus, Metrics(Registry(), "test"))
    await publisher.start()
    directory = TenantDirectory(db, bus)
    await directory.start()
    try:
        warm = await directory.load("warm.test")
        assert warm is not None

        server.kill()
        assert directory.peek("warm.test") == warm == await directory.load_by_id(warm.id)
        assert "1001" in warm.extensions
        with pytest.raises(BackingUnavailable):
            await directory.load("cold.test")
        await asyncio.to_thread(server.start)

        await _answers(db)
        assert await directory.load("cold.test") is not None
        await TenantRepository(db).update(warm.id, name="renamed")
        await settled(lambda: getattr(directory.peek("warm.test"), "name", "") == "renamed", WAIT_S)
    finally:
        await directory.aclose()
        await publisher.aclose()
        await bus.aclose()
