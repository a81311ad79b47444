"""The echo service: a call that we answer ourselves and that hears itself.

It answers every offer with plain audio as offered; without an offer it offers G.711 with DTMF.
"""

from typing import Any, Final, NamedTuple

from parley.callmanager.actions import MediaPurpose
from parley.callmanager.ending import Ending, bad_answer, is_sdp_fault, without_media
from parley.callmanager.leg import Leg, is_repeated
from parley.callmanager.parts import CallParts
from parley.callmanager.party_description import (
    DescriptionRefused,
    PartyDescription,
    read_description,
)
from parley.callmanager.sip_profile import warning_of
from parley.model.call import CallResult, EndedBy
from parley.model.media import LEG_A, LegSpec, Reply, SessionMode, StreamSpec
from parley.sdp import Obstacle, echo_answer, is_echoable, parse_sdp
from parley.sip.message import Request, Response

NOT_ACCEPTABLE: Final = 488
_NOTHING_TO_ECHO: Final = (warning_of(Obstacle.MEDIA),)
NOTHING_TO_ECHO: Final = Ending(
    CallResult.FAILED, "bad-offer", EndedBy.CALLER, NOT_ACCEPTABLE, (), _NOTHING_TO_ECHO
)
_OFFER: Final = """v=0
o={origin}
s=-
c=IN {family} {ip}
t=0 0
m=audio {port} RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=rtcp:{rtcp}
a=sendrecv
""".replace("\n", "\r\n")


class Change(NamedTuple):
    """A change that the caller asked for."""

    transaction: Any
    request: Request
    offer: PartyDescription


