"""Changes of an answered session, passed from one party to the other (RFC 3261 14, RFC 3311).

One exchange at a time: a request that crosses one of ours gets 491, a second one from the same
party 500 with Retry-After (RFC 3261 14.2, RFC 3311 5.2). The relay's ports stay; it learns the new
addresses with the answer, so an exchange that fails changes nothing. An exchange whose offer comes
in the 2xx has its answer in the ACK.
"""

from typing import Any, Final

from parley.callmanager.actions import MediaPurpose
from parley.callmanager.ending import (
    PHONE_LOST,
    Ending,
    bad_answer,
    is_sdp_fault,
    without_media,
)
from parley.callmanager.exchange import Exchange, Phase
from parley.callmanager.leg import Leg, is_repeated
from parley.callmanager.media_session import unanswered
from parley.callmanager.outputs import Purpose
from parley.callmanager.parts import CallParts
from parley.callmanager.party_description import (
    DescriptionRefused,
    PartyDescription,
    read_description,
)
from parley.callmanager.sip_profile import refusal_of, refusal_of_failure, set_body, warning_of
from parley.model.media import LEG_A, LEG_B, LegSpec, Reply
from parley.sdp import Obstacle
from parley.sip.errors import RemoteProtocolError
from parley.sip.message import Message, Request, Response

REQUEST_PENDING: Final = 491
_GONE: Final = frozenset((408, 481))


