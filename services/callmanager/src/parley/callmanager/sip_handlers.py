"""What comes in from edges: finds the call of a message, or makes one of an INVITE."""

from collections.abc import Coroutine
from typing import Any, Final

import structlog

from parley.backing.state.base import run_now
from parley.callmanager.admission import Admission
from parley.callmanager.call_services import CallServices
from parley.callmanager.calls import Calls, LegAddress
from parley.callmanager.errors import Draining, LoopDetected, TooManyCalls
from parley.callmanager.mailbox import Mailbox
from parley.callmanager.sip_profile import (
    ACCEPT,
    ALLOW,
    CALL_HEADER,
    SUPPORTED_METHODS,
)
from parley.model.errors import DomainError
from parley.model.ids import CallId
from parley.model.media import MediaEvent
from parley.sip.errors import RemoteProtocolError
from parley.sip.hop import Hop
from parley.sip.ids import Ids
from parley.sip.message import Request, Response, response_to
from parley.sip.transaction import ClientTransaction, ServerTransaction

RETRY_AFTER_S: Final = "2"
_CALL_ID_BYTES: Final = 12
_UNCHECKED: Final = frozenset(("ACK", "CANCEL"))

_logger = structlog.stdlib.get_logger(__name__)


class Admitted:
    """An INVITE's transaction before its call exists; remembers a CANCEL that came meanwhile."""

    __slots__ = ("cancel",)

    def __init__(self) -> None:
        self.cancel: Request | None = None


