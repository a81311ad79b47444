"""The leg that faces the caller: UAS of the INVITE that makes the call."""

from collections.abc import Sequence
from typing import Any

from parley.callmanager.call_events import Fail, Try
from parley.callmanager.leg import Leg, LegContext, LegState
from parley.callmanager.party_description import DescriptionRefused, read_description
from parley.callmanager.sip_profile import SOURCE_HEADER, set_body
from parley.sip.dialog import Dialog
from parley.sip.message import Request, Response, response_to

CALLER_LEG = "a"


class CallerLeg(Leg):
    """The caller's dialog.

    Attributes:
        request: the INVITE.
        transaction: its server transaction.
        is_answered: a final response was given.
    """

    __slots__ = ("_last_progress", "is_answered", "request", "transaction")

    def __init__(
        self, transaction: Any, request: Request, party: str, context: LegContext, now: float
    ) -> None:
        source = request.get(SOURCE_HEADER)
        super().__init__(CALLER_LEG, party, (source,) if source else (), context, now)
        self.request = request
        self.transaction = transaction
        self.sip_call_id = request.call_id
        self.is_answered = False
        self._last_progress: tuple[int, bytes] | None = None

    def open_dialog(self) -> None:
        """Enters the dialog that our responses establish (RFC 3261 12.1.1).

        Raises:
            RemoteProtocolError: the INVITE has no usable Contact or Record-Route.
        """
        self.dialog = Dialog.uas(self.request, self.tag, self._profile.contact)
        self.contact = self.request.contacts[0].uri_text

    def try_event(self) -> Try | Fail:
        """What the INVITE wants; a Fail when its body is no use."""
        try:
            self.remote = read_description(self.request)
        except DescriptionRefused as refused:
            return Fail(self.id, refused.status, str(refused))
        return Try(self.id, self.remote)

    def ring(self, status: int, reason: str, body: bytes) -> None:
        """Passes progress on, unless the caller was told just that."""
        if self.is_answered or self._last_progress == (status, body):
            return
        self._last_progress = (status, body)
        response = self._response(status, reason)
        response.add("contact", self._profile.contact)
        set_body(response, body)
        self._out.respond(self.transaction, response)

    def answer(self, body: bytes, now: float) -> None:
        """Answers the call."""
        self.is_answered = True
        self.sip_status = 200
        self.state = LegState.CONFIRMED
        self.answered_at = now
        self.unacked = self.transaction
        response = self._response(200, None)
        self._present(response)
        set_body(response, body)
        self._out.respond(self.transaction, response, until_ack=True)

    def reject(
        self, status: int, headers: Sequence[tuple[str, str]], reasons: Sequence[str], now: float
    ) -> None:
        """Refuses the call, or says why it came to nothing."""
        self.is_answered = True
        self.sip_status = status
        response = self._response(status, None)
        for name, value in headers:
            response.add(name, value)
        for reason in reasons:
            response.add("reason", reason)
        response.set("server", self._profile.product)
        self._out.respond(self.transaction, response)
        self.close(now)

    def _response(self, status: int, reason: str | None) -> Response:
        response = response_to(self.request, status, reason or None, to_tag=self.tag)
        if status < 300:
            # RFC 3261 12.1.1: what establishes a dialog repeats the route set.
            response.copy_lines("record-route", self.request)
        return response
