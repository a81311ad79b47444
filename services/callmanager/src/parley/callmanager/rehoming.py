"""Moves a call to another relay: its own died, or is about to end (`docs/design/media.md`).

A lost session is opened again elsewhere at once, with all that the relay was told; commands that
were under way go on with the new one. A draining relay's session is opened elsewhere first and
closed there last. Then every phone that was told the old ports is told the new ones
(`phone_moves.py`).
"""

from collections.abc import Sequence
from typing import Final, TypeGuard

from parley.callmanager import teardown
from parley.callmanager.actions import MediaPurpose
from parley.callmanager.echo import Echo
from parley.callmanager.ending import MEDIA_LOST, Ending
from parley.callmanager.media_session import MediaPhase
from parley.callmanager.outputs import Deadline
from parley.callmanager.parts import OVER, CallParts, CallState
from parley.callmanager.phone_moves import PhoneMoves
from parley.callmanager.re_invite import Renegotiation
from parley.model.media import (
    LegSpec,
    MediaEvent,
    RelayDraining,
    Reply,
    ReplyError,
    SessionMode,
    StreamSpec,
)
from parley.sip.ids import Ids

PURPOSES: Final = frozenset(
    (MediaPurpose.REOPEN, MediaPurpose.MOVE, MediaPurpose.MOVED, MediaPurpose.CLOSE_OLD)
)
"""Commands whose replies are for `Rehoming`."""
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 4.0
WITHOUT_MEDIA_S: Final = 30.0
"""How long a call stays up while no relay takes it."""
MOVE_AGAIN_S: Final = 1.0
"""Pause after which a draining relay's call looks for another one once more."""
OLD_SESSION_S: Final = 2.0
"""How long a draining relay's session goes on for phones that do not answer the re-INVITE."""
OLD_SESSION_GLARE_S: Final = 6.0
"""The same for a phone whose turn comes after its own re-INVITE."""
IN_FLIGHT_S: Final = 0.1
"""The old session outlives the last phone's answer by that much: packets may be under way."""


