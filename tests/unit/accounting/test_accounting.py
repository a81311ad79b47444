"""Accounting makes exactly one CDR of each call, whatever the bus and the database do."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from parley.accounting.app import create_app
from parley.accounting.settings import AccountingSettings
from parley.backing.bus.base import Record, Subscription
from parley.backing.db.cdrs import CdrRepository
from parley.backing.db.engine import Database
from parley.backing.errors import BackingUnavailable
from parley.backing.factory import Backing, Port, create_backing
from parley.backing.settings import BackingSettings
from parley.model.call import CallRecord, CallResult, EndedBy, Termination
from parley.model.errors import NotFound
from parley.model.events import (
    CallEnded,
    CallProgress,
    CallStarted,
    CdrCreated,
    decode_event,
    encode_event,
)
from parley.model.ids import CallId, InstanceId, TenantId
from parley.service.lifecycle import Service
from parley.service.metrics import Registry
from parley.testkit.clock import FakeClock
from parley.testkit.contracts.arms import settled

_TENANT = TenantId("t1")


class _FailingDatabase(Database):
    """Is away for a number of writes."""

    outages = 0
    writes = 0
    write_began = asyncio.Event()

    @asynccontextmanager
    async def write(self, timeout_s: float = 10.0) -> AsyncIterator[AsyncConnection]:
        if self.outages:
            self.outages -= 1
            raise BackingUnavailable("away")
        self.write_began.set()
        self.writes += 1
        async with super().write(timeout_s) as connection:
            yield connection


class _Bench:
    """The service on embedded backing, with ears on what it publishes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        settings = BackingSettings(is_durable=False)
        self.backing: Backing = create_backing(
            Port.DATABASE | Port.BUS, settings, self.clock, Registry()
        )
        self.db = _FailingDatabase("sqlite://", self.clock)
        self.backing.db = self.db
        self.registry = Registry()
        self.service: Service = self.make_service()
        self.heard: dict[str, list[Record]] = {"cdr": [], "call.dead": []}
        self.hears = asyncio.Condition()
        self.tails: list[Subscription] = []

    def make_service(self) -> Service:
        settings = AccountingSettings(max_retry_s=0.001, gather_s=0.02)
        return create_app(settings, self.backing, self.clock, self.registry)

    async def start(self) -> None:
        await self.backing.start()
        self.tails = [self.backing.bus.tail(topic, self._hear) for topic in self.heard]
        await self.service.start()

    async def aclose(self) -> None:
        await self.service.aclose()
        for tail in self.tails:
            await tail.aclose()
        await self.backing.aclose()

    async def _hear(self, records: Sequence[Record]) -> None:
        async with self.hears:
            for record in records:
                self.heard[record.topic].append(record)
            self.hears.notify_all()

    async def wait_for(self, topic: str, count: int) -> list[Record]:
        async with asyncio.timeout(5), self.hears:
            await self.hears.wait_for(lambda: len(self.heard[topic]) >= count)
        return self.heard[topic]

    def publish(self, value: bytes, key: str = "c1") -> None:
        self.backing.bus.publish("call", key, value)

    def value(self, name: str, **labels: str) -> float:
        return self.registry.value(f"parley_accounting_{name}", labels)

    def ended(self, call_id: str = "c1", result: CallResult = CallResult.ANSWERED) -> CallEnded:
        now = self.clock.wall()
        record = CallRecord(
            call_id=CallId(call_id),
            tenant_id=_TENANT,
            caller="1001",
            callee="1002",
            dialled="1002",
            started_at=now - timedelta(seconds=10),
            ended_at=now,
            termination=Termination(
                result=result, reason="hangup", sip_status=200, by=EndedBy.CALLER
            ),
        )
        return CallEnded(
            id=f"e-{call_id}-{result}",
            source="callmanager-1",
            time=now,
            subject=call_id,
            tenantid=_TENANT,
            sequence=4,
            data=record,
        )


@pytest.fixture
async def bench() -> AsyncIterator[_Bench]:
    bench = _Bench()
    await bench.start()
    yield bench
    await bench.aclose()


async def test_ended_call_becomes_a_cdr_that_is_announced(bench: _Bench) -> None:
    ended = bench.ended()

    bench.publish(encode_event(ended))

    (announcement,) = await bench.wait_for("cdr", 1)
    created = decode_event(announcement.value)
    assert isinstance(created, CdrCreated)
    assert created.data == ended.data
    assert (created.id, created.subject, created.tenantid) == (f"cdr-{ended.id}", "c1", _TENANT)
    assert announcement.key == "c1"
    assert await CdrRepository(bench.db).get(_TENANT, CallId("c1")) == ended.data
    assert bench.value("cdrs_total", result="answered") == 1


async def test_event_delivered_twice_makes_one_cdr_and_one_announcement(bench: _Bench) -> None:
    bench.publish(encode_event(bench.ended()))
    await bench.wait_for("cdr", 1)

    bench.publish(encode_event(bench.ended()))
    bench.publish(encode_event(bench.ended("c2")), key="c2")

    announced = await bench.wait_for("cdr", 2)
    assert [record.key for record in announced] == ["c1", "c2"]
    assert bench.value("duplicates_total") == 1


