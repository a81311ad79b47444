"""The call: a state machine over two or more legs, without I/O.

Inputs are the `receive_*` methods and `handle_timeout`, each with the time; what is to be done
stands in `out.actions` afterwards, in order. The legs turn SIP into call events; the call decides
what an event means in its state. Until the answer `establishment.py` decides, changes after it are
`re_invite.py`'s (or the echo's), the end is `teardown.py`'s. `docs/design/call.md` has the picture.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from msgspec import Raw

from parley.callmanager import in_dialog, rehoming, teardown
from parley.callmanager.actions import END_CALL, BindDialog, MediaPurpose
from parley.callmanager.call_events import Fail
from parley.callmanager.call_setup import CallSetup
from parley.callmanager.caller_leg import CallerLeg
from parley.callmanager.echo import Echo
from parley.callmanager.ending import (
    BROKEN,
    CALLER_LOST,
    MAX_DURATION,
    NO_ACK,
    NO_ANSWER,
    Ending,
    cancelled,
    failed_by_callee,
    refused_caller,
)
from parley.callmanager.establishment import Establishment
from parley.callmanager.journal import Journal
from parley.callmanager.leg import Leg, LegContext
from parley.callmanager.media_session import MediaSession
from parley.callmanager.outputs import Deadline, Outputs, Purpose
from parley.callmanager.parts import OVER, CallParts, CallState
from parley.callmanager.pass_through import PassThrough
from parley.callmanager.re_invite import Renegotiation
from parley.callmanager.redirection import MOVED
from parley.callmanager.rehoming import Rehoming
from parley.callmanager.routing import Decision, Refuse, RingTargets
from parley.callmanager.silence import Silence
from parley.callmanager.sip_profile import SipProfile
from parley.model.call import EndedBy
from parley.model.ids import SessionId
from parley.model.media import MediaEvent, MediaTimedOut, Reply, ReplyError, SessionLost
from parley.sip.errors import RemoteProtocolError
from parley.sip.message import Request, Response

_SINGLE_ANSWER = frozenset((Purpose.PASSED_ON, Purpose.SILENCE, Purpose.BYE, Purpose.CANCEL))
_CHANGES = frozenset((MediaPurpose.OFFER_AGAIN, MediaPurpose.ANSWER_AGAIN))


class Call:
    """One call.

    Attributes:
        parts: what the call is made of, its state included.
        out: its outputs.
        setup: its constants.
        context: what its legs share.
        establishment: decides until the answer.
        changes: of the answered session.
        passed: requests that go on to the other party as they are.
        rehoming: moves to another relay.
        silence: looks after parties that are not heard.
        encoded_invite: the caller's INVITE as the snapshots hold it, kept by `snapshot.py`.
    """

    __slots__ = (
        "changes",
        "context",
        "encoded_invite",
        "establishment",
        "out",
        "parts",
        "passed",
        "rehoming",
        "setup",
        "silence",
    )

    def __init__(self, setup: CallSetup, now: float, wall_s: float) -> None:
        parties = setup.parties
        self.setup = setup
        self.encoded_invite: tuple[Request, Raw] | None = None
        self.out = Outputs(parties.call_id, setup.epoch)
        contact = f"<sip:{parties.call_id}@{setup.domain}>"
        profile = SipProfile(parties.call_id, contact, setup.product)
        self.context = context = LegContext(self.out, profile, setup.ids)
        caller = CallerLeg(setup.transaction, setup.request, parties.caller, context, now)
        journal = Journal(parties, now, wall_s)
        media = MediaSession(SessionId(parties.call_id), setup.epoch)
        self.parts = CallParts(self.out, journal, media, caller)
        self.establishment = Establishment(self.parts, setup, context)
        self.changes: Renegotiation | Echo = Renegotiation(self.parts)
        self.passed = PassThrough(self.parts)
        self.rehoming = Rehoming(self.parts, setup.ids, setup.media_timeout_s)
        self.silence = Silence(self.parts)

    @property
    def state(self) -> CallState:
        """How far the call is."""
        return self.parts.state

    def start(self, decision: Decision, now: float) -> None:
        """Begins the call as routing decided."""
        caller = self.parts.caller
        self.parts.journal.start()
        self.out.actions.append(BindDialog(caller.sip_call_id, caller.tag, caller.id))
        self._end_if(self._begin(decision, now), now)
        self._finish_step(now)

    def _begin(self, decision: Decision, now: float) -> Ending | None:
        caller = self.parts.caller
        try:
            caller.open_dialog()
        except RemoteProtocolError as error:
            return refused_caller(error.status, "bad-request")
        event = caller.try_event()
        if isinstance(decision, Refuse):
            return Ending(decision.result, decision.reason, EndedBy.PLATFORM, decision.status)
        if isinstance(event, Fail):
            return refused_caller(event.status, "bad-offer", event.headers)
        if isinstance(decision, RingTargets):
            return self.establishment.begin_ringing(decision, now)
        self.changes = echo = Echo(self.parts, self.setup.media_timeout_s)
        return self.establishment.begin_echo(echo)

    # --- SIP in ----------------------------------------------------------------------------

    def receive_request(self, leg_id: str, transaction: Any, request: Request, now: float) -> None:
        """Takes a request within a leg's dialog, CANCEL and ACK excepted."""
        leg = self.parts.leg(leg_id)
        is_known = leg is not None and leg.is_from_peer(request)
        if leg is None or not is_known or (leg.is_closed and request.method != "BYE"):
            self.parts.caller.respond(transaction, request, 481)
        elif not in_dialog.adopt(self, leg, transaction, request):
            in_dialog.receive(self, leg, transaction, request, now)
            self._finish_step(now)

    def receive_repeated_invite(self, transaction: Any, request: Request, now: float) -> None:
        """Takes the caller's INVITE that came again by another way, or to us from a predecessor.

        The newest transaction is answered from now on, at once when there is something to say.
        """
        self.parts.caller.receive_again(transaction, request)

    def receive_cancel(self, transaction: Any, request: Request, now: float) -> None:
        """Takes a CANCEL of the INVITE of this transaction; it is answered already."""
        caller = self.parts.caller
        if not caller.is_asked_by(transaction):
            self.changes.cancel(transaction)
        elif not caller.is_answered:
            self._end_if(cancelled("cancelled", caller.disconnect_event(request).reasons), now)
        self._finish_step(now)

    def receive_ack(self, leg_id: str, ack: Request, now: float) -> None:
        """Takes the ACK to a 2xx of ours."""
        leg = self.parts.leg(leg_id)
        if leg is None or not leg.waits_for(ack):
            return
        if leg.owes_bye is not None:
            leg.settle_bye()
            return
        leg.acknowledged()
        callee = self.parts.callee
        if leg is self.parts.caller and callee is not None and callee.owes_ack:
            ending = self.establishment.receive_ack(ack)
        else:
            ending = self.changes.receive_ack(leg, ack)
        self._end_if(ending, now)
        self._finish_step(now)

    def receive_response(self, key: int, response: Response, now: float) -> None:
        """Takes a response, in its transaction or without one (after a takeover, or repeated).

        Its branch names the key. (When its transaction can be made again it belongs there:
        `SipNode.redeliver` first.)
        """
        sent = self.out.answered(key, response)
        if sent is None:
            # Of a request that is over, or of another one: it changes nothing.
            return
        purpose, leg_id = sent.purpose, sent.leg
        if response.status >= 200 and purpose in _SINGLE_ANSWER:
            del self.out.requests[key]
        if purpose is Purpose.INVITE:
            ending = self.establishment.receive_response(leg_id, response, now)
            self._end_if(ending, now)
        elif purpose is Purpose.RENEGOTIATION:
            self._end_if(self.changes.receive_response(key, response), now)
        elif purpose is Purpose.REHOMING:
            self._end_if(self.rehoming.phones.receive_response(key, response, now), now)
        elif purpose is Purpose.PASSED_ON:
            self.passed.receive_response(key, response)
        elif purpose is Purpose.SILENCE:
            self._end_if(self.silence.receive_response(key, response.status), now)
        elif purpose is Purpose.BYE and response.status >= 200:
            teardown.close_leg(self.parts, leg_id, now)
        elif purpose is Purpose.CANCEL and response.status >= 300:
            teardown.close_cancelled(self.parts, leg_id, now)
        self._finish_step(now)

    def receive_failure(self, key: int, cause: str, now: float) -> None:
        """Takes the end of a request that got no answer; `cause` is `timeout` or `transport`."""
        sent = self.out.requests.pop(key, None)
        if sent is None:
            return
        purpose, leg_id = sent.purpose, sent.leg
        status = 408 if cause == "timeout" else 503
        if purpose is Purpose.INVITE:
            ending = self.establishment.receive_failure(leg_id, status, cause, now)
            self._end_if(ending, now)
        elif purpose is Purpose.RENEGOTIATION:
            self._end_if(self.changes.receive_failure(key, status), now)
        elif purpose is Purpose.REHOMING:
            self._end_if(self.rehoming.phones.receive_failure(key, now), now)
        elif purpose is Purpose.PASSED_ON:
            self.passed.receive_failure(key, status)
        elif purpose is Purpose.SILENCE:
            self._end_if(self.silence.receive_response(key, status), now)
        elif purpose is Purpose.BYE:
            teardown.close_leg(self.parts, leg_id, now)
        elif purpose is Purpose.CANCEL:
            teardown.close_cancelled(self.parts, leg_id, now)
        self._finish_step(now)

    def receive_server_failure(self, transaction: Any, cause: str, now: float) -> None:
        """Takes the failure of a transaction of the other side: no ACK, or no way back."""
        caller = self.parts.caller
        if cause == "timeout":
            for leg in self.parts.legs():
                if leg.unacked is transaction:
                    leg.settle_bye()
                    self._end_if(NO_ACK, now)
        elif transaction is caller.transaction and not caller.is_answered:
            self._end_if(CALLER_LOST, now)
        self._finish_step(now)

    # --- media -----------------------------------------------------------------------------

    def receive_media(self, purpose: MediaPurpose, reply: Reply | None, now: float) -> None:
        """Takes the relay's reply; None when no relay answered."""
        if purpose is MediaPurpose.CLOSE:
            self.parts.media.receive_closed(reply)
            teardown.write_record(self.parts)
        elif purpose in rehoming.PURPOSES:
            self._end_if(self.rehoming.receive_media(purpose, reply, now), now)
            for interrupted in self.rehoming.take_interrupted():
                self.receive_media(interrupted, reply, now)
        elif self.parts.state in OVER:
            teardown.receive_late_media(self.parts, reply)
        elif purpose is MediaPurpose.ADOPT:
            self._receive_adopted(reply, now)
        elif self.rehoming.interrupts(purpose, reply, now):
            pass  # It goes on when the session is open elsewhere.
        elif purpose in _CHANGES or (
            purpose is MediaPurpose.ACK_ANSWER and not self._is_callee_unacknowledged()
        ):
            self._end_if(self.changes.receive_media(purpose, reply, now), now)
        else:
            self._end_if(self.establishment.receive_media(purpose, reply, now), now)
        self._finish_step(now)

    def _receive_adopted(self, reply: Reply | None, now: float) -> None:
        """The session of a call that was taken over is there, or lost like any other."""
        media = self.parts.media
        is_stale = reply is not None and reply.error is ReplyError.STALE_EPOCH
        # Stale: somebody has claimed the call from us; our next write will find out.
        if not media.receive_opened(reply) and not is_stale:
            detail = "no relay" if reply is None else reply.detail
            self.receive_media_event(SessionLost(media.session_id, detail), now)

    def _is_callee_unacknowledged(self) -> bool:
        return self.parts.callee is not None and self.parts.callee.owes_ack

    def receive_media_event(self, event: MediaEvent, now: float) -> None:
        """Takes what the relay says by itself: silence, or that the session is or will be gone."""
        if isinstance(event, MediaTimedOut):
            self._end_if(self.silence.receive_event(event), now)
        elif self.parts.state not in OVER:
            self.rehoming.receive_event(event, now)
        self._finish_step(now)

    # --- time ------------------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due; None while the call waits for nothing."""
        deadlines = self.out.deadlines
        return min(deadlines.values()) if deadlines else None

    def handle_timeout(self, now: float) -> None:
        """Acts on every deadline that has passed."""
        due = [kind for kind, at in self.out.deadlines.items() if at <= now]
        for kind in due:
            if self.out.deadlines.pop(kind, None) is not None:
                self._TIMEOUTS[kind](self, now)
        self._finish_step(now)

    def _on_ring_timeout(self, now: float) -> None:
        fork = self.parts.fork
        targets = () if fork is None else fork.redirected_to
        # One phone sends the caller elsewhere, and nobody answers the others.
        self._end_if(failed_by_callee(MOVED, targets) if targets else NO_ANSWER, now)

    def _on_max_duration(self, now: float) -> None:
        self._end_if(MAX_DURATION, now)

    def _on_join_write(self, now: float) -> None:
        self.out.write()
        self.out.publish()

    def _on_rehome(self, now: float) -> None:
        self.rehoming.is_active = True  # `_finish_step` settles.

    def _on_linger(self, now: float) -> None:
        teardown.force(self.parts, now)

    # --- the end ---------------------------------------------------------------------------

    def terminate(self, ending: Ending, now: float) -> None:
        """Ends the call from outside: shutdown, or an administrator."""
        self._end_if(ending, now)
        self._finish_step(now)

    def abort(self, now: float) -> None:
        """Something broke inside: ends the call, or what of it can still be ended."""
        if self.parts.state in OVER:
            teardown.force(self.parts, now)
        self.terminate(BROKEN, now)

    def write_off(self, now: float, *, with_legs: bool) -> None:
        """Writes the record of a call that cannot be ended in order any more."""
        if self.parts.journal.termination is None:
            self.parts.journal.end(BROKEN.termination(is_answered=False), now)
        self.parts.state = CallState.ENDED
        self.parts.journal.close(list(self.parts.legs()) if with_legs else (), ())

    def _end_if(self, ending: Ending | None, now: float) -> None:
        if ending is not None and self.parts.state not in OVER:
            self.end(ending, now)

    def end(
        self, ending: Ending, now: float, asked: tuple[Leg, Any, Request] | None = None
    ) -> None:
        """Ends the call.

        Args:
            ending: why.
            now: in seconds.
            asked: leg, transaction and BYE of the party that hung up.
        """
        self.parts.state = CallState.ENDING
        teardown.begin(self.parts, ending, now)
        self.out.write()
        if asked is not None:
            leg, transaction, request = asked
            leg.respond(transaction, request, 200)
            teardown.leave(self.parts, leg, ending, now)
        self.changes.abort()
        self.passed.abort()
        self.rehoming.abort()
        teardown.release(self.parts, ending, now)
        teardown.release_media(self.parts)

    def _finish_step(self, now: float) -> None:
        self.parts.now = now
        if self.rehoming.is_active and self.parts.state not in OVER:
            self.rehoming.settle(self.changes, now)
        if self.parts.state is CallState.ENDING and teardown.is_done(self.parts):
            self.parts.state = CallState.ENDED
            self.out.deadlines.clear()
            self.out.actions.append(END_CALL)

    _TIMEOUTS: ClassVar[dict[Deadline, Callable[["Call", float], None]]] = {
        Deadline.RING: _on_ring_timeout,
        Deadline.DURATION: _on_max_duration,
        Deadline.JOIN_WRITE: _on_join_write,
        Deadline.REHOME: _on_rehome,
        Deadline.LINGER: _on_linger,
    }
