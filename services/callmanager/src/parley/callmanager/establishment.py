"""From the INVITE to the answer: media is opened, phones ring, one of them answers.

A part of the call: what it returns as an `Ending` the call carries out. The caller's offer is
relayed to every phone with the session's ports, the answer of the phone that wins comes back. When
the caller made no offer, the phone's comes in its 200 and the caller's answer in the ACK: the
session is opened then, and the ACK to the phone waits for the caller's.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from parley.callmanager import teardown
from parley.callmanager.actions import BindDialog, MediaPurpose
from parley.callmanager.call_events import CallEvent, Connect, Fail, Ring
from parley.callmanager.call_setup import CallSetup
from parley.callmanager.callee_leg import CalleeLeg
from parley.callmanager.echo import Echo
from parley.callmanager.ending import (
    BAD_CONTACT,
    Ending,
    bad_answer,
    failed_by_callee,
    without_media,
)
from parley.callmanager.errors import InvariantBroken
from parley.callmanager.forking import Fork
from parley.callmanager.invite import InviteTemplate
from parley.callmanager.leg import LegContext, LegState
from parley.callmanager.media_session import MediaPhase, unanswered
from parley.callmanager.outputs import Deadline
from parley.callmanager.parts import UNANSWERED_BY_ALL, CallParts, CallState
from parley.callmanager.party_description import (
    DescriptionRefused,
    PartyDescription,
    read_description,
)
from parley.callmanager.routing import RingTargets
from parley.callmanager.sip_profile import ANSWERED_ELSEWHERE
from parley.model.call import EndedBy
from parley.model.media import LEG_A, LEG_B, LegSpec, Reply, SessionMode
from parley.sdp import answer_matches_offer
from parley.sip.message import Request, Response

MAX_BRANCHES: Final = 50
"""Branches of one call, alternates included."""


class Establishment:
    """The first half of a call's life.

    Attributes:
        early_leg: id of the phone whose early media is heard.
        ring_timeout_s: seconds that phones ring.
    """

    __slots__ = (
        "_context",
        "_echo",
        "_parts",
        "_ring",
        "_setup",
        "_unheard",
        "early_leg",
        "ring_timeout_s",
    )

    def __init__(self, parts: CallParts, setup: CallSetup, context: LegContext) -> None:
        self._parts = parts
        self._setup = setup
        self._context = context
        self._echo: Echo | None = None
        self.early_leg: str | None = None
        self._ring: Ring | None = None
        self._unheard: Ring | None = None
        self.ring_timeout_s = 0.0

    # --- the beginning ---------------------------------------------------------------------

    def begin_echo(self, echo: Echo) -> Ending | None:
        """Answers the call ourselves as soon as the relay is ready."""
        self._echo = echo
        return echo.open()

    def take_up_echo(self, echo: Echo) -> None:
        """The call is one that a predecessor answered itself."""
        self._echo = echo

    def begin_ringing(self, decision: RingTargets, now: float) -> Ending | None:
        """Asks for the media of both legs; without an offer rings the phones at once."""
        parts, setup = self._parts, self._setup
        targets = decision.targets
        template = InviteTemplate(
            setup.request, setup.identity, self._context.profile, len(targets)
        )
        parts.fork = Fork(decision.callee, template, self._context)
        parts.fork.add(targets, now)
        self.ring_timeout_s = decision.timeout_s
        remote = parts.caller.remote
        if remote is None:
            return self._send_invites(now)
        offered = remote.specs(parts.caller.learn_from, None)
        legs = [LegSpec(LEG_A, offered), LegSpec(LEG_B, unanswered(offered))]
        self._open(MediaPurpose.OPEN, legs)
        return None

    def _open(self, purpose: MediaPurpose, legs: Sequence[LegSpec]) -> None:
        media, timeout_s = self._parts.media, self._setup.media_timeout_s
        self._parts.out.command(purpose, media.open(SessionMode.BRIDGE, legs, timeout_s))

    def _send_invites(self, now: float) -> Ending | None:
        fork = self._fork()
        self._parts.state = CallState.TRYING
        self._parts.out.set_deadline(Deadline.RING, now + self.ring_timeout_s)
        self._invite(list(fork.branches.values()), now)
        self._parts.out.publish()
        return BAD_CONTACT if fork.is_over else None

    def _invite(self, branches: Sequence[CalleeLeg], now: float) -> None:
        out = self._parts.out
        for leg in branches:
            out.actions.append(BindDialog(leg.sip_call_id, leg.tag, leg.id))
        out.write()
        streams = self._parts.media.streams(LEG_B)
        self._fork().send(branches, self._parts.caller.remote, streams, now)

    # --- the phones ------------------------------------------------------------------------

    def receive_response(self, leg_id: str, response: Response, now: float) -> Ending | None:
        """Takes what a phone says to its INVITE."""
        leg = self._fork().branches[leg_id]
        event = leg.receive_response(response)
        return None if event is None else self._EVENTS[type(event)](self, leg, event, now)

    def receive_failure(self, leg_id: str, status: int, cause: str, now: float) -> Ending | None:
        """Takes that a phone said nothing, or that there is no way to it."""
        leg = self._fork().branches[leg_id]
        if leg.state is LegState.CONFIRMED or leg.is_closed:
            return None
        leg.sip_status = leg.sip_status or status
        return self._on_fail(leg, Fail(leg_id, status, cause, status == 503), now)

    def _on_ring(self, leg: CalleeLeg, event: CallEvent, now: float) -> Ending | None:
        parts = self._parts
        if parts.state not in UNANSWERED_BY_ALL or not isinstance(event, Ring):
            return None
        if parts.state is CallState.TRYING:
            parts.state = CallState.RINGING
            parts.journal.ring(now)
            parts.out.join_write(now)
        sdp, caller = event.sdp, parts.caller
        # Early media: the first phone that sends some is heard (RFC 3960 leaves the choice). News
        # of another one without media would make the caller's phone ring over it.
        if self.early_leg not in (None, leg.id):
            self._unheard = event
        elif sdp is None or caller.remote is None:
            caller.ring(event.status, event.reason, b"")
        elif leg.remote is not None and leg.remote.body == sdp.body:
            caller.ring(event.status, event.reason, caller.told.body)
        elif answer_matches_offer(caller.remote.sdp, sdp.sdp):
            self._relay_early_media(leg, event, sdp)
        else:
            caller.ring(event.status, event.reason, b"")
        return None

    def _relay_early_media(self, leg: CalleeLeg, event: Ring, sdp: PartyDescription) -> None:
        self.early_leg, self._ring, leg.remote = leg.id, event, sdp
        media = self._parts.media
        legs = [LegSpec(LEG_B, sdp.specs(leg.learn_from, None, media.indexes))]
        self._parts.out.command(MediaPurpose.EARLY, media.update(legs))

    def _on_connect(self, leg: CalleeLeg, event: CallEvent, now: float) -> Ending | None:
        parts = self._parts
        if parts.state not in UNANSWERED_BY_ALL or leg.is_cancelled:
            teardown.hang_up_late(parts, leg, now)
            return None
        parts.state = CallState.ANSWERING
        parts.callee = leg
        leg.answered_at = now
        parts.out.clear_deadline(Deadline.RING)
        return self._prepare_answer(leg)

    def _prepare_answer(self, leg: CalleeLeg) -> Ending | None:
        """Tells the relay what the phone answered."""
        media = self._parts.media
        offer, answer = self._parts.caller.remote, leg.remote
        if answer is None or not media.takes_answer(offer, answer):
            return bad_answer(EndedBy.CALLEE)
        if offer is not None:
            command = media.update(self._both_legs(leg, offer, answer))
            self._parts.out.command(MediaPurpose.ANSWER, command)
        else:
            offered = answer.specs(leg.learn_from, None)
            legs = [LegSpec(LEG_A, unanswered(offered)), LegSpec(LEG_B, offered)]
            self._open(MediaPurpose.ANSWER, legs)
        return None

    def resume(self) -> Ending | None:
        """After a takeover: asks the relay again what the predecessor got no answer to."""
        callee = self._parts.callee
        if callee is not None and self._parts.state is CallState.ANSWERING:
            return self._prepare_answer(callee)
        if callee is not None and callee.owes_ack and self._parts.caller.remote is not None:
            self._pass_ack_on(callee)
        return None

    def _on_fail(self, leg: CalleeLeg, event: CallEvent, now: float) -> Ending | None:
        leg.close(now)
        if self._parts.state not in UNANSWERED_BY_ALL or not isinstance(event, Fail):
            return None
        if self.early_leg == leg.id:
            self._end_early_media(now)
        fork = self._fork()
        alternate = fork.receive_failure(event)
        if alternate is not None and len(fork.branches) < MAX_BRANCHES:
            self._invite(fork.add((alternate,), now), now)
        if fork.is_over or event.status >= 600:
            return failed_by_callee(fork.best_failure(), fork.redirected_to)
        return None

    def _end_early_media(self, now: float) -> None:
        """The phone whose early media was heard has failed: another one that rings is next."""
        self.early_leg = None
        ring, self._unheard = self._unheard, None
        if ring is not None:
            leg = self._fork().branches[ring.leg]
            if not leg.is_closed:
                self._on_ring(leg, ring, now)

    # --- the relay -------------------------------------------------------------------------

    def receive_media(
        self, purpose: MediaPurpose, reply: Reply | None, now: float
    ) -> Ending | None:
        """Goes on when the relay has done its part."""
        if purpose is MediaPurpose.EARLY:
            self._on_early_media(reply)
            return None
        media = self._parts.media
        if not media.receive_opened(reply):
            if media.phase is MediaPhase.OPENING:
                media.abandon()
            is_answer = purpose is MediaPurpose.ANSWER
            return without_media(reply, EndedBy.CALLEE if is_answer else EndedBy.CALLER)
        return self._MEDIA[purpose](self, now)

    def _on_opened(self, now: float) -> Ending | None:
        if self._echo is None:
            return self._send_invites(now)
        self._answer(self._echo.answer(), now)
        return None

    def _on_early_media(self, reply: Reply | None) -> None:
        ring = self._ring
        is_done = self._parts.media.receive_opened(reply)
        if ring is None or ring.sdp is None or self._parts.state is not CallState.RINGING:
            return
        caller = self._parts.caller
        streams = self._parts.media.streams(LEG_A)
        body = caller.told.relay(ring.sdp.sdp, streams) if is_done else b""
        caller.ring(ring.status, ring.reason, body)

    def _on_answer_ready(self, now: float) -> Ending | None:
        callee, caller = self._parts.callee, self._parts.caller
        if callee is not None and callee.remote is not None:
            streams = self._parts.media.streams(LEG_A)
            self._answer(caller.told.relay(callee.remote.sdp, streams), now)
        return None

    def _on_ack_answer_ready(self, now: float) -> Ending | None:
        callee, caller = self._parts.callee, self._parts.caller
        if callee is not None and caller.remote is not None:
            body = callee.told.relay(caller.remote.sdp, self._parts.media.streams(LEG_B))
            self._parts.out.write()
            callee.confirm(body)
        return None

    # --- the answer ------------------------------------------------------------------------

    def _answer(self, body: bytes, now: float) -> None:
        """Everybody is told of the answer, once it is written."""
        parts = self._parts
        caller, callee, fork, out = parts.caller, parts.callee, parts.fork, parts.out
        parts.state = CallState.ANSWERED
        parts.journal.answer(now)
        out.set_deadline(Deadline.DURATION, now + self._setup.max_duration_s)
        out.write()
        if callee is not None and caller.remote is not None:
            callee.confirm()
        caller.answer(body, now)
        if fork is not None:
            fork.give_up_others(callee, ANSWERED_ELSEWHERE, now)
        out.publish()

    def receive_ack(self, ack: Request) -> Ending | None:
        """The caller's answer, when it made no offer: the phone still waits for its ACK."""
        callee, caller = self._parts.callee, self._parts.caller
        try:
            answer = read_description(ack)
        except DescriptionRefused:
            return bad_answer(EndedBy.CALLER)
        offer = None if callee is None else callee.remote
        if (
            callee is None
            or answer is None
            or offer is None
            or not self._parts.media.takes_answer(offer, answer)
        ):
            return bad_answer(EndedBy.CALLER)
        caller.remote = answer
        self._pass_ack_on(callee)
        return None

    def _pass_ack_on(self, callee: CalleeLeg) -> None:
        """Tells the relay the caller's answer; then the phone gets it in its ACK."""
        answer, offer = self._parts.caller.remote, callee.remote
        if answer is not None and offer is not None:
            command = self._parts.media.update(self._both_legs(callee, answer, offer))
            self._parts.out.command(MediaPurpose.ACK_ANSWER, command)

    def _both_legs(
        self, callee: CalleeLeg, caller_said: PartyDescription, callee_said: PartyDescription
    ) -> list[LegSpec]:
        caller, opened = self._parts.caller, self._parts.media.indexes
        return [
            LegSpec(LEG_A, caller_said.specs(caller.learn_from, callee_said, opened)),
            LegSpec(LEG_B, callee_said.specs(callee.learn_from, caller_said, opened)),
        ]

    def _fork(self) -> Fork:
        fork = self._parts.fork
        if fork is None:
            raise InvariantBroken("a call without phones got a phone's response")
        return fork

    _EVENTS: ClassVar[
        dict[type, Callable[["Establishment", CalleeLeg, CallEvent, float], Ending | None]]
    ] = {Ring: _on_ring, Connect: _on_connect, Fail: _on_fail}
    _MEDIA: ClassVar[dict[MediaPurpose, Callable[["Establishment", float], Ending | None]]] = {
        MediaPurpose.OPEN: _on_opened,
        MediaPurpose.ANSWER: _on_answer_ready,
        MediaPurpose.ACK_ANSWER: _on_ack_answer_ready,
    }