async def test_other_events_of_a_call_make_no_cdr(bench: _Bench) -> None:
    started = CallStarted(
        id="e0",
        source="callmanager-1",
        time=bench.clock.wall(),
        subject="c1",
        tenantid=_TENANT,
        data=CallProgress(
            call_id=CallId("c1"),
            caller="1001",
            dialled="1002",
            started_at=bench.clock.wall(),
            owner=InstanceId("callmanager-1"),
        ),
    )
    newer = encode_event(started).replace(b"call.started", b"call.applauded")

    bench.publish(encode_event(started))
    bench.publish(newer)
    bench.publish(encode_event(bench.ended("c2")), key="c2")

    await bench.wait_for("cdr", 1)
    with pytest.raises(NotFound):
        await CdrRepository(bench.db).get(_TENANT, CallId("c1"))
    assert bench.heard["call.dead"] == []


async def test_malformed_event_is_put_aside_and_harms_no_other(bench: _Bench) -> None:
    foreign = replace(bench.ended("c2"), tenantid=TenantId("t2"))
    no_record = encode_event(bench.ended("c3")).replace(b'"termination"', b'"end"')

    for value in (b"\xff", no_record, encode_event(foreign)):
        bench.publish(value)
    bench.publish(encode_event(bench.ended()))

    dead = await bench.wait_for("call.dead", 3)
    await bench.wait_for("cdr", 1)
    assert [record.value for record in dead] == [b"\xff", no_record, encode_event(foreign)]
    assert bench.value("malformed_total") == 3


async def test_record_that_fits_no_column_is_put_aside_alone(bench: _Bench) -> None:
    ended = bench.ended("c1")
    end = replace(ended.data.termination, sip_status=1 << 70)
    unfit = replace(ended, data=replace(ended.data, termination=end))

    bench.publish(encode_event(unfit))
    bench.publish(encode_event(bench.ended("c2")), key="c2")

    (dead,) = await bench.wait_for("call.dead", 1)
    assert dead.value == encode_event(unfit)
    assert [record.key for record in await bench.wait_for("cdr", 1)] == ["c2"]
    assert (await CdrRepository(bench.db).get(_TENANT, CallId("c2"))).call_id == "c2"


async def test_cdrs_wait_while_the_database_is_away(bench: _Bench) -> None:
    bench.db.outages = 8  # more than the bus would try

    bench.publish(encode_event(bench.ended()))

    await bench.wait_for("cdr", 1)
    assert bench.heard["call.dead"] == []
    assert bench.value("retries_total") == 8


async def test_real_end_replaces_that_of_a_call_believed_lost(bench: _Bench) -> None:
    bench.publish(encode_event(bench.ended(result=CallResult.LOST)))
    await bench.wait_for("cdr", 1)

    bench.publish(encode_event(bench.ended()))

    assert len(await bench.wait_for("cdr", 2)) == 2
    stored = await CdrRepository(bench.db).get(_TENANT, CallId("c1"))
    assert stored.termination.result is CallResult.ANSWERED


async def test_events_published_while_it_was_down_become_cdrs(bench: _Bench) -> None:
    await bench.service.aclose()
    assert not bench.service.is_ready()
    for number in range(300):
        bench.publish(encode_event(bench.ended(f"c{number}")), key=f"c{number}")

    bench.service = bench.make_service()
    await bench.service.start()

    assert bench.service.is_ready()
    assert len({record.key for record in await bench.wait_for("cdr", 300)}) == 300


async def test_closing_finishes_the_batch_in_hand(bench: _Bench) -> None:
    bench.publish(encode_event(bench.ended()))
    bench.db.write_began.clear()
    async with asyncio.timeout(5):
        await bench.db.write_began.wait()

    await bench.service.aclose()
    await bench.wait_for("cdr", 1)
    await bench.service.aclose()


async def test_calls_that_end_close_together_share_transactions(bench: _Bench) -> None:
    before = bench.db.writes
    bench.publish(encode_event(bench.ended("c0")), "c0")
    await bench.wait_for("cdr", 1)

    for number in range(1, 6):
        bench.publish(encode_event(bench.ended(f"c{number}")), f"c{number}")
        await asyncio.sleep(0)
    await bench.wait_for("cdr", 6)

    # The CDRs of the first call, of the others together, and the outbox after each.
    assert bench.db.writes - before <= 4


@pytest.mark.parametrize("outages", [0, 1])
async def test_cdrs_older_than_the_retention_are_deleted_and_no_others(
    bench: _Bench, monkeypatch: pytest.MonkeyPatch, outages: int
) -> None:
    monkeypatch.setattr("parley.accounting.retention._BATCH", 2)
    monkeypatch.setattr("parley.accounting.retention._PAUSE_S", 0)
    old = [bench.ended(f"old{number}").data for number in range(5)]
    bench.clock.advance(8 * 86_400)
    new = bench.ended("new").data
    cdrs = CdrRepository(bench.db)
    async with bench.db.write() as connection:
        await cdrs.upsert(connection, [new])
        await cdrs.upsert(connection, old)
    if outages:
        bench.db.outages = outages
        monkeypatch.setattr("parley.accounting.retention._INTERVAL_S", 0.001)

    registry = Registry()
    settings = AccountingSettings(cdr_retention_days=7)
    keeping = create_app(settings, bench.backing, bench.clock, registry)
    await keeping.start()
    await settled(lambda: registry.value("parley_accounting_cdrs_expired_total", {}) == 5)
    await keeping.aclose()

    assert [record.call_id for record in (await cdrs.list_page(_TENANT)).records] == ["new"]
