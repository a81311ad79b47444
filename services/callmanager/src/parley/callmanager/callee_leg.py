"""One branch of a call: the UAC side towards one phone of the callee."""

from typing import Final

from parley.callmanager.call_events import Connect, Fail, Ring
from parley.callmanager.errors import InvariantBroken
from parley.callmanager.invite import InviteTemplate, next_hop
from parley.callmanager.leg import Leg, LegContext, LegState
from parley.callmanager.outputs import Purpose
from parley.callmanager.party_description import (
    DescriptionRefused,
    PartyDescription,
    read_description,
)
from parley.callmanager.redirection import targets_of
from parley.callmanager.routing import Target
from parley.callmanager.sip_profile import DEFAULT_MAX_FORWARDS, hop_of
from parley.sip.dialog import Dialog
from parley.sip.errors import ProtocolError, RemoteProtocolError
from parley.sip.message import Message, Request, Response

FLOW_FAILED: Final = 430
BAD_GATEWAY: Final = 502
INVITE_CSEQ: Final = 1


class CalleeLeg(Leg):
    """One phone that rings, and after its answer the callee's dialog.

    Attributes:
        target: the phone.
        key: name of the INVITE's transaction; None before it left.
        early: the description of the phone's early media.
        is_cancelled: it was given up; a late 2xx is hung up again.
        owes_ack: its 2xx is not acknowledged yet (a write or the caller's answer comes first).
        ack_body: what the ACK to its 2xx held, for repeated ones.
        request: the INVITE, once it was made.
        is_inherited: the INVITE left from another instance and has no transaction here.
    """

    __slots__ = (
        "ack_body",
        "early",
        "is_cancelled",
        "is_inherited",
        "key",
        "owes_ack",
        "request",
        "target",
    )

    def __init__(
        self, leg_id: str, party: str, target: Target, context: LegContext, now: float
    ) -> None:
        super().__init__(leg_id, party, (target.source,), context, now)
        self.target = target
        self.contact = target.contact
        self.edge = target.edge
        self.sip_call_id = context.ids.token(12)
        self.key: int | None = None
        self.early: PartyDescription | None = None
        self.is_cancelled = False
        self.owes_ack = False
        self.ack_body = b""
        self.is_inherited = False
        self.request: Request | None = None

    def invite(self, template: InviteTemplate, body: bytes) -> bool:
        """Sends the INVITE; False when the phone's registration cannot be used."""
        try:
            request = template.build(self.target, self.sip_call_id, self.tag, body)
            hop = next_hop(self.target)
        except ProtocolError:
            return False
        self.request = request
        self.key = self._out.send_request(request, hop, Purpose.INVITE, self.id)
        return True

    def receive_response(self, response: Response) -> Ring | Connect | Fail | None:
        """Turns a response to the INVITE into what it means for the call."""
        status = response.status
        if status >= 300:
            self.sip_status = status
            return Fail(
                self.id,
                status,
                response.reason,
                status == FLOW_FAILED,
                redirected_to=targets_of(response),
            )
        if status >= 200:
            return self._connect(response)
        if status == 100:
            return None
        sdp = _description(response)
        if sdp is not None:
            self.early = sdp
        return Ring(self.id, status, response.reason, sdp)

    def _connect(self, response: Response) -> Connect | Fail | None:
        try:
            if self.dialog is not None:
                self._receive_another_2xx(self.dialog, response)
                return None
            self.dialog = Dialog.uac(self._invited(), response)
        except RemoteProtocolError as error:
            # Without a usable Contact there is no dialog: neither ACK nor BYE could reach it.
            return Fail(self.id, BAD_GATEWAY, str(error))
        self.sip_status = response.status
        self.owes_ack = True
        if not self.is_closed:
            self.state = LegState.CONFIRMED
        # An answer given with progress is the answer (RFC 6337 3.1.1).
        self.remote = _description(response) or self.early
        return Connect(self.id, self.remote)

    def _receive_another_2xx(self, dialog: Dialog, response: Response) -> None:
        """Acknowledges a repeated 2xx; ends a second dialog that a fork behind us made."""
        if response.to.tag != dialog.id.remote_tag:
            self._end_stranger(response)
        elif not self.owes_ack:
            self.acknowledge(INVITE_CSEQ, self.ack_body)

    def _end_stranger(self, response: Response) -> None:
        stranger = Dialog.uac(self._invited(), response)
        hop = hop_of(stranger.next_hop_uri)
        self._out.write()
        self._out.send_ack(stranger.new_ack(INVITE_CSEQ), hop)
        self._out.send_request(stranger.new_request("BYE"), hop, Purpose.BYE, "")

    def confirm(self, body: bytes = b"") -> None:
        """Sends the ACK that is owed."""
        self.owes_ack = False
        self.ack_body = body
        self.acknowledge(INVITE_CSEQ, body)

    def give_up(self, reason: str | None, now: float) -> None:
        """Cancels a phone that has not answered; its final response closes the leg."""
        self.is_cancelled = True
        self.ended_at = now
        if self.key is None:
            self.close(now)
        elif self.state is LegState.INVITED:
            self.state = LegState.CLOSING
            if self.is_inherited:
                self.cancel_inherited(reason)
            else:
                self._out.cancel(self.key, reason)

    def cancel_inherited(self, reason: str | None) -> None:
        """Cancels an INVITE whose transaction was another instance's."""
        invite = self._invited()
        cancel = Request("CANCEL", invite.uri_text)
        cancel.copy_lines("route", invite)
        cancel.add("max-forwards", str(DEFAULT_MAX_FORWARDS))
        for name in ("from", "to", "call-id"):
            cancel.copy_lines(name, invite)
        cancel.add("cseq", f"{INVITE_CSEQ} CANCEL")
        if reason:
            cancel.add("reason", reason)
        if self.key is not None:
            self._out.send_cancel(self.key, cancel, self.id)

    def _invited(self) -> Request:
        if self.request is None:
            raise InvariantBroken(f"leg {self.id} got a response without a request")
        return self.request


def _description(message: Message) -> PartyDescription | None:
    try:
        return read_description(message)
    except DescriptionRefused:
        return None