class Renegotiation:
    """The exchange of a call, if there is one.

    Attributes:
        orphans: keys of INVITEs whose repeated or late 2xx is acknowledged with this CSeq and body.
    """

    __slots__ = ("_parts", "exchange", "orphans")

    def __init__(self, parts: CallParts) -> None:
        self._parts = parts
        self.exchange: Exchange | None = None
        self.orphans: dict[int, tuple[Leg, int, bytes]] = {}

    # --- the origin's side -----------------------------------------------------------------

    def receive_request(self, leg: Leg, transaction: Any, request: Request, now: float) -> None:
        """Begins an exchange, or refuses it."""
        target = self._parts.opposite(leg)
        refusal = self._refusal(leg, target)
        if refusal is not None or target is None:
            headers = (("retry-after", str(request.cseq.number % 10)),) if refusal == 500 else ()
            leg.respond(transaction, request, refusal or 481, headers=headers)
            return
        try:
            update = leg.update_event(request)
        except DescriptionRefused as refused:
            leg.respond(transaction, request, refused.status, headers=refused.headers)
            return
        if update.offer is not None and not self._parts.media.reaches(update.offer.streams):
            leg.respond(transaction, request, 488, headers=(warning_of(Obstacle.ADDRESS),))
            return
        if update.offer is None and request.method == "UPDATE":
            # A refresh of the target or of a timer; it says nothing to the other party.
            self._parts.out.write()
            leg.accept(transaction, request, b"")
            return
        self.exchange = exchange = Exchange(leg, target, transaction, request, update.offer)
        if update.offer is None or not self._add_streams(update.offer):
            self._send(exchange)

    def adopt(self, leg: Leg, transaction: Any, request: Request) -> bool:
        """Takes the request under way when it comes again; False when it is another."""
        exchange = self.exchange
        if (
            exchange is None
            or exchange.origin is not leg
            or not exchange.is_unanswered
            or not is_repeated(exchange.request, request)
        ):
            return False
        self._parts.out.supersede(exchange.transaction, exchange.request, transaction)
        exchange.come_again(transaction, request)
        return True

    def resume(self) -> None:
        """After a takeover: asks again what the predecessor got no answer to."""
        exchange = self.exchange
        if exchange is None:
            return
        if exchange.phase is Phase.SENT:
            self._parts.out.send_again(exchange.key)
        elif exchange.phase is Phase.PREPARING:
            if exchange.offer is None or not self._add_streams(exchange.offer):
                self._send(exchange)
        elif exchange.phase is Phase.ANSWERING:
            self._go_on(exchange)
        elif exchange.phase is Phase.ACK_ANSWERING:
            self._tell_relay(MediaPurpose.ACK_ANSWER, exchange)

    def _refusal(self, leg: Leg, target: Leg | None) -> int | None:
        exchange = self.exchange
        if exchange is not None:
            return 500 if exchange.origin is leg and exchange.is_unanswered else REQUEST_PENDING
        if not leg.presume_ack():
            return 500
        if target is None or not target.is_up:
            return 481
        return REQUEST_PENDING if target.unacked is not None else None

    def _add_streams(self, offer: PartyDescription) -> bool:
        """Asks the relay for ports of streams that are new; False when there are none."""
        media = self._parts.media
        specs = [s for s in offer.specs((), None) if s.index not in media.indexes]
        if not specs:
            return False
        blank = unanswered(specs)
        command = media.update([LegSpec(LEG_A, blank), LegSpec(LEG_B, blank)])
        self._parts.out.command(MediaPurpose.OFFER_AGAIN, command)
        return True

    def _send(self, exchange: Exchange) -> None:
        exchange.phase = Phase.SENT
        target = exchange.target
        request = target.new_request(exchange.request.method)
        if exchange.offer is not None:
            set_body(request, self._relayed(exchange.offer, target))
        exchange.cseq = request.cseq.number
        self._parts.out.write()
        exchange.key = target.send(request, Purpose.RENEGOTIATION)

    def receive_ack(self, leg: Leg, ack: Request) -> Ending | None:
        """The ACK to our 2xx; it holds the answer when the 2xx held the offer."""
        exchange = self.exchange
        if (
            exchange is None
            or exchange.phase is not Phase.AWAITING_ACK
            or leg is not exchange.origin
        ):
            return None
        offer, answer = exchange.answer, _description(ack)
        if answer is None or offer is None or not self._parts.media.takes_answer(offer, answer):
            return bad_answer(self._parts.side_of(leg))
        exchange.phase = Phase.ACK_ANSWERING
        exchange.offer = answer
        self._tell_relay(MediaPurpose.ACK_ANSWER, exchange)
        return None

    def cancel(self, transaction: Any) -> None:
        """The origin gives its re-INVITE up."""
        exchange = self.exchange
        if exchange is None or not exchange.is_asked_by(transaction):
            return
        if exchange.phase is Phase.SENT:
            self._parts.out.cancel(exchange.key, None)
        elif exchange.phase is Phase.PREPARING:
            self._refuse(exchange, 487)

    # --- the target's side -----------------------------------------------------------------

    def receive_response(self, key: int, response: Response) -> Ending | None:
        """Takes what the target says."""
        status = response.status
        if status < 200:
            return None
        exchange = self.exchange
        if exchange is None or exchange.key != key or exchange.phase is not Phase.SENT:
            self._acknowledge_again(key, status)
            return None
        if status >= 300:
            return self._fail(exchange, refusal_of(response), response)
        try:
            # The dialog was checked when the leg was made; only a new Contact may be bad.
            exchange.target.refresh(response)
        except RemoteProtocolError:
            return self._fail(exchange, 480, response)
        return self._accept(exchange, _description(response))

    def receive_failure(self, key: int, status: int) -> Ending | None:
        """The target said nothing, or could not be reached (RFC 3261 12.2.1.2)."""
        exchange = self.exchange
        if exchange is None or exchange.key != key:
            return None
        return self._lose(exchange, refusal_of_failure(status))

    def _lose(self, exchange: Exchange, status: int) -> Ending | None:
        """The target is not where it was asked; if it has moved since, the origin may try again."""
        if exchange.target.has_spoken_since(exchange.key):
            self._refuse(exchange, REQUEST_PENDING)
            return None
        self._refuse(exchange, status)
        return PHONE_LOST

    def _fail(self, exchange: Exchange, status: int, response: Response) -> Ending | None:
        if status in _GONE:
            return self._lose(exchange, status)
        if response.status < 300:
            self._acknowledge(exchange, b"")
        wait = response.get("retry-after")
        self._refuse(exchange, status, () if wait is None else (("retry-after", wait),))
        return None

    def _refuse(
        self, exchange: Exchange, status: int, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.exchange = None
        if exchange.key not in self.orphans:
            self._parts.out.requests.pop(exchange.key, None)
        self._parts.out.write()
        exchange.origin.respond(exchange.transaction, exchange.request, status, headers=headers)

    def _accept(self, exchange: Exchange, answer: PartyDescription | None) -> Ending | None:
        if answer is None or not self._parts.media.takes_answer(exchange.offer, answer):
            self._reject_answer(exchange)
            return None
        exchange.answer = answer
        exchange.phase = Phase.ANSWERING
        self._go_on(exchange)
        return None

    def _reject_answer(self, exchange: Exchange, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """The call goes on as it was, whatever the target has answered."""
        self._acknowledge(exchange, b"")
        self._refuse(exchange, 488, headers)

    def _go_on(self, exchange: Exchange) -> None:
        """The target has answered: the relay comes next, then the origin."""
        if exchange.offer is not None:
            self._tell_relay(MediaPurpose.ANSWER_AGAIN, exchange)
        elif exchange.answer is None or not self._add_streams(exchange.answer):
            self._offer_in_answer(exchange)

    def _acknowledge_again(self, key: int, status: int) -> None:
        orphan = self.orphans.get(key)
        if orphan is not None and status < 300:
            leg, cseq, body = orphan
            leg.acknowledge(cseq, body)

    # --- the relay's side ------------------------------------------------------------------

    def receive_media(
        self, purpose: MediaPurpose, reply: Reply | None, now: float
    ) -> Ending | None:
        """Goes on when the relay has done its part."""
        exchange = self.exchange
        is_done = self._parts.media.receive_opened(reply)
        if exchange is None:
            return None
        if purpose is MediaPurpose.OFFER_AGAIN:
            return self._receive_streams(exchange, is_done=is_done)
        if not is_done:
            return self._receive_refusal(exchange, reply)
        if purpose is MediaPurpose.ANSWER_AGAIN:
            self._finish(exchange, now)
        else:
            self._finish_ack(exchange, now)
        return None

    def _receive_refusal(self, exchange: Exchange, reply: Reply | None) -> Ending | None:
        """The relay does not send where one of them wants it, so everything stays as it was."""
        if not is_sdp_fault(reply) or exchange.phase is not Phase.ANSWERING:
            return without_media(reply, self._parts.side_of(exchange.origin))
        origin, target, media = exchange.origin, exchange.target, self._parts.media
        for leg, other in ((origin, target), (target, origin)):
            if leg.remote is not None:
                specs = leg.remote.specs(leg.learn_from, other.remote, media.indexes)
                media.note(LegSpec(leg.media_leg, specs))
        self._reject_answer(exchange, (warning_of(Obstacle.ADDRESS),))
        return None

    def _receive_streams(self, exchange: Exchange, *, is_done: bool) -> Ending | None:
        if exchange.phase is Phase.PREPARING:
            if is_done:
                self._send(exchange)
            else:
                self._refuse(exchange, 488)
        elif exchange.phase is Phase.ANSWERING:
            # Without ports for a stream the origin is offered it with port 0: refused by us.
            self._offer_in_answer(exchange)
        return None

    def _tell_relay(self, purpose: MediaPurpose, exchange: Exchange) -> None:
        media, origin, target = self._parts.media, exchange.origin, exchange.target
        offer, answer = exchange.offer, exchange.answer
        if offer is None or answer is None:
            return
        legs = [
            LegSpec(origin.media_leg, offer.specs(origin.learn_from, answer, media.indexes)),
            LegSpec(target.media_leg, answer.specs(target.learn_from, offer, media.indexes)),
        ]
        self._parts.out.command(purpose, media.update(legs))

    def _finish(self, exchange: Exchange, now: float) -> None:
        """The answer goes to the origin, the ACK to the target."""
        answer = exchange.answer
        if answer is None:
            return
        body = self._relayed(answer, exchange.origin)
        self._settle(exchange, now)
        self._parts.out.write()
        self._acknowledge(exchange, b"")
        exchange.origin.accept(exchange.transaction, exchange.request, body)
        self._parts.out.publish()

    def _offer_in_answer(self, exchange: Exchange) -> None:
        """The target's offer goes to the origin in our 2xx."""
        offer = exchange.answer
        if offer is None:
            return
        exchange.phase = Phase.AWAITING_ACK
        body = self._relayed(offer, exchange.origin)
        self._parts.out.write()
        exchange.origin.accept(exchange.transaction, exchange.request, body)

    def _finish_ack(self, exchange: Exchange, now: float) -> None:
        """The origin's answer, taken from its ACK, goes to the target in ours."""
        answer = exchange.offer
        if answer is None:
            return
        body = self._relayed(answer, exchange.target)
        self._settle(exchange, now)
        self._parts.out.write()
        self._acknowledge(exchange, body)
        self._parts.out.publish()

    def _settle(self, exchange: Exchange, now: float) -> None:
        exchange.origin.remote = exchange.offer
        exchange.target.remote = exchange.answer
        self.exchange = None
        parties = exchange.origin, exchange.target
        is_held = any(leg.remote is not None and leg.remote.is_held for leg in parties)
        self._parts.journal.update(now, is_held=is_held)

    def _acknowledge(self, exchange: Exchange, body: bytes) -> None:
        if exchange.is_invite:
            for key in self.orphans:
                self._parts.out.requests.pop(key, None)
            self.orphans.clear()
            self.orphans[exchange.key] = (exchange.target, exchange.cseq, body)
            exchange.target.acknowledge(exchange.cseq, body)
        else:
            self._parts.out.requests.pop(exchange.key, None)

    def _relayed(self, description: PartyDescription, leg: Leg) -> bytes:
        return leg.told.relay(description.sdp, self._parts.media.streams(leg.media_leg))

    # --- the end ---------------------------------------------------------------------------

    def abort(self) -> None:
        """The call ends: nobody waits for an exchange any more."""
        exchange = self.exchange
        self.exchange = None
        if exchange is None:
            return
        if exchange.is_unanswered:
            exchange.origin.respond(exchange.transaction, exchange.request, 487)
        if exchange.owes_ack:
            exchange.target.acknowledge(exchange.cseq)
        elif exchange.is_invite and exchange.phase is Phase.SENT:
            self.orphans[exchange.key] = (exchange.target, exchange.cseq, b"")


def _description(message: Message) -> PartyDescription | None:
    try:
        return read_description(message)
    except DescriptionRefused:
        return None
