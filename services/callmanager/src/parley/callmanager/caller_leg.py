"""The leg that faces the caller: UAS of the INVITE that makes the call."""

from collections.abc import Sequence
from typing import Any

from parley.callmanager.call_events import Fail, Try
from parley.callmanager.leg import Leg, LegContext, LegState
from parley.callmanager.party_description import DescriptionRefused, read_description
from parley.callmanager.sip_profile import SOURCE_HEADER, set_body, with_vias_of
from parley.sip.dialog import Dialog
from parley.sip.message import Request, Response, response_to

CALLER_LEG = "a"


class CallerLeg(Leg):
    """The caller's dialog.

    Attributes:
        request: the INVITE.
        transaction: its server transaction.
        is_answered: a final response was given.
        final: that response.
    """

    __slots__ = (
        "_earlier",
        "_last_progress",
        "final",
        "is_answered",
        "request",
        "transaction",
    )

    def __init__(
        self, transaction: Any, request: Request, party: str, context: LegContext, now: float
    ) -> None:
        source = request.get(SOURCE_HEADER)
        super().__init__(CALLER_LEG, party, (source,) if source else (), context, now)
        self.request = request
        self.transaction = transaction
        self.sip_call_id = request.call_id
        self.is_answered = False
        self.final: Response | None = None
        self._earlier: tuple[Any, ...] = ()
        self._last_progress: Response | None = None

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
            return Fail(self.id, refused.status, str(refused), headers=refused.headers)
        return Try(self.id, self.remote)

    def ring(self, status: int, reason: str, body: bytes) -> None:
        """Passes progress on, unless the caller was told just that."""
        last = self._last_progress
        if self.is_answered or (last is not None and (last.status, last.body) == (status, body)):
            return
        response = self._response(status, reason)
        response.add("contact", self._profile.contact)
        set_body(response, body)
        self._last_progress = response
        self._out.respond(self.transaction, response)

    def receive_again(self, transaction: Any, request: Request) -> None:
        """The INVITE came by another way: answered from now on, at once if there is news."""
        older, known = self.transaction, self.request
        if transaction is older:
            return
        self._earlier = (*self._earlier, older)
        self.transaction, self.request = transaction, request
        if self.unacked is not None and self.unacked is older:
            self.unacked, self.unacked_request = transaction, request
        final = self.final
        if final is None:
            self._out.supersede(older, known, transaction)
        last = final or self._last_progress
        if last is not None:
            again = with_vias_of(request, last)
            if final is not None:
                self.final = again
            is_unacked = final is not None and self.unacked is transaction
            self._out.respond(transaction, again, until_ack=is_unacked)

    @property
    def is_settled(self) -> bool:
        """Whether the caller has acknowledged our 2xx, so that nobody asks by the INVITE again."""
        return self.answered_at is not None and self.unacked_request is not self.request

    def is_asked_by(self, transaction: Any) -> bool:
        """Whether the INVITE came in this transaction, now or earlier."""
        return transaction is self.transaction or transaction in self._earlier

    def accept_again(self) -> None:
        """Gives the 2xx that has no ACK once more, that to the INVITE or to a re-INVITE."""
        if self.unacked_request is self.request and self.final is not None:
            self._out.respond(self.transaction, self.final, until_ack=True)
        else:
            super().accept_again()

    def answer(self, body: bytes, now: float) -> None:
        """Answers the call."""
        self.is_answered = True
        self.sip_status = 200
        self.state = LegState.CONFIRMED
        self.answered_at = now
        self.unacked, self.unacked_request = self.transaction, self.request
        self.final = response = self.acceptance(body)
        self._out.respond(self.transaction, response, until_ack=True)

    def acceptance(self, body: bytes) -> Response:
        """The 2xx to the INVITE."""
        response = self._response(200, None)
        self._present(response)
        set_body(response, body)
        return response

    def reject(
        self, status: int, headers: Sequence[tuple[str, str]], reasons: Sequence[str], now: float
    ) -> None:
        """Refuses the call, or says why it came to nothing."""
        self.is_answered = True
        self.sip_status = status
        self.final = response = self.refusal(status, headers, reasons)
        self._out.respond(self.transaction, response)
        self.close(now)

    def refusal(
        self, status: int, headers: Sequence[tuple[str, str]], reasons: Sequence[str]
    ) -> Response:
        """A final response that refuses the INVITE."""
        response = self._response(status, None)
        for name, value in headers:
            response.add(name, value)
        for reason in reasons:
            response.add("reason", reason)
        response.set("server", self._profile.product)
        return response

    def _response(self, status: int, reason: str | None) -> Response:
        response = response_to(self.request, status, reason or None, to_tag=self.tag)
        if status < 300:
            # RFC 3261 12.1.1: what establishes a dialog repeats the route set.
            response.copy_lines("record-route", self.request)
        return response
