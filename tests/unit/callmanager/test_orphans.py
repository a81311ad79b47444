"""A call that cannot be brought to life again is closed all the same, once, with a record."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from parley.backing.errors import BackingUnavailable
from parley.backing.factory import Backing, Port
from parley.callmanager.metrics import CallManagerMetrics
from parley.callmanager.orphans import OrphanCloser, closing_events, lost_record
from parley.callmanager.snapshot import decode_snapshot
from parley.callmanager.store import CallStore
from parley.model.call import CallResult, EndedBy
from parley.model.events import CallEnded, decode_event
from parley.model.ids import CallId, InstanceId
from parley.service.metrics import Registry
from parley.testkit.backing import in_memory
from parley.testkit.clock import FakeClock

OWNER, HEIR = InstanceId("cm-1"), InstanceId("cm-2")
CALL = CallId("call1")
STARTED_S = 1_700_000_000.0


def at(after_s: float) -> datetime:
    return datetime.fromtimestamp(STARTED_S + after_s, UTC)


def ended(data: Sequence[bytes]) -> list[CallEnded]:
    return [event for event in map(decode_event, data) if isinstance(event, CallEnded)]


class Shop:
    """Embedded backing, a closer, and what came to the bus."""

    def __init__(self, backing: Backing, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
        self.backing = backing
        self.store = CallStore(backing.state, HEIR, 600.0, CallManagerMetrics(Registry()))
        self.closer = OrphanCloser(backing.bus, self.store, HEIR, clock)
        self.told: list[bytes] = []
        self.is_bus_away = False
        monkeypatch.setattr(backing.bus, "publish_and_wait", self._publish)

    async def _publish(self, topic: str, key: str, value: bytes) -> None:
        if self.is_bus_away:
            raise BackingUnavailable("the bus is away")
        assert (topic, key) == ("call", CALL)
        self.told.append(value)

    async def close(self, snapshot: bytes, last_seen_s: float) -> bool:
        """Claims the call, whose owner is dead, and closes it."""
        state = self.backing.state
        await state.index_add("calls:{t1}", CALL, STARTED_S)
        await state.create_owned("call:{call1}", OWNER, snapshot)
        claimed = await self.store.claim(CALL, 1, STARTED_S)
        assert claimed is not None
        assert claimed.value == snapshot
        found = decode_snapshot(snapshot)
        return await self.closer.close(found, claimed.epoch, last_seen_s)

    async def is_gone(self) -> bool:
        state = self.backing.state
        indexes = [await state.index_range(key) for key in ("calls:{t1}", "owned:{cm-2}")]
        return await state.get("call:{call1}") is None and indexes == [[], []]


@pytest.fixture
async def shop(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    clock = FakeClock(wall_s=STARTED_S + 500.0)
    async with in_memory(Port.STATE | Port.BUS, clock) as backing:
        yield Shop(backing, clock, monkeypatch)


async def test_the_record_is_published_and_nothing_is_left(shop: Shop, talking: Any) -> None:
    assert await shop.close(talking.writes[-1], STARTED_S + 123.0)
    [end] = ended(shop.told)
    assert (end.data.ended_at, end.source) == (at(123.0), HEIR)
    assert await shop.is_gone()


async def test_without_a_last_sign_of_life_the_call_ended_now(shop: Shop, talking: Any) -> None:
    assert await shop.close(talking.writes[-1], -1.0)
    [end] = ended(shop.told)
    assert end.data.ended_at == at(500.0)


async def test_while_the_bus_is_away_the_snapshot_stays(shop: Shop, talking: Any) -> None:
    shop.is_bus_away = True
    assert not await shop.close(talking.writes[-1], STARTED_S + 1.0)
    assert not await shop.is_gone()
    assert await shop.backing.state.index_range("owned:{cm-2}") == [(CALL, STARTED_S)]


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