class Rehoming:
    """The moves of one call.

    Attributes:
        is_active: `settle` has something to look at.
        phones: the re-INVITEs.
    """

    __slots__ = (
        "_interrupted",
        "_is_moving",
        "_lost_at",
        "_moved_at",
        "_old_since",
        "_parts",
        "_pause_s",
        "_retry_at",
        "_timeout_s",
        "_wants_move",
        "is_active",
        "phones",
    )

    def __init__(self, parts: CallParts, ids: Ids, media_timeout_s: float) -> None:
        self.is_active = False
        self.phones = PhoneMoves(parts, ids)
        self._parts = parts
        self._timeout_s = media_timeout_s
        self._lost_at: float | None = None
        self._retry_at: float | None = None
        self._pause_s = FIRST_PAUSE_S
        self._interrupted: list[MediaPurpose] = []
        self._wants_move = self._is_moving = False
        self._old_since = 0.0
        self._moved_at: float | None = None

    # --- the relay -------------------------------------------------------------------------

    def receive_event(self, event: MediaEvent, now: float) -> None:
        """Takes that the session is lost, or should leave its relay."""
        media = self._parts.media
        relay = getattr(event, "relay", "")
        if relay and relay != media.relay:
            # One that drains says so again; only one that lost the session has nothing to close.
            if relay == media.old_relay and not isinstance(event, RelayDraining):
                media.old_relay = ""
        elif isinstance(event, RelayDraining):
            self._wants_move = self.is_active = True
        elif media.phase is MediaPhase.OPEN:
            self._lose(now)

    def interrupts(self, purpose: MediaPurpose, reply: Reply | None, now: float) -> bool:
        """Says whether a command failed because its session is lost.

        Then it goes on when the session is open again: `take_interrupted` names it. A session's
        very first opening is not ours: without a relay there is no call.
        """
        media = self._parts.media
        if media.phase is MediaPhase.OPENING or not _is_lost(reply):
            return False
        if purpose not in self._interrupted:
            self._interrupted.append(purpose)
        if media.phase is MediaPhase.OPEN:
            self._lose(now)
        return True

    def take_interrupted(self) -> Sequence[MediaPurpose]:
        """What goes on with the reply that was just received."""
        if not self._interrupted or self._parts.media.phase is not MediaPhase.OPEN:
            return ()
        interrupted, self._interrupted = self._interrupted, []
        return interrupted

    def receive_media(
        self, purpose: MediaPurpose, reply: Reply | None, now: float
    ) -> Ending | None:
        """Takes the reply to a command of ours."""
        parts = self._parts
        if purpose is MediaPurpose.CLOSE_OLD:
            parts.media.count(reply)
        elif parts.state in OVER:
            self._receive_too_late(purpose, reply)
        elif purpose is MediaPurpose.MOVE:
            self._receive_moved(reply, now)
        elif purpose is MediaPurpose.REOPEN:
            return self._receive_reopened(reply, now)
        elif _is_lost(reply) and parts.media.phase is MediaPhase.OPEN:
            self._lose(now)
        return None

    def _lose(self, now: float) -> None:
        self._lost_at = now
        self._pause_s = FIRST_PAUSE_S
        self.is_active = True
        self._reopen()

    def _reopen(self) -> None:
        media = self._parts.media
        self._retry_at = None
        self._recall()
        media.phase = MediaPhase.REOPENING
        self._parts.out.command(MediaPurpose.REOPEN, media.reopen())

    def _receive_reopened(self, reply: Reply | None, now: float) -> Ending | None:
        media = self._parts.media
        if media.phase is not MediaPhase.REOPENING:
            return None
        if media.receive_opened(reply):
            self._lost_at = None
            self._wants_move = False
            self._tell_phones(now)
            return None
        media.phase = MediaPhase.LOST
        limit = (now if self._lost_at is None else self._lost_at) + WITHOUT_MEDIA_S
        self._retry_at = min(now + self._pause_s, limit)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        return MEDIA_LOST if now >= limit else None

    def _move(self) -> None:
        media = self._parts.media
        self._is_moving = True
        self._retry_at = None
        self._recall()
        self._parts.out.command(MediaPurpose.MOVE, media.reopen())

    def _receive_moved(self, reply: Reply | None, now: float) -> None:
        media = self._parts.media
        old = media.relay
        self._is_moving = False
        if media.phase is not MediaPhase.OPEN:
            return
        if reply is None or not reply.ok:
            self._retry_at = now + MOVE_AGAIN_S
            return
        media.receive_opened(reply)
        self._wants_move = False
        if media.relay != old:
            media.old_relay, self._old_since, self._moved_at = old, now, None
            self._tell_phones(now)

    def _receive_too_late(self, purpose: MediaPurpose, reply: Reply | None) -> None:
        """The call has ended; what was opened meanwhile is closed."""
        parts, media = self._parts, self._parts.media
        if purpose is MediaPurpose.REOPEN and media.phase is MediaPhase.REOPENING:
            if not media.receive_opened(reply):
                media.abandon()
            teardown.release_media(parts)
        elif purpose is MediaPurpose.REOPEN and reply is not None and reply.ok:
            # Nobody waited for it any more: the record is written.
            parts.out.command(MediaPurpose.CLOSE_OLD, media.close_at(reply.relay))
        elif purpose is MediaPurpose.MOVE and _is_at_another(reply, media.relay):
            parts.out.command(MediaPurpose.CLOSE_OLD, media.close_at(reply.relay))

    def _recall(self) -> None:
        """Finds out what the relay was told, for a call that was made again from its snapshot."""
        media = self._parts.media
        if media.specs:
            return
        is_echo = self._parts.fork is None
        media.mode = SessionMode.ECHO if is_echo else SessionMode.BRIDGE
        media.media_timeout_s = self._timeout_s
        for name, streams in media.ports.items():
            blank = [StreamSpec(stream.index, active=False) for stream in streams]
            media.note(LegSpec(name, blank))
        for leg in self.phones.parties():
            media.note(LegSpec(leg.media_leg, self.phones.specs(leg)))

    # --- the phones ------------------------------------------------------------------------

    def _tell_phones(self, now: float) -> None:
        self.phones.begin()
        self.is_active = True
        self._parts.out.join_write(now)

    def resume(self, now: float, *, is_settled: bool) -> None:
        """After a takeover: goes on with what the snapshot says is not done.

        Args:
            now: monotonic seconds.
            is_settled: the snapshot is older than any transaction lasts.
        """
        media = self._parts.media
        self._old_since = now
        if self._parts.state in OVER:
            if media.old_relay:
                self._close_old()
            return
        self.phones.resume(is_settled=is_settled)
        if media.phase in (MediaPhase.LOST, MediaPhase.REOPENING):
            self._lose(now)
        is_owed = any(leg.owes_move for leg in self._parts.legs())
        self.is_active = self.is_active or is_owed or bool(media.old_relay)

    def settle(self, changes: Renegotiation | Echo, now: float) -> None:
        """Does what can be done now; the call calls it at the end of every step."""
        parts, media = self._parts, self._parts.media
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            if media.phase is MediaPhase.LOST:
                self._reopen()
        if media.phase is MediaPhase.OPEN and parts.state is CallState.ANSWERED:
            if not _is_changing(changes):
                if self._may_move():
                    self._move()
                self.phones.settle(now)
            self._close_old_if(now)
        self._arm(now)

    def _may_move(self) -> bool:
        is_busy = self._is_moving or self._retry_at is not None or bool(self._parts.media.old_relay)
        return self._wants_move and not is_busy and not self.phones.is_owed

    # --- the old session -------------------------------------------------------------------

    def _close_old_if(self, now: float) -> None:
        if not self._parts.media.old_relay:
            return
        if self.phones.is_owed:
            limit_s = OLD_SESSION_GLARE_S if self.phones.turns else OLD_SESSION_S
            is_over = now >= self._old_since + limit_s
        else:
            self._moved_at = now if self._moved_at is None else self._moved_at
            is_over = now >= self._moved_at + IN_FLIGHT_S
        if is_over:
            self._close_old()

    def _close_old(self) -> None:
        media = self._parts.media
        relay, media.old_relay = media.old_relay, ""
        self._parts.out.command(MediaPurpose.CLOSE_OLD, media.close_at(relay))

    def _arm(self, now: float) -> None:
        """Sets the deadline for the next thing that waits for time alone."""
        times = [*self.phones.turns.values()]
        if self._retry_at is not None:
            times.append(self._retry_at)
        if self._parts.media.old_relay:
            times += [self._old_since + OLD_SESSION_S, self._old_since + OLD_SESSION_GLARE_S]
            if self._moved_at is not None:
                times.append(self._moved_at + IN_FLIGHT_S)
        # What is due already waits for an exchange to end, not for time.
        due = [at for at in times if at > now]
        out, parts = self._parts.out, self._parts
        if due:
            out.set_deadline(Deadline.REHOME, min(due))
        else:
            out.clear_deadline(Deadline.REHOME)
        self.is_active = bool(times) or (
            self._wants_move
            or self._is_moving
            or parts.media.phase is not MediaPhase.OPEN
            or any(leg.owes_move and not leg.is_closed for leg in parts.legs())
        )

    def abort(self) -> None:
        """The call ends: no phone is asked any more, the old session is closed."""
        self.is_active = False
        self.phones.abort()
        self._interrupted.clear()
        if self._parts.media.old_relay:
            self._close_old()


def _is_changing(changes: Renegotiation | Echo) -> bool:
    pending = changes.pending if isinstance(changes, Echo) else changes.exchange
    return pending is not None


def _is_at_another(reply: Reply | None, relay: str) -> TypeGuard[Reply]:
    return reply is not None and reply.ok and reply.relay != relay


def _is_lost(reply: Reply | None) -> bool:
    return reply is None or reply.error is ReplyError.UNKNOWN_SESSION