class CallManagerHandler:
    """`SipHandler` of the call manager's node.

    Attributes:
        is_draining: new calls are refused, so that edges pick another instance.
    """

    def __init__(self, ids: Ids, max_calls: int) -> None:
        self._ids = ids
        self._max_calls = max_calls
        self._services: CallServices
        self._admission: Admission
        self._calls: Calls
        self.is_draining = False

    def attach(self, services: CallServices, admission: Admission) -> None:
        """Gives it what it works with; before the node listens."""
        self._services = services
        self._admission = admission
        self._calls = services.calls

    # --- SipHandler ------------------------------------------------------------------------

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Takes a request: in a dialog, for a new call, or about ourselves."""
        try:
            self._dispatch(transaction, request)
        except RemoteProtocolError as error:
            self._refuse(transaction, request, error.status)
        except DomainError as error:
            self._refuse_call(transaction, request, error)

    def on_cancel(self, transaction: ServerTransaction, request: Request) -> None:
        """Takes the CANCEL of an INVITE or re-INVITE."""
        user = transaction.user
        if isinstance(user, Mailbox):
            user.post(user.call.receive_cancel, transaction, request)
        elif isinstance(user, Admitted):
            user.cancel = request

    def on_ack(self, request: Request) -> None:
        """Takes the ACK to a 2xx."""
        address = self._calls.find(request)
        if address is None:
            self._services.metrics.stray.inc()
        else:
            address.mailbox.post(address.mailbox.call.receive_ack, address.leg, request)

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        """Takes a response to a call's request."""
        if isinstance(transaction.user, tuple):
            mailbox, key = transaction.user
            mailbox.post(mailbox.call.receive_response, key, response)

    def on_stray_response(self, response: Response) -> None:
        """A response of no transaction: its call is over."""
        self._services.metrics.stray.inc()

    def on_failure(self, transaction: ClientTransaction | ServerTransaction, cause: str) -> None:
        """Takes what came to nothing."""
        user = transaction.user
        if isinstance(user, tuple):
            mailbox, key = user
            mailbox.post(mailbox.call.receive_failure, key, cause)
        elif isinstance(user, Mailbox):
            user.post(user.call.receive_server_failure, transaction, cause)

    def on_flow_closed(self, flow: Hop) -> None:
        """An edge's connection is gone; it comes back, and its transactions tell if not."""

    def on_media_event(self, event: MediaEvent) -> None:
        """Takes what a relay says by itself; a session's id is its call's."""
        mailbox = self._calls.get(CallId(event.session_id))
        if mailbox is not None:
            mailbox.post(mailbox.call.receive_media_event, event)

    # --- requests --------------------------------------------------------------------------

    def _dispatch(self, transaction: ServerTransaction, request: Request) -> None:
        required = request.values("require")
        if required and request.method not in _UNCHECKED:
            # RFC 3261 8.2.2.3: we support no extension that a peer could require.
            headers = tuple(("unsupported", option) for option in required)
            self._refuse(transaction, request, 420, headers)
        elif request.to.tag is not None:
            self._receive_in_dialog(transaction, request)
        elif request.method == "INVITE":
            self._receive_invite(transaction, request)
        else:
            self._receive_other(transaction, request)

    def _receive_in_dialog(self, transaction: ServerTransaction, request: Request) -> None:
        address = self._calls.find(request)
        if address is None:
            self._refuse(transaction, request, 481)
            return
        if request.method == "INVITE":
            transaction.user = address.mailbox
        self._post_request(address, transaction, request)

    def _post_request(
        self, address: LegAddress, transaction: ServerTransaction, request: Request
    ) -> None:
        mailbox = address.mailbox
        mailbox.post(mailbox.call.receive_request, address.leg, transaction, request)

    def _receive_other(self, transaction: ServerTransaction, request: Request) -> None:
        if request.method == "OPTIONS":
            if self.is_draining:
                raise Draining
            headers = (("allow", ALLOW), ("accept", ACCEPT))
            self._refuse(transaction, request, 200, headers)
        elif request.method in SUPPORTED_METHODS:
            # BYE, INFO, UPDATE and their kin exist within a dialog only.
            self._refuse(transaction, request, 481)
        else:
            self._refuse(transaction, request, 405, (("allow", ALLOW),))

    # --- new calls -------------------------------------------------------------------------

    def _receive_invite(self, transaction: ServerTransaction, request: Request) -> None:
        if self.is_draining:
            raise Draining
        if len(self._calls) >= self._max_calls:
            raise TooManyCalls
        if request.max_forwards == 0:
            raise LoopDetected("too many hops", sip_status=483)
        call_id = CallId(request.get(CALL_HEADER) or self._ids.token(_CALL_ID_BYTES))
        if not self._calls.begin(call_id, request):
            raise LoopDetected("merged request")
        pending = transaction.user = Admitted()
        admitting = self._admit(call_id, transaction, request, pending)
        if self._admission.is_immediate(request):
            run_now(admitting)
        else:
            self._spawn(admitting)

    def _spawn(self, admitting: Coroutine[Any, Any, None]) -> None:
        self._services.tasks.spawn(admitting, name="admission of a call")

    async def _admit(
        self,
        call_id: CallId,
        transaction: ServerTransaction,
        request: Request,
        pending: Admitted,
    ) -> None:
        try:
            call, decision = await self._admission.admit(call_id, transaction, request)
        except DomainError as error:
            self._calls.remove(call_id, request)
            self._refuse_call(transaction, request, error)
            return
        except RemoteProtocolError as error:
            self._calls.remove(call_id, request)
            self._refuse(transaction, request, error.status)
            return
        except BaseException:
            self._calls.remove(call_id, request)
            self._refuse(transaction, request, 500)
            raise
        mailbox = Mailbox(call, self._services)
        transaction.user = mailbox
        self._calls.add(call_id, mailbox)
        mailbox.post(call.start, decision)
        if pending.cancel is not None:
            mailbox.post(call.receive_cancel, transaction, pending.cancel)

    # --- answers ---------------------------------------------------------------------------

    def _refuse_call(
        self, transaction: ServerTransaction, request: Request, error: DomainError
    ) -> None:
        self._services.metrics.refused.inc()
        is_busy = error.sip_status == 503
        headers = (("retry-after", RETRY_AFTER_S),) if is_busy else ()
        self._refuse(transaction, request, error.sip_status, headers)

    def _refuse(
        self,
        transaction: ServerTransaction,
        request: Request,
        status: int,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        response = response_to(request, status, to_tag=self._ids.token())
        for name, value in headers:
            response.add(name, value)
        self._services.node.respond(transaction, response)