class Echo:
    """The other party of an echo call: same face as `Renegotiation`.

    Attributes:
        pending: a re-INVITE or UPDATE whose answer waits for the relay.
    """

    __slots__ = ("_parts", "_timeout_s", "pending")

    def __init__(self, parts: CallParts, media_timeout_s: float) -> None:
        self._parts = parts
        self._timeout_s = media_timeout_s
        self.pending: Change | None = None

    def open(self) -> Ending | None:
        """Asks for the session; ends the call when nothing that is offered can be echoed."""
        remote = self._parts.caller.remote
        specs = [StreamSpec(0, active=False)] if remote is None else self._specs(remote)
        if not specs:
            return NOTHING_TO_ECHO
        command = self._parts.media.open(SessionMode.ECHO, [LegSpec(LEG_A, specs)], self._timeout_s)
        self._parts.out.command(MediaPurpose.OPEN, command)
        return None

    def answer(self) -> bytes:
        """Our answer to the caller's offer, or our offer when it made none."""
        remote = self._parts.caller.remote
        return self._offer() if remote is None else self._answer_to(remote)

    def receive_request(self, leg: Leg, transaction: Any, request: Request, now: float) -> None:
        """Takes a re-INVITE or UPDATE."""
        try:
            offer = leg.update_event(request).offer
        except DescriptionRefused as refused:
            leg.respond(transaction, request, refused.status, headers=refused.headers)
            return
        if self.pending is not None or not leg.presume_ack():
            headers = (("retry-after", str(request.cseq.number % 10)),)
            leg.respond(transaction, request, 500, headers=headers)
        elif offer is None:
            body = self._offer() if request.method == "INVITE" else b""
            self._parts.out.write()
            leg.accept(transaction, request, body)
        elif not self._specs(offer):
            leg.respond(transaction, request, NOT_ACCEPTABLE, headers=_NOTHING_TO_ECHO)
        elif not self._parts.media.reaches(offer.streams):
            headers = (warning_of(Obstacle.ADDRESS),)
            leg.respond(transaction, request, NOT_ACCEPTABLE, headers=headers)
        else:
            self.pending = Change(transaction, request, offer)
            self._update(MediaPurpose.ANSWER_AGAIN, offer)

    def adopt(self, leg: Leg, transaction: Any, request: Request) -> bool:
        """Takes the change under way when it comes again; False when it is another."""
        pending = self.pending
        if pending is None or not is_repeated(pending.request, request):
            return False
        self._parts.out.supersede(pending.transaction, pending.request, transaction)
        self.pending = Change(transaction, request, pending.offer)
        return True

    def resume(self) -> None:
        """After a takeover: asks the relay again what the predecessor got no answer to."""
        if self.pending is not None:
            self._update(MediaPurpose.ANSWER_AGAIN, self.pending.offer)

    def receive_ack(self, leg: Leg, ack: Request) -> Ending | None:
        """The ACK holds the caller's answer when our 2xx held an offer."""
        if not ack.body:
            return None if leg.remote is not None else bad_answer(EndedBy.CALLER)
        try:
            answer = read_description(ack)
        except DescriptionRefused:
            return bad_answer(EndedBy.CALLER)
        if answer is not None:
            leg.remote = answer
            self._update(MediaPurpose.ACK_ANSWER, answer)
        return None

    def receive_media(
        self, purpose: MediaPurpose, reply: Reply | None, now: float
    ) -> Ending | None:
        """Answers when the relay knows the new address."""
        is_done = self._parts.media.receive_opened(reply)
        pending = self.pending
        self.pending = None
        if not is_done:
            return self._receive_refusal(pending, reply)
        if purpose is MediaPurpose.ACK_ANSWER:
            # What the ACK brought stands nowhere else; the phone will not repeat it for ever.
            self._parts.out.join_write(now)
        if purpose is MediaPurpose.ANSWER_AGAIN and pending is not None:
            transaction, request, offer = pending
            self._parts.caller.remote = offer
            body = self._answer_to(offer)
            self._parts.journal.update(now, is_held=offer.is_held)
            self._parts.out.write()
            self._parts.caller.accept(transaction, request, body)
            self._parts.out.publish()
        return None

    def _receive_refusal(self, pending: Change | None, reply: Reply | None) -> Ending | None:
        """A change to where the relay does not send is refused; without a relay the call ends."""
        is_kept = pending is not None and is_sdp_fault(reply)
        caller = self._parts.caller
        if pending is not None:
            self._parts.out.write()
            status = NOT_ACCEPTABLE if is_kept else 500
            caller.respond(pending.transaction, pending.request, status)
        if is_kept and caller.remote is not None:
            self._parts.media.note(LegSpec(LEG_A, self._specs(caller.remote)))
        return None if is_kept else without_media(reply, EndedBy.CALLER)

    def receive_response(self, key: int, response: Response) -> Ending | None:
        """Never happens: the echo sends no requests."""
        return None

    def receive_failure(self, key: int, status: int) -> Ending | None:
        """Never happens: the echo sends no requests."""
        return None

    def cancel(self, transaction: Any) -> None:
        """Too late by nature: the answer follows at once."""

    def abort(self) -> None:
        """The call ends while the relay is asked."""
        if self.pending is not None:
            transaction, request, _ = self.pending
            self.pending = None
            self._parts.caller.respond(transaction, request, 487)

    def _specs(self, description: PartyDescription) -> list[StreamSpec]:
        media = description.sdp.media
        caller, opened = self._parts.caller, self._parts.media.indexes
        return [
            spec
            for spec in description.specs(caller.learn_from, None, opened, is_echo=True)
            if spec.index in opened or is_echoable(media[spec.index])
        ]

    def _update(self, purpose: MediaPurpose, description: PartyDescription) -> None:
        legs = [LegSpec(LEG_A, self._specs(description))]
        self._parts.out.command(purpose, self._parts.media.update(legs))

    def _answer_to(self, offer: PartyDescription) -> bytes:
        told = self._parts.caller.told
        streams = self._parts.media.streams(LEG_A)
        return told.write(echo_answer(offer.sdp, streams, told.origin(streams)))

    def _offer(self) -> bytes:
        told = self._parts.caller.told
        streams = self._parts.media.streams(LEG_A)
        stream = streams[0]
        text = _OFFER.format(
            origin=told.origin(streams),
            family="IP6" if ":" in stream.ip else "IP4",
            ip=stream.ip,
            port=stream.rtp_port,
            rtcp=stream.rtcp_port,
        )
        return told.write(parse_sdp(text.encode()))
