"""The call: a state machine over two or more legs, without I/O.

Inputs are the `receive_*` methods and `handle_timeout`, each with the time; what is to be done
stands in `out.actions` afterwards, in order. The legs turn SIP into call events; the call decides
what an event means in its state. Until the answer `establishment.py` decides, changes after it are
`re_invite.py`'s (or the echo's), the end is `teardown.py`'s. `docs/design/call.md` has the picture.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from parley.callmanager import teardown
from parley.callmanager.actions import END_CALL, BindDialog, MediaPurpose
from parley.callmanager.call_events import Disconnect, Fail
from parley.callmanager.call_setup import CallSetup
from parley.callmanager.callee_leg import CalleeLeg
from parley.callmanager.caller_leg import CallerLeg
from parley.callmanager.echo import Echo
from parley.callmanager.ending import (
    BROKEN,
    CALLER_LOST,
    MAX_DURATION,
    MEDIA_LOST,
    MEDIA_TIMEOUT,
    NO_ACK,
    NO_ANSWER,
    Ending,
    failed_by_callee,
)
from parley.callmanager.establishment import Establishment
from parley.callmanager.journal import Journal
from parley.callmanager.leg import Leg, LegContext, LegState
from parley.callmanager.media_session import MediaPhase, MediaSession
from parley.callmanager.outputs import Deadline, Outputs, Purpose
from parley.callmanager.parts import OVER, CallParts, CallState
from parley.callmanager.pass_through import PassThrough
from parley.callmanager.re_invite import Renegotiation
from parley.callmanager.routing import Decision, Refuse, RingTargets
from parley.callmanager.sip_profile import ACCEPT, ALLOW, SipProfile
from parley.model.call import CallResult, EndedBy
from parley.model.ids import SessionId
from parley.model.media import MediaEvent, MediaTimedOut, Reply
from parley.sip.errors import RemoteProtocolError
from parley.sip.message import Request, Response

_NOBODY: tuple[Purpose | None, str] = (None, "")
"""A request that is over: a late response changes nothing."""
_SINGLE_ANSWER = frozenset((Purpose.PASSED_ON, Purpose.BYE))
_CHANGES = frozenset((MediaPurpose.OFFER_AGAIN, MediaPurpose.ANSWER_AGAIN))


class Call:
    """One call.

    Attributes:
        parts: what the call is made of, its state included.
        out: its outputs.
    """

    __slots__ = ("_changes", "_establishment", "_passed", "out", "parts", "setup")

    def __init__(self, setup: CallSetup, now: float, wall_s: float) -> None:
        parties = setup.parties
        self.setup = setup
        self.out = Outputs()
        contact = f"<sip:{parties.call_id}@{setup.domain}>"
        profile = SipProfile(parties.call_id, contact, setup.product)
        context = LegContext(self.out, profile, setup.ids)
        caller = CallerLeg(setup.transaction, setup.request, parties.caller, context, now)
        journal = Journal(parties, now, wall_s)
        media = MediaSession(SessionId(parties.call_id), setup.epoch)
        self.parts = CallParts(self.out, journal, media, caller)
        self._establishment = Establishment(self.parts, setup, context)
        self._changes: Renegotiation | Echo = Renegotiation(self.parts)
        self._passed = PassThrough(self.parts)

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
        self._check_done()

    def _begin(self, decision: Decision, now: float) -> Ending | None:
        caller = self.parts.caller
        try:
            caller.open_dialog()
        except RemoteProtocolError as error:
            return _refused_caller(error.status, "bad-request")
        event = caller.try_event()
        if isinstance(decision, Refuse):
            return Ending(decision.result, decision.reason, EndedBy.PLATFORM, decision.status)
        if isinstance(event, Fail):
            headers = (("accept", ACCEPT),) if event.status == 415 else ()
            return _refused_caller(event.status, "bad-offer", headers)
        if isinstance(decision, RingTargets):
            return self._establishment.begin_ringing(decision, now)
        self._changes = echo = Echo(self.parts, self.setup.media_timeout_s)
        return self._establishment.begin_echo(echo)

    # --- SIP in ----------------------------------------------------------------------------

    def receive_request(self, leg_id: str, transaction: Any, request: Request, now: float) -> None:
        """Takes a request within a leg's dialog, CANCEL and ACK excepted."""
        leg = self.parts.leg(leg_id)
        if leg is None or leg.dialog is None or (leg.is_closed and request.method != "BYE"):
            self.parts.caller.respond(transaction, request, 481)
            return
        handler = self._REQUESTS.get(request.method)
        status = leg.check_request(request)
        if status is not None:
            leg.respond(transaction, request, status)
        elif handler is None:
            leg.respond(transaction, request, 405, headers=(("allow", ALLOW),))
        else:
            handler(self, leg, transaction, request, now)
            self._check_done()

    def receive_cancel(self, transaction: Any, request: Request, now: float) -> None:
        """Takes a CANCEL of the INVITE of this transaction; it is answered already."""
        caller = self.parts.caller
        if transaction is not caller.transaction:
            self._changes.cancel(transaction)
        elif not caller.is_answered:
            self._end_if(_cancelled("cancelled", caller.disconnect_event(request)), now)
        self._check_done()

    def receive_ack(self, leg_id: str, ack: Request, now: float) -> None:
        """Takes the ACK to a 2xx of ours."""
        leg = self.parts.leg(leg_id)
        if leg is None or leg.unacked is None:
            return
        if leg.owes_bye is not None:
            leg.settle_bye()
            return
        leg.unacked = None
        callee = self.parts.callee
        if leg is self.parts.caller and callee is not None and callee.owes_ack:
            ending = self._establishment.receive_ack(ack)
        else:
            ending = self._changes.receive_ack(leg, ack)
        self._end_if(ending, now)
        self._check_done()

    def receive_response(self, key: int, response: Response, now: float) -> None:
        """Takes a response to the request that was sent with this key."""
        purpose, leg_id = self.out.requests.get(key, _NOBODY)
        if response.status >= 200 and purpose in _SINGLE_ANSWER:
            del self.out.requests[key]
        if purpose is Purpose.INVITE:
            ending = self._establishment.receive_response(leg_id, response, now)
            self._end_if(ending, now)
        elif purpose is Purpose.RENEGOTIATION:
            self._end_if(self._changes.receive_response(key, response), now)
        elif purpose is Purpose.PASSED_ON:
            self._passed.receive_response(key, response)
        elif purpose is Purpose.BYE and response.status >= 200:
            self._close_leg(leg_id, now)
        self._check_done()

    def receive_failure(self, key: int, cause: str, now: float) -> None:
        """Takes the end of a request that got no answer; `cause` is `timeout` or `transport`."""
        purpose, leg_id = self.out.requests.pop(key, _NOBODY)
        status = 408 if cause == "timeout" else 503
        if purpose is Purpose.INVITE:
            ending = self._establishment.receive_failure(leg_id, status, cause, now)
            self._end_if(ending, now)
        elif purpose is Purpose.RENEGOTIATION:
            self._end_if(self._changes.receive_failure(key, status), now)
        elif purpose is Purpose.PASSED_ON:
            self._passed.receive_failure(key, status)
        elif purpose is Purpose.BYE:
            self._close_leg(leg_id, now)
        self._check_done()

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
        self._check_done()

    # --- requests within a dialog ----------------------------------------------------------

    def _on_bye(self, leg: Leg, transaction: Any, request: Request, now: float) -> None:
        if self.parts.state in OVER:
            leg.respond(transaction, request, 200)
            leg.close(now)
            return
        event = leg.disconnect_event(request)
        is_caller = leg is self.parts.caller
        if self.parts.journal.answered_at is not None:
            by = EndedBy.CALLER if is_caller else EndedBy.CALLEE
            ending = Ending(CallResult.ANSWERED, "hangup", by, 200, event.reasons)
        else:
            ending = _cancelled("hangup", event) if is_caller else failed_by_callee(480)
        self._end(ending, now, (leg, transaction, request))

    def _on_change(self, leg: Leg, transaction: Any, request: Request, now: float) -> None:
        if self.parts.state is CallState.ANSWERED:
            self._changes.receive_request(leg, transaction, request, now)
        elif self.parts.state in OVER:
            leg.respond(transaction, request, 481)
        else:
            # RFC 3261 14.2, RFC 3311 5.2: the first offer has no answer yet.
            leg.respond(transaction, request, 500, headers=(("retry-after", "2"),))

    def _on_passed(self, leg: Leg, transaction: Any, request: Request, now: float) -> None:
        if self.parts.state is CallState.ANSWERED:
            self._passed.receive_request(leg, transaction, request)
        else:
            leg.respond(transaction, request, 481 if self.parts.state in OVER else 480)

    def _on_options(self, leg: Leg, transaction: Any, request: Request, now: float) -> None:
        headers = (("allow", ALLOW), ("accept", ACCEPT))
        leg.respond(transaction, request, 200, headers=headers)

    # --- media -----------------------------------------------------------------------------

    def receive_media(self, purpose: MediaPurpose, reply: Reply | None, now: float) -> None:
        """Takes the relay's reply; None when no relay answered."""
        if purpose is MediaPurpose.CLOSE:
            self.parts.media.receive_closed(reply)
            teardown.write_record(self.parts)
        elif self.parts.state in OVER:
            teardown.receive_late_media(self.parts, reply)
        elif purpose in _CHANGES or (
            purpose is MediaPurpose.ACK_ANSWER and not self._is_callee_unacknowledged()
        ):
            self._end_if(self._changes.receive_media(purpose, reply, now), now)
        else:
            self._end_if(self._establishment.receive_media(purpose, reply, now), now)
        self._check_done()

    def _is_callee_unacknowledged(self) -> bool:
        return self.parts.callee is not None and self.parts.callee.owes_ack

    def receive_media_event(self, event: MediaEvent, now: float) -> None:
        """Takes what the relay says by itself: silence, or that the session is gone."""
        if isinstance(event, MediaTimedOut):
            self._end_if(MEDIA_TIMEOUT, now)
        elif self.parts.media.phase is MediaPhase.OPEN:
            self._end_if(MEDIA_LOST, now)
        self._check_done()

    # --- time ------------------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due."""
        return self.out.next_timeout()

    def handle_timeout(self, now: float) -> None:
        """Acts on every deadline that has passed."""
        due = [kind for kind, at in self.out.deadlines.items() if at <= now]
        for kind in due:
            if self.out.deadlines.pop(kind, None) is not None:
                self._TIMEOUTS[kind](self, now)
        self._check_done()

    def _on_ring_timeout(self, now: float) -> None:
        self._end_if(NO_ANSWER, now)

    def _on_max_duration(self, now: float) -> None:
        self._end_if(MAX_DURATION, now)

    def _on_join_write(self, now: float) -> None:
        self.out.write()
        self.out.publish()

    def _on_linger(self, now: float) -> None:
        teardown.force(self.parts, now)

    # --- the end ---------------------------------------------------------------------------

    def terminate(self, ending: Ending, now: float) -> None:
        """Ends the call from outside: shutdown, or an administrator."""
        self._end_if(ending, now)
        self._check_done()

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
            self._end(ending, now)

    def _end(
        self, ending: Ending, now: float, asked: tuple[Leg, Any, Request] | None = None
    ) -> None:
        self.parts.state = CallState.ENDING
        teardown.begin(self.parts, ending, now)
        self.out.write()
        if asked is not None:
            leg, transaction, request = asked
            leg.respond(transaction, request, 200)
            self._leave(leg, ending, now)
        self._changes.abort()
        self._passed.abort()
        teardown.release(self.parts, ending, now)
        teardown.release_media(self.parts)

    def _leave(self, leg: Leg, ending: Ending, now: float) -> None:
        """Closes the leg that hung up; what it still waits for it gets."""
        caller = self.parts.caller
        if leg is caller and not caller.is_answered:
            caller.reject(ending.sip_status, (), (), now)
        elif isinstance(leg, CalleeLeg) and leg.owes_ack:
            leg.confirm()
        leg.close(now)

    def _close_leg(self, leg_id: str, now: float) -> None:
        leg = self.parts.leg(leg_id)
        if leg is not None and leg.state is LegState.CLOSING:
            leg.close(now)

    def _check_done(self) -> None:
        if self.parts.state is CallState.ENDING and teardown.is_done(self.parts):
            self.parts.state = CallState.ENDED
            self.out.deadlines.clear()
            self.out.actions.append(END_CALL)

    _REQUESTS: ClassVar[dict[str, Callable[["Call", Leg, Any, Request, float], None]]] = {
        "BYE": _on_bye,
        "INVITE": _on_change,
        "UPDATE": _on_change,
        "INFO": _on_passed,
        "MESSAGE": _on_passed,
        "OPTIONS": _on_options,
    }
    _TIMEOUTS: ClassVar[dict[Deadline, Callable[["Call", float], None]]] = {
        Deadline.RING: _on_ring_timeout,
        Deadline.DURATION: _on_max_duration,
        Deadline.JOIN_WRITE: _on_join_write,
        Deadline.LINGER: _on_linger,
    }


def _refused_caller(status: int, reason: str, headers: tuple[tuple[str, str], ...] = ()) -> Ending:
    return Ending(CallResult.FAILED, reason, EndedBy.CALLER, status, (), headers)


def _cancelled(reason: str, event: Disconnect) -> Ending:
    return Ending(CallResult.CANCELLED, reason, EndedBy.CALLER, 487, event.reasons)
