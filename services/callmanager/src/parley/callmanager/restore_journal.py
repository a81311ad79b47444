"""A call's history, made again: the same times and events, told by another instance's clock.

Monotonic times of another machine mean nothing here, so a snapshot holds wall times. Where this
machine's wall clock is behind the moment at which the snapshot was written, that moment counts as
now: durations never run backwards, and nothing is waited for longer than it was to last at all.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from parley.callmanager.journal import Journal, Parties
from parley.callmanager.outputs import Deadline
from parley.callmanager.snapshot import Snapshot
from parley.callmanager.teardown import LINGER_S
from parley.model.errors import MalformedEvent
from parley.model.events import CallEnded, decode_event
from parley.model.ids import InstanceId

BUS_SETTLED_S: Final = 300.0
"""Older events that the bus took are on it, or were given up by it."""


class RestoredTime(NamedTuple):
    """The present of a restored call, and the way from wall times to ours.

    Attributes:
        now: monotonic seconds.
        wall_s: Unix seconds, not before the snapshot was written.
        age_s: how long ago the state was as the snapshot says.
    """

    now: float
    wall_s: float
    age_s: float

    def at(self, wall_s: float) -> float:
        """The monotonic time of a wall time."""
        return self.now + (wall_s - self.wall_s)

    def at_or_none(self, wall_s: float | None) -> float | None:
        """The same, where there is one."""
        return None if wall_s is None else self.at(wall_s)

    @property
    def is_settled(self) -> bool:
        """What was under way between transactions when the snapshot was written is over."""
        return self.age_s > LINGER_S


def restored_time(snapshot: Snapshot, now: float, wall_s: float) -> RestoredTime:
    """Compares the clocks."""
    present_s = max(wall_s, snapshot.written_at)
    return RestoredTime(now, present_s, present_s - snapshot.written_at)


def restore_journal(snapshot: Snapshot, owner: InstanceId, time: RestoredTime) -> Journal:
    """Makes the history again; what the bus may not have counts as unpublished."""
    progress = snapshot.progress
    parties = Parties(
        progress.call_id,
        snapshot.tenant_id,
        owner,
        progress.caller,
        progress.callee,
        progress.dialled,
    )
    journal = Journal(parties, time.now, time.wall_s)
    journal.started_at = time.at(progress.started_at.timestamp())
    journal.ringing_at = time.at_or_none(_seconds(progress.ringing_at))
    journal.answered_at = time.at_or_none(_seconds(progress.answered_at))
    journal.ended_at = time.at_or_none(snapshot.ended_at)
    journal.is_held = progress.is_held
    journal.termination = snapshot.termination
    journal.sequence = journal.written = snapshot.sequence
    journal.events = list(snapshot.events)
    journal.published = snapshot.published if time.age_s > BUS_SETTLED_S else 0
    _restore_record(journal)
    return journal


def restored_deadlines(
    snapshot: Snapshot, lengths: Mapping[Deadline, float], time: RestoredTime
) -> dict[Deadline, float]:
    """What the call waits for, never longer than the full length of that wait.

    `lengths` are seconds by kind; what is not named there is not waited for any more.
    """
    return {
        kind: time.now + min(max(at - time.wall_s, 0.0), lengths[kind])
        for kind, at in snapshot.deadlines.items()
        if kind in lengths
    }


def _restore_record(journal: Journal) -> None:
    """The CDR is in the last event, if it was written at all."""
    if journal.events:
        try:
            last = decode_event(journal.events[-1].data)
        except MalformedEvent:
            return
        if isinstance(last, CallEnded):
            journal.record = last.data


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
