"""The end of a call: every leg is released, the media closed, one CDR written.

Order: the state with the closing event is written before anybody is told. A phone that rings gets
CANCEL, one that talks gets BYE, the caller a final response or BYE; a BYE waits for the ACK to our
2xx (RFC 3261 15). The call is over when every leg answered or a guard time has passed.
"""

from collections.abc import Sequence
from typing import Final

from parley.callmanager.actions import MediaPurpose
from parley.callmanager.callee_leg import CalleeLeg
from parley.callmanager.ending import Ending
from parley.callmanager.leg import Leg, LegState
from parley.callmanager.media_session import MediaPhase
from parley.callmanager.outputs import Deadline
from parley.callmanager.parts import CallParts
from parley.callmanager.sip_profile import ANSWERED_ELSEWHERE
from parley.model.media import Reply

LINGER_S: Final = 40.0
"""Longer than 64*T1, after which every transaction has given up by itself."""


def begin(parts: CallParts, ending: Ending, now: float) -> None:
    """Classifies the end; the caller of this writes before it goes on to `release`."""
    is_answered = parts.journal.answered_at is not None
    parts.ending = ending
    parts.journal.end(ending.termination(is_answered=is_answered), now)
    parts.out.deadlines.clear()
    parts.out.set_deadline(Deadline.LINGER, now + LINGER_S)


def release(parts: CallParts, ending: Ending, now: float) -> None:
    """Lets go of everybody who has not gone by himself."""
    _release_caller(parts, ending, now)
    fork = parts.fork
    if fork is not None:
        for leg in fork.branches.values():
            _release_callee(leg, ending, now)


def release_media(parts: CallParts) -> None:
    """Closes the media session; one that is still being opened is closed when it is there."""
    media = parts.media
    if media.phase is MediaPhase.OPEN:
        parts.out.command(MediaPurpose.CLOSE, media.close())
    elif media.phase in (MediaPhase.NONE, MediaPhase.LOST):
        media.abandon()
    write_record(parts)


def receive_late_media(parts: CallParts, reply: Reply | None) -> None:
    """A reply that came after the call ended; a session that is there now is closed."""
    media = parts.media
    if media.phase is not MediaPhase.OPENING:
        return
    if not media.receive_opened(reply):
        media.abandon()
    release_media(parts)


def write_record(parts: CallParts) -> None:
    """Writes the CDR once the media is counted, and lets it go to the bus."""
    journal = parts.journal
    if parts.media.phase is MediaPhase.CLOSED and journal.record is None:
        journal.close(list(parts.legs()), parts.media.stats)
        parts.out.write()
        parts.out.publish()


def is_done(parts: CallParts) -> bool:
    """Nobody is owed anything."""
    return parts.journal.record is not None and all(leg.is_closed for leg in parts.legs())


def force(parts: CallParts, now: float) -> None:
    """The guard time has passed: whoever did not answer is gone."""
    for leg in parts.legs():
        leg.close(now)
    if parts.media.phase is not MediaPhase.CLOSED:
        parts.media.abandon()
    write_record(parts)


def leave(parts: CallParts, leg: Leg, ending: Ending, now: float) -> None:
    """Closes the leg that hung up; what it still waits for it gets."""
    caller = parts.caller
    if leg is caller and not caller.is_answered:
        caller.reject(ending.sip_status, (), (), now)
    elif isinstance(leg, CalleeLeg) and leg.owes_ack:
        leg.confirm()
    leg.close(now)


def close_leg(parts: CallParts, leg_id: str, now: float) -> None:
    """The phone has answered our BYE, or never will."""
    leg = parts.leg(leg_id)
    if leg is not None and leg.state is LegState.CLOSING:
        leg.close(now)


def close_cancelled(parts: CallParts, leg_id: str, now: float) -> None:
    """There was nothing to cancel: the INVITE never left, or has its final response."""
    leg = parts.leg(leg_id)
    if leg is not None and leg.dialog is None:
        close_leg(parts, leg_id, now)


def hang_up_late(parts: CallParts, leg: CalleeLeg, now: float) -> None:
    """A phone answered a call that is not there for it any more: ACK and BYE (RFC 3261 9.1).

    Both are written first: a phone that got the ACK alone would never be hung up. It hears of an
    answer elsewhere only if there was one; otherwise it shows a call that was missed.
    """
    reasons: Sequence[str] = (ANSWERED_ELSEWHERE,)
    if parts.ending is not None and parts.journal.answered_at is None:
        reasons = parts.ending.reasons
    parts.out.write()
    if leg.owes_ack:
        leg.confirm()
    leg.hang_up(reasons, now)


def _release_caller(parts: CallParts, ending: Ending, now: float) -> None:
    caller = parts.caller
    if not caller.is_answered:
        caller.reject(ending.sip_status, ending.headers, ending.reasons, now)
    elif caller.is_up:
        _hang_up(caller, ending, now)


def _release_callee(leg: CalleeLeg, ending: Ending, now: float) -> None:
    if leg.is_up:
        if leg.owes_ack:
            leg.confirm()
        _hang_up(leg, ending, now)
    elif not leg.is_closed and not leg.is_cancelled:
        leg.give_up(ending.reasons[0] if ending.reasons else None, now)


def _hang_up(leg: Leg, ending: Ending, now: float) -> None:
    leg.hang_up(ending.reasons, now)
