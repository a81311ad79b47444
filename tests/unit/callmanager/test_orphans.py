"""What dead call managers left is closed, once, with a record."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from parley.backing.bus.base import Record
from parley.backing.db.tenants import TenantRepository
from parley.backing.discovery.base import Instance
from parley.backing.errors import BackingUnavailable
from parley.backing.factory import Backing, create_backing
from parley.backing.settings import BackingSettings
from parley.callmanager import orphans as module
from parley.callmanager.orphans import Orphans, closing_events, lost_record
from parley.callmanager.snapshot import decode_snapshot
from parley.model.call import CallResult, EndedBy
from parley.model.events import CallEnded, decode_event
from parley.model.ids import InstanceId, TenantId
from parley.model.load import Load
from parley.testkit.clock import FakeClock

SERVICE, OWNER, HEIR = "callmanager", InstanceId("cm-1"), InstanceId("cm-2")
TENANT = TenantId("t1")
KEY, INDEX = "call:{call1}", "calls:{t1}"
STARTED_S = 1_700_000_000.0
TTL_S = 600.0


def at(after_s: float) -> datetime:
    return datetime.fromtimestamp(STARTED_S + after_s, UTC)


class Shop:
    """Embedded backing, one tenant, and what came to the bus."""

    def __init__(self, backing: Backing, clock: FakeClock) -> None:
        self.backing = backing
        self.clock = clock
        self.ends: asyncio.Queue[CallEnded] = asyncio.Queue()
        backing.bus.tail("call", self._take)

    async def _take(self, records: Sequence[Record]) -> None:
        for event in ended([record.value for record in records]):
            self.ends.put_nowait(event)

    async def leave(self, snapshot: bytes, owner: str = OWNER) -> None:
        state = self.backing.state
        await state.set_add(INDEX, "call1", STARTED_S)
        claimed = await state.claim(KEY, owner, 0, TTL_S)
        assert claimed is not None
        assert await state.put_owned(KEY, owner, claimed.epoch, snapshot, TTL_S)

    async def report(self, instance: InstanceId, at_s: float) -> None:
        load = Load(instance=instance, address=("local", "x", 0), calls=1, cpu=0.0, at=at_s)
        fields = msgspec.json.encode(load)
        await self.backing.state.hash_put("load:{callmanager}", instance, fields)

    def orphans(self, instance: InstanceId = HEIR) -> Orphans:
        return Orphans(self.backing, SERVICE, instance, TTL_S, self.clock)

    async def is_gone(self) -> bool:
        state = self.backing.state
        return await state.get(KEY) is None and await state.set_range(INDEX) == []


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    clock = FakeClock(wall_s=STARTED_S + 500.0)
    backing = create_backing(BackingSettings.load(is_durable=False), clock)
    await backing.start()
    async with aclosing(backing):
        await TenantRepository(backing.db).create("T", ["demo.test"], tenant_id=TENANT)
        yield Shop(backing, clock)


def ended(data: Sequence[bytes]) -> list[CallEnded]:
    return [event for event in map(decode_event, data) if isinstance(event, CallEnded)]


async def test_a_call_of_a_dead_owner_is_closed_once(shop: Shop, talking: Any) -> None:
    await shop.leave(talking.writes[-1])
    assert await shop.orphans().close_all() == 1
    assert await shop.is_gone()
    assert await shop.orphans().close_all() == 0


async def test_a_call_of_a_living_owner_stays(shop: Shop, talking: Any) -> None:
    await shop.backing.discovery.register(Instance(service=SERVICE, id=OWNER, address=""))
    await shop.leave(talking.writes[-1])
    assert await shop.orphans().close_all() == 0
    assert await shop.backing.state.get(KEY) == talking.writes[-1]


async def test_own_calls_stay_although_discovery_does_not_know_us_yet(
    shop: Shop, talking: Any
) -> None:
    await shop.leave(talking.writes[-1])
    assert await shop.orphans(OWNER).close_all() == 0
    assert not await shop.is_gone()


async def test_a_former_owner_that_lives_after_all_is_fenced(shop: Shop, talking: Any) -> None:
    await shop.leave(talking.writes[-1])
    await shop.orphans().close_all()
    assert not await shop.backing.state.put_owned(KEY, OWNER, 1, b"late")


async def test_a_call_that_somebody_claimed_meanwhile_is_left_to_them(
    shop: Shop, talking: Any
) -> None:
    await shop.leave(talking.writes[-1])
    assert await shop.backing.state.claim(KEY, "cm-3", 1) is not None
    assert await shop.orphans().close_all() == 0
    assert not await shop.is_gone()


async def test_a_claim_of_a_successor_that_died_too_is_found_by_the_next(
    shop: Shop, talking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.leave(talking.writes[-1])

    async def refuse(*_: object) -> None:
        raise BackingUnavailable("the bus is away")

    with monkeypatch.context() as patch:
        patch.setattr(shop.backing.bus, "publish_and_wait", refuse)
        with pytest.raises(BackingUnavailable):
            await shop.orphans().close_all()
    assert await shop.orphans(InstanceId("cm-3")).close_all() == 1
    assert await shop.is_gone()


async def test_a_bus_that_comes_back_gets_the_record(
    shop: Shop, talking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.leave(talking.writes[-1])
    publish = shop.backing.bus.publish_and_wait
    tries: list[str] = []

    async def refuse_once(topic: str, key: str, value: bytes) -> None:
        tries.append(key)
        if len(tries) == 1:
            raise BackingUnavailable("the bus is away")
        await publish(topic, key, value)

    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(shop.backing.bus, "publish_and_wait", refuse_once)
    await shop.orphans().run()
    assert await shop.is_gone()
    assert len(tries) > 1


async def test_unreadable_snapshots_do_not_stop_the_others(shop: Shop, talking: Any) -> None:
    await shop.leave(talking.writes[-1])
    await shop.backing.state.set_add(INDEX, "broken", 1.0)
    await shop.backing.state.set_add(INDEX, "absent", 2.0)
    assert await shop.backing.state.claim("call:{broken}", OWNER, 0) is not None
    await shop.backing.state.put_owned("call:{broken}", OWNER, 1, b"\xff")
    assert await shop.orphans().close_all() == 1


async def test_the_owner_was_alive_until_its_last_report(shop: Shop, talking: Any) -> None:
    await shop.leave(talking.writes[-1])
    await shop.report(OWNER, STARTED_S + 123.0)
    await shop.orphans().close_all()
    async with asyncio.timeout(2.0):
        end = await shop.ends.get()
    assert end.data.ended_at == at(123.0)
    assert end.source == HEIR


async def test_reports_of_the_long_dead_are_forgotten(shop: Shop) -> None:
    await shop.report(OWNER, shop.clock.wall_s() - 61.0)
    await shop.report(InstanceId("cm-3"), shop.clock.wall_s() - 5.0)
    await shop.orphans().close_all()
    assert set(await shop.backing.state.hash_get_all("load:{callmanager}")) == {"cm-3"}


def test_an_answered_call_is_lost_with_the_time_it_was_last_known_to_live(talking: Any) -> None:
    snapshot = decode_snapshot(talking.writes[-1])
    record = lost_record(snapshot, STARTED_S + 40.0)
    assert record.termination.result is CallResult.LOST
    assert (record.termination.sip_status, record.termination.by) == (200, EndedBy.PLATFORM)
    assert record.ended_at == at(40.0)
    assert record.answered_at is not None
    assert record.duration_s == (at(40.0) - record.answered_at).total_seconds()
    assert [(leg.leg, leg.answered_at is None) for leg in record.legs] == [
        ("a", False),
        ("b1", False),
    ]
    assert (record.caller, record.callee, record.dialled) == ("1001", "1002", "1002")


def test_a_ringing_call_ended_when_it_would_have_at_the_latest(play: Any) -> None:
    snapshot = decode_snapshot(play(2).writes[0])
    record = lost_record(snapshot, STARTED_S + 400.0)
    assert record.ended_at == at(30.0)
    assert (record.duration_s, record.answered_at) == (0.0, None)
    assert record.termination.sip_status == 503


def test_nothing_ends_before_it_was_answered(talking: Any) -> None:
    record = lost_record(decode_snapshot(talking.writes[-1]), STARTED_S - 99.0)
    assert record.ended_at == record.answered_at
    assert record.duration_s == 0.0


def test_the_bus_gets_what_it_may_lack_and_then_one_end(talking: Any) -> None:
    snapshot = decode_snapshot(talking.writes[-1])
    events = [decode_event(data) for data in closing_events(snapshot, HEIR, STARTED_S + 40.0)]
    assert [event.type for event in events] == [
        "call.started",
        "call.ringing",
        "call.answered",
        "call.ended",
    ]
    assert [event.sequence for event in events] == [1, 2, 3, 4]
    assert (events[-1].id, events[-1].source) == ("call1-4", HEIR)


def test_a_call_that_was_ending_keeps_how_it_ended(talking: Any) -> None:
    talking.caller_sends("BYE")
    snapshot = decode_snapshot(talking.writes[-1])
    [event] = ended(list(closing_events(snapshot, HEIR, STARTED_S + 40.0)))
    assert event.data.termination.reason == "hangup"
    assert event.data.termination.result is CallResult.ANSWERED


def test_an_end_that_is_in_the_snapshot_is_not_told_twice(talking: Any) -> None:
    snapshot = decode_snapshot(talking.writes[-1])
    first = list(closing_events(snapshot, OWNER, STARTED_S + 9.0))
    kept = [*snapshot.events, type(snapshot.events[0])(snapshot.sequence + 1, first[-1])]
    whole = msgspec.structs.replace(snapshot, events=kept, sequence=snapshot.sequence + 1)
    assert list(closing_events(whole, HEIR, STARTED_S + 99.0)) == first
