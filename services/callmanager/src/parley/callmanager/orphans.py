"""Calls that nobody can bring to life again: each is closed with a record all the same.

A claimed snapshot whose call cannot be restored: its kept events go to the bus again under their
old ids, then `call.ended` follows, and the snapshot is deleted. Accounting lets a real record win
over a lost one, whichever comes first.

The time of the end is the best that can be known: when the dead owner was last heard of, not later
than what the call waited for, not earlier than what is known to have happened.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import structlog

from parley.backing.bus.base import Bus
from parley.backing.errors import BackingError
from parley.callmanager.ending import LOST
from parley.callmanager.events import TOPIC
from parley.callmanager.outputs import Deadline
from parley.callmanager.snapshot import Snapshot
from parley.callmanager.snapshot_parts import LegSnapshot
from parley.callmanager.store import CallStore, Stored
from parley.model.call import CallRecord, LegRecord
from parley.model.errors import MalformedEvent
from parley.model.events import CallEnded, decode_event, encode_event
from parley.model.ids import InstanceId
from parley.service.clock import Clock

TIMEOUT_S: Final = 5.0

_logger = structlog.stdlib.get_logger(__name__)


class OrphanCloser:
    """Closes claimed calls that cannot be brought to life: their record at least is written.

    Args:
        bus: takes the events.
        store: knows the indexes.
        instance: the one that claimed.
        clock: of the records.
    """

    def __init__(self, bus: Bus, store: CallStore, instance: InstanceId, clock: Clock) -> None:
        self._bus = bus
        self._store = store
        self._instance = instance
        self._clock = clock

    async def close(self, snapshot: Snapshot, epoch: int, last_seen_s: float) -> bool:
        """Publishes what is missing and deletes the snapshot.

        Args:
            snapshot: of the call; its record is this instance's.
            epoch: of the record.
            last_seen_s: when the former owner was last heard of, Unix seconds; negative: now.

        Returns:
            False when the bus did not take it; the snapshot stays, and whoever sweeps after this
            instance tries again.
        """
        call_id = snapshot.progress.call_id
        seen_s = last_seen_s if last_seen_s >= 0 else self._clock.wall_s()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                for data in closing_events(snapshot, self._instance, seen_s):
                    await self._bus.publish_and_wait(TOPIC, call_id, data)
        except (BackingError, TimeoutError) as error:
            _logger.warning("a lost call waits to be closed", call_id=call_id, reason=repr(error))
            return False
        started_s = snapshot.progress.started_at.timestamp()
        stored = Stored(call_id, snapshot.tenant_id, started_s, epoch, self._store.generation)
        await self._store.delete(stored)
        return True


def closing_events(snapshot: Snapshot, source: InstanceId, last_seen_s: float) -> Iterator[bytes]:
    """What the bus is told of an orphan, in order: what it may not have yet, then the end.

    Args:
        snapshot: of the call.
        source: the instance that closes it.
        last_seen_s: when its owner was last heard of, Unix seconds.
    """
    for event in snapshot.events:
        yield event.data
    if snapshot.events and _is_end(snapshot.events[-1].data):
        return
    record = lost_record(snapshot, last_seen_s)
    sequence = snapshot.sequence + 1
    yield encode_event(
        CallEnded(
            id=f"{record.call_id}-{sequence}",
            source=source,
            time=record.ended_at,
            subject=record.call_id,
            tenantid=record.tenant_id,
            sequence=sequence,
            data=record,
        )
    )


def lost_record(snapshot: Snapshot, last_seen_s: float) -> CallRecord:
    """Makes the CDR of a call from its snapshot; what the relay counted is not known."""
    progress = snapshot.progress
    answered_at = progress.answered_at
    ended_at = _ended_at(snapshot, last_seen_s)
    is_answered = answered_at is not None
    talked_s = 0.0 if answered_at is None else (ended_at - answered_at).total_seconds()
    return CallRecord(
        call_id=progress.call_id,
        tenant_id=snapshot.tenant_id,
        caller=progress.caller,
        callee=progress.callee,
        dialled=progress.dialled,
        started_at=progress.started_at,
        ringing_at=progress.ringing_at,
        answered_at=answered_at,
        ended_at=ended_at,
        duration_s=round(talked_s, 3),
        termination=snapshot.termination or LOST.termination(is_answered=is_answered),
        legs=[_leg_record(snapshot, leg, ended_at) for leg in snapshot.legs],
    )


def _ended_at(snapshot: Snapshot, last_seen_s: float) -> datetime:
    progress = snapshot.progress
    waits_for = Deadline.RING if progress.answered_at is None else Deadline.DURATION
    end_s = min(last_seen_s, snapshot.deadlines.get(waits_for, last_seen_s))
    known = (progress.started_at, progress.ringing_at, progress.answered_at)
    return max(datetime.fromtimestamp(end_s, UTC), *(at for at in known if at is not None))


def _leg_record(snapshot: Snapshot, leg: LegSnapshot, ended_at: datetime) -> LegRecord:
    is_connected = leg.target is None or leg.id == snapshot.callee
    return LegRecord(
        leg=leg.id,
        party=leg.party,
        sip_call_id=leg.sip_call_id,
        contact="" if leg.target is None else leg.target.contact,
        started_at=snapshot.progress.started_at,
        answered_at=snapshot.progress.answered_at if is_connected else None,
        ended_at=ended_at,
    )


def _is_end(data: bytes) -> bool:
    try:
        return isinstance(decode_event(data), CallEnded)
    except MalformedEvent:
        return False
