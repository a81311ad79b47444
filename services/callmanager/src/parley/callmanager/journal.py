"""What happened to a call and when: the events for the bus and the CDR.

Times are kept monotonic and told as wall time by one offset taken at the start, so a step of the
wall clock changes no duration. Event ids follow from call id and sequence: the same event published
twice is recognisably the same. Events stay in the snapshot until the bus has them, and a few after
that, for what the bus took but lost with this process is published again by a successor.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from parley.callmanager.leg import Leg
from parley.model.call import CallRecord, LegRecord, MediaRecord, Termination
from parley.model.events import (
    CallAnswered,
    CallEnded,
    CallProgress,
    CallRinging,
    CallStarted,
    CallUpdated,
    Event,
    encode_event,
)
from parley.model.ids import CallId, InstanceId, TenantId
from parley.model.media import StreamStats

KEPT_EVENTS: Final = 8
"""Published events that stay in the snapshot: what a bus may have queued and not stored."""


class PendingEvent(Struct, frozen=True, array_like=True):
    """An event of a call, encoded once."""

    sequence: int
    data: bytes


class Parties(Struct, frozen=True):
    """Who is in a call, for events and the CDR."""

    call_id: CallId
    tenant_id: TenantId
    owner: InstanceId
    caller: str
    callee: str
    dialled: str


class Journal:
    """The history of one call.

    Attributes:
        events: not yet published ones, and the last that were.
        written: sequence of the last event that is in state, so that it may be published.
        published: sequence of the last event that the bus took.
        record: the CDR, once there is one.
    """

    __slots__ = (
        "_seen",
        "_wall_base",
        "answered_at",
        "ended_at",
        "events",
        "is_held",
        "parties",
        "published",
        "record",
        "ringing_at",
        "sequence",
        "started_at",
        "termination",
        "written",
    )

    def __init__(self, parties: Parties, now: float, wall_s: float) -> None:
        self.parties = parties
        self._wall_base = wall_s - now
        self.started_at = now
        self.ringing_at: float | None = None
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.is_held = False
        self._seen: CallProgress | None = None
        self.termination: Termination | None = None
        self.record: CallRecord | None = None
        self.sequence = 0
        self.written = 0
        self.published = 0
        self.events: list[PendingEvent] = []

    def wall_s(self, at: float) -> float:
        """Unix seconds of a monotonic time."""
        return self._wall_base + at

    @property
    def unpublished(self) -> list[PendingEvent]:
        """Events that the bus does not have, as far as it may have them."""
        published, written = self.published, self.written
        return [event for event in self.events if published < event.sequence <= written]

    def start(self) -> None:
        """The call was taken."""
        seen = self.progress()
        self._add(CallStarted, seen.started_at, seen)

    def ring(self, now: float) -> None:
        """The first phone rings."""
        self.ringing_at, at = now, self._wall(now)
        self._seen = replace(self.progress(), ringing_at=at)
        self._add(CallRinging, at, self._seen)

    def answer(self, now: float) -> None:
        """The callee answered."""
        self.answered_at, at = now, self._wall(now)
        self._seen = replace(self.progress(), answered_at=at)
        self._add(CallAnswered, at, self._seen)

    def update(self, now: float, *, is_held: bool) -> None:
        """The session changed."""
        self.is_held = is_held
        self._seen = replace(self.progress(), is_held=is_held)
        self._add(CallUpdated, self._wall(now), self._seen)

    def end(self, termination: Termination, now: float) -> None:
        """The call is over; the record follows when the media has been counted.

        An `ended_at` that is known already stays: of a lost call it is in the past.
        """
        self.termination = termination
        if self.ended_at is None:
            self.ended_at = now

    def close(self, legs: Sequence[Leg], stats: Sequence[StreamStats]) -> None:
        """Writes the CDR, the first time only."""
        if self.record is not None or self.termination is None or self.ended_at is None:
            return
        self.record = self._make_record(self.termination, self.ended_at, legs, stats)
        self._add(CallEnded, self.record.ended_at, self.record)

    def note_written(self) -> None:
        """State has what happened so far, or the call goes on without state."""
        self.written = self.sequence

    def disown(self) -> None:
        """The call is another owner's: it publishes what is left, and nothing more leaves here."""
        self.events = []

    def mark_published(self, sequence: int) -> None:
        """The bus took the events up to this one."""
        if sequence > self.published:
            self.published = sequence
        surplus = len(self.events) - KEPT_EVENTS
        if surplus > 0:
            self.events = [
                event
                for place, event in enumerate(self.events)
                if place >= surplus or event.sequence > self.published
            ]

    def progress(self) -> CallProgress:
        """The call as others may see it now."""
        if self._seen is not None:
            return self._seen
        parties, ringing_at, answered_at = self.parties, self.ringing_at, self.answered_at
        self._seen = CallProgress(
            call_id=parties.call_id,
            caller=parties.caller,
            callee=parties.callee,
            dialled=parties.dialled,
            started_at=self._wall(self.started_at),
            ringing_at=None if ringing_at is None else self._wall(ringing_at),
            answered_at=None if answered_at is None else self._wall(answered_at),
            owner=parties.owner,
            is_held=self.is_held,
        )
        return self._seen

    def _add(self, kind: type[Event], at: datetime, data: CallProgress | CallRecord) -> None:
        self.sequence += 1
        call_id = self.parties.call_id
        event = kind(  # type: ignore[call-arg]  # `data` is what every call event adds to `Event`
            id=f"{call_id}-{self.sequence}",
            source=self.parties.owner,
            time=at,
            subject=call_id,
            tenantid=self.parties.tenant_id,
            sequence=self.sequence,
            data=data,
        )
        self.events.append(PendingEvent(self.sequence, encode_event(event)))

    def _make_record(
        self,
        termination: Termination,
        ended_at: float,
        legs: Sequence[Leg],
        stats: Sequence[StreamStats],
    ) -> CallRecord:
        parties, seen = self.parties, self.progress()
        answered_at = self.answered_at
        return CallRecord(
            call_id=parties.call_id,
            tenant_id=parties.tenant_id,
            caller=parties.caller,
            callee=parties.callee,
            dialled=parties.dialled,
            started_at=seen.started_at,
            ringing_at=seen.ringing_at,
            answered_at=seen.answered_at,
            ended_at=self._wall(ended_at),
            duration_s=0.0 if answered_at is None else round(ended_at - answered_at, 3),
            termination=termination,
            legs=[self._leg_record(leg, ended_at) for leg in legs],
            media=[_media_record(counted) for counted in stats],
        )

    def _leg_record(self, leg: Leg, ended_at: float) -> LegRecord:
        answered_at = leg.answered_at
        return LegRecord(
            leg=leg.id,
            party=leg.party,
            sip_call_id=leg.sip_call_id,
            contact=leg.contact,
            edge=leg.edge,
            started_at=self._wall(leg.started_at),
            answered_at=None if answered_at is None else self._wall(answered_at),
            ended_at=self._wall(ended_at if leg.ended_at is None else min(leg.ended_at, ended_at)),
            sip_status=leg.sip_status,
            media_note=leg.media_note,
        )

    def _wall(self, at: float) -> datetime:
        # Rounded so that a time told by a predecessor is the same when we tell it: the way over
        # another machine's monotonic clock costs a fraction of a microsecond.
        return datetime.fromtimestamp(round(self._wall_base + at, 5), UTC)


def _media_record(counted: StreamStats) -> MediaRecord:
    return MediaRecord(
        leg=counted.leg,
        index=counted.index,
        packets_received=counted.packets_received,
        packets_sent=counted.packets_sent,
        bytes_received=counted.bytes_received,
        bytes_sent=counted.bytes_sent,
        packets_lost=counted.lost,
        jitter_ms=counted.jitter_ms,
    )
