"""One dialog of a call: SIP on one side, call events and commands on the other.

What both kinds of leg share: the dialog, our description towards the phone, the phone's own, and
the 2xx of ours that waits for its ACK. The kinds are `caller_leg.py` and `callee_leg.py`.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any

from msgspec import Struct

from parley.callmanager.call_events import Disconnect, Update
from parley.callmanager.errors import InvariantBroken
from parley.callmanager.local_description import LocalDescription
from parley.callmanager.outputs import Outputs, Purpose
from parley.callmanager.party_description import PartyDescription, read_description
from parley.callmanager.sip_profile import (
    ALLOW,
    ROUTE_HEADER,
    SOURCE_HEADER,
    SipProfile,
    hop_of,
    reasons_of,
    set_body,
)
from parley.model.ids import InstanceId
from parley.sip.dialog import Dialog
from parley.sip.errors import RemoteProtocolError
from parley.sip.ids import Ids
from parley.sip.message import Request, Response, response_to

TARGET_REFRESH = frozenset(("INVITE", "UPDATE"))
"""Methods whose Contact replaces the remote target (RFC 3261 12.2, RFC 3311 5.1)."""


class LegState(Enum):
    """How far a leg is."""

    INVITED = "invited"
    CONFIRMED = "confirmed"
    CLOSING = "closing"
    CLOSED = "closed"


class LegContext(Struct, frozen=True):
    """What all legs of a call share."""

    out: Outputs
    profile: SipProfile
    ids: Ids

    def session_number(self) -> str:
        """A random session id for an `o=` line, which must be a number (RFC 8866 5.2)."""
        return str(int.from_bytes(self.ids.token(4)[-7:].encode()))


class Leg:
    """A dialog and what is known of the phone at its other end.

    Attributes:
        id: `a` faces the caller, `b1`, `b2`, ... are the callee's phones.
        media_leg: `a` or `b`, the leg of the media session.
        tag: ours in this dialog.
        party: number of the person on this leg.
        contact: where the phone is reached, for the record; with `edge`, if known.
        learn_from: signalling addresses from which its media may come.
        told: our descriptions towards this phone.
        remote: the phone's description in force.
        unacked: transaction of a 2xx of ours that waits for its ACK.
        unacked_request: the INVITE or re-INVITE that this 2xx answered.
        owes_bye: a BYE that must wait for that ACK (RFC 3261 15).
        owes_move: it was told ports of a relay that the call has left, and is to be told the new.
        media_note: why its media does not flow, for the record; empty as a rule.
    """

    __slots__ = (
        "_heard_after",
        "_out",
        "_profile",
        "answered_at",
        "contact",
        "dialog",
        "edge",
        "ended_at",
        "id",
        "learn_from",
        "media_leg",
        "media_note",
        "owes_bye",
        "owes_move",
        "party",
        "remote",
        "sip_call_id",
        "sip_status",
        "started_at",
        "state",
        "tag",
        "told",
        "unacked",
        "unacked_request",
    )

    def __init__(
        self, leg_id: str, party: str, learn_from: Sequence[str], context: LegContext, now: float
    ) -> None:
        self.id = leg_id
        self.media_leg = leg_id[0]
        self.party = party
        self.learn_from = tuple(learn_from)
        self.told = LocalDescription(context.session_number())
        self.dialog: Dialog | None = None
        self.remote: PartyDescription | None = None
        self.state = LegState.INVITED
        self.unacked: Any = None
        self.unacked_request: Request | None = None
        self.owes_bye: Sequence[str] | None = None
        self.owes_move = False
        self.media_note = ""
        self.tag = context.ids.token()
        self.sip_call_id = ""
        self.contact = ""
        self.edge: InstanceId | None = None
        self.sip_status: int | None = None
        self.started_at = now
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self._heard_after = 0
        self._out = context.out
        self._profile = context.profile

    @property
    def is_closed(self) -> bool:
        """Nothing is owed to this phone and nothing expected of it."""
        return self.state is LegState.CLOSED

    @property
    def is_up(self) -> bool:
        """The dialog is confirmed and nobody is hanging up."""
        return self.state is LegState.CONFIRMED

    def close(self, now: float) -> None:
        """Marks the end of the dialog."""
        if self.state is not LegState.CLOSED:
            self.state = LegState.CLOSED
            self.owes_bye = None
            self.acknowledged()
            if self.ended_at is None:
                self.ended_at = now

    # --- our requests ----------------------------------------------------------------------

    def new_request(self, method: str) -> Request:
        """A request within the dialog."""
        request = self._established().new_request(method)
        if method in TARGET_REFRESH:
            request.add("allow", ALLOW)
        request.add("user-agent", self._profile.product)
        return request

    def send(self, request: Request, purpose: Purpose) -> int:
        """Sends a request of `new_request`; returns its key."""
        hop = hop_of(self._established().next_hop_uri)
        return self._out.send_request(request, hop, purpose, self.id)

    def acknowledge(self, invite_cseq: int, body: bytes = b"") -> None:
        """Sends the ACK to a 2xx of the phone."""
        dialog = self._established()
        ack = dialog.new_ack(invite_cseq)
        set_body(ack, body)
        self._out.send_ack(ack, hop_of(dialog.next_hop_uri))

    def hang_up(self, reasons: Sequence[str], now: float) -> None:
        """Sends a BYE, or owes it until the ACK to our 2xx is there (RFC 3261 15)."""
        if self.state is not LegState.CLOSED:
            self.state = LegState.CLOSING
            self.ended_at = now
        if self.unacked is not None:
            self.owes_bye = reasons
        else:
            self._bye(reasons)

    def settle_bye(self) -> None:
        """The ACK came, or will not come: sends the BYE that is owed."""
        self.acknowledged()
        reasons = self.owes_bye
        if reasons is not None:
            self.owes_bye = None
            self._bye(reasons)

    def acknowledged(self) -> None:
        """No 2xx of ours waits for an ACK any more."""
        self.unacked = self.unacked_request = None

    def waits_for(self, ack: Request) -> bool:
        """Whether this is the ACK to the 2xx that has none; not one to an earlier 2xx, repeated."""
        unacked = self.unacked_request
        return (
            unacked is not None
            and ack.cseq.number == unacked.cseq.number
            and ack.from_.tag == unacked.from_.tag
        )

    def presume_ack(self) -> bool:
        """Takes a new offer of the phone for the ACK to our 2xx; False when that ACK must be seen.

        Who offers anew has our 2xx (RFC 3261 14.1); the ACK was lost, or told to a predecessor that
        died before its next write. It cannot be spared when it brings the answer to our offer.
        """
        unacked = self.unacked_request
        if unacked is None:
            return True
        # A first INVITE is restored without its body; `remote` tells whether it had an offer.
        was_offered_by_us = self.remote is None or (unacked.to.tag is not None and not unacked.body)
        if was_offered_by_us or self.owes_bye is not None:
            return False
        self.acknowledged()
        return True

    def _bye(self, reasons: Sequence[str]) -> None:
        bye = self.new_request("BYE")
        for reason in reasons:
            bye.add("reason", reason)
        self.send(bye, Purpose.BYE)

    # --- the phone's requests --------------------------------------------------------------

    def is_from_peer(self, request: Request) -> bool:
        """Whether a request found by Call-ID and our tag has the peer's tag, too (12.2.2)."""
        dialog = self.dialog
        return dialog is not None and dialog.id.remote_tag == (request.from_.tag or "")

    def check_request(self, request: Request) -> int | None:
        """Feeds an in-dialog request; returns the status that refuses it, if any."""
        dialog = self._established()
        status = dialog.receive_request(request)
        if status is None and request.method in TARGET_REFRESH:
            try:
                dialog.refresh_target(request)
                self._follow(dialog, request)
            except RemoteProtocolError as error:
                return error.status
        if status is None:
            self._heard_after = self._out.last_key
        return status

    def has_spoken_since(self, key: int) -> bool:
        """Whether the phone has sent a request since our request of this key left.

        Then that one's silence says nothing of the phone: it may have moved. A new owner does not
        know.
        """
        return key <= self._heard_after

    def _follow(self, dialog: Dialog, request: Request) -> None:
        """Goes after a phone that speaks from another address or connection now."""
        route = request.get(ROUTE_HEADER)
        if route is not None:
            dialog.replace_first_route(route)
            source = request.get(SOURCE_HEADER)
            self.learn_from = (source,) if source else ()
            self._out.write()

    def refresh(self, response: Response) -> None:
        """Takes the target from a 2xx to a target refresh request (RFC 3261 12.2.1.2).

        Raises:
            RemoteProtocolError: its Contact is unusable.
        """
        self._established().refresh_target(response)

    def update_event(self, request: Request) -> Update:
        """What a re-INVITE or UPDATE wants.

        Raises:
            DescriptionRefused: its body is no use.
        """
        return Update(self.id, request.method, read_description(request))

    def disconnect_event(self, request: Request) -> Disconnect:
        """What a BYE or CANCEL says."""
        return Disconnect(self.id, reasons_of(request))

    def respond(
        self,
        transaction: Any,
        request: Request,
        status: int,
        reason: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Response:
        """Answers an in-dialog request without a body."""
        response = response_to(request, status, reason)
        for name, value in headers:
            response.add(name, value)
        self._out.respond(transaction, response)
        return response

    def accept(self, transaction: Any, request: Request, body: bytes) -> None:
        """Answers a re-INVITE or UPDATE with 200 and a description."""
        is_invite = request.method == "INVITE"
        if is_invite:
            self.unacked, self.unacked_request = transaction, request
        self._out.respond(transaction, self._acceptance(request, body), until_ack=is_invite)

    def accept_again(self) -> None:
        """Gives the 2xx that has no ACK once more, to whatever transaction waits for it now."""
        if self.unacked_request is not None:
            response = self._acceptance(self.unacked_request, self.told.body)
            self._out.respond(self.unacked, response, until_ack=True)

    def adopt(self, transaction: Any, request: Request) -> bool:
        """Takes the request whose 2xx has no ACK when it comes again; False when it is another."""
        unacked = self.unacked_request
        if unacked is None or not is_repeated(unacked, request):
            return False
        if transaction is not self.unacked:
            self._out.supersede(self.unacked, unacked, transaction)
            self.unacked, self.unacked_request = transaction, request
            self.accept_again()
        return True

    def _acceptance(self, request: Request, body: bytes) -> Response:
        response = response_to(request, 200)
        self._present(response)
        set_body(response, body)
        return response

    def _present(self, response: Response) -> None:
        response.add("contact", self._profile.contact)
        response.add("allow", ALLOW)
        response.add("server", self._profile.product)

    def _established(self) -> Dialog:
        if self.dialog is None:
            raise InvariantBroken(f"leg {self.id} has no dialog")
        return self.dialog


def is_repeated(known: Request, request: Request) -> bool:
    """Whether a request within the same dialog is one that is known, come again."""
    return request.method == known.method and request.cseq.number == known.cseq.number
