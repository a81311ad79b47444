"""The edge's SIP events: who sent it decides which way it goes.

A message that came in on the inside listener is a call manager's and trusted; everything else is
a stranger's. What cannot be answered at once (a tenant that is not in memory, state that is
remote) goes on as a task; errors of both become SIP responses here and nowhere else.
"""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

import structlog

from parley.backing.errors import BackingError
from parley.edgeproxy.addresses import EdgeAddresses
from parley.edgeproxy.eager import run_eagerly
from parley.edgeproxy.guard import SourceLimiter
from parley.edgeproxy.inside import InsideRequests
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.outside import OutsideRequests
from parley.edgeproxy.proxy import RETRY_AFTER_S, Proxy
from parley.edgeproxy.raw_text import make_response_text, make_text
from parley.edgeproxy.registration import RegisterRequests
from parley.model.errors import DomainError
from parley.service.clock import Clock
from parley.service.tasks import TaskOwner
from parley.sip.errors import RemoteProtocolError
from parley.sip.hop import Hop
from parley.sip.message import Message, Request, Response
from parley.sip.transaction import ClientTransaction, FailureCause, ServerTransaction

_logger = structlog.stdlib.get_logger(__name__)

_TRY_LATER: Final = (("retry-after", RETRY_AFTER_S),)


@dataclass(frozen=True, slots=True)
class EdgeParts:
    """What the handler hands events to."""

    proxy: Proxy
    inside: InsideRequests
    outside: OutsideRequests
    registers: RegisterRequests
    addresses: EdgeAddresses
    limiter: SourceLimiter
    tasks: TaskOwner
    clock: Clock
    metrics: EdgeMetrics


class EdgeHandler:
    """Implements `parley.siptransport.SipHandler`.

    Attributes:
        is_draining: new calls are refused; what runs goes on, and phones may register.
    """

    def __init__(self) -> None:
        self.is_draining = False

    def attach(self, parts: EdgeParts) -> None:
        """Connects the parts, which need the node, which needs this handler; before it listens."""
        self._proxy = parts.proxy
        self._inside = parts.inside
        self._outside = parts.outside
        self._registers = parts.registers
        self._addresses = parts.addresses
        self._limiter = parts.limiter
        self._tasks = parts.tasks
        self._clock = parts.clock
        self._metrics = parts.metrics

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Takes a new request."""
        method = request.method
        try:
            if self._is_inside(request):
                self._metrics.count_request("inside", method)
                self._inside.on_request(transaction, request)
                return
            self._metrics.count_request("outside", method)
            if not self._is_admitted(request):
                self._refuse_flood(transaction)
                return
            make_text(request)
            if method == "REGISTER":
                self._run(transaction, self._registers.on_register(transaction, request))
            elif request.to.tag is not None:
                self._outside.on_dialog_request(transaction, request)
            elif method == "OPTIONS" and self._outside.is_for_us(request):
                self._outside.on_options(transaction)
            elif self.is_draining and method == "INVITE":
                self._proxy.respond(transaction, 503, "Draining", _TRY_LATER)
            else:
                self._run(transaction, self._outside.on_new_request(transaction, request))
        except RemoteProtocolError as error:
            self._proxy.respond(transaction, error.status)

    def on_cancel(self, transaction: ServerTransaction, request: Request) -> None:
        """Takes the CANCEL of an INVITE."""
        self._proxy.on_cancel(transaction, request)

    def on_ack(self, request: Request) -> None:
        """Takes the ACK to a 2xx; a malformed one is dropped, ACK has no answer."""
        try:
            if self._is_inside(request):
                self._inside.on_ack(request)
            elif self._is_admitted(request):
                make_text(request)
                self._outside.on_ack(request)
        except RemoteProtocolError:
            return

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        """Takes a response to a request that was forwarded; a malformed one is dropped."""
        try:
            if not self._is_inside(response):
                make_response_text(response)
            self._proxy.on_response(transaction, response)
        except RemoteProtocolError:
            return

    def on_stray_response(self, response: Response) -> None:
        """Takes a response without transaction."""
        self._metrics.stray_responses.inc()
        is_inside = self._is_inside(response)
        try:
            if not is_inside:
                make_response_text(response)
            self._proxy.on_stray_response(response, is_inside=is_inside)
        except RemoteProtocolError:
            return

    def on_failure(
        self, transaction: ClientTransaction | ServerTransaction, cause: FailureCause
    ) -> None:
        """Learns that a transaction came to nothing; a server's is no business of a proxy."""
        if isinstance(transaction, ClientTransaction):
            self._proxy.on_failure(transaction, cause)

    def on_flow_closed(self, flow: Hop) -> None:
        """Nothing to do: bindings keep naming the flow, and its next use is answered by 430."""

    def _is_inside(self, message: Message) -> bool:
        return self._addresses.is_inside(message.listener)

    def _is_admitted(self, request: Request) -> bool:
        source = request.source
        return source is not None and self._limiter.admit(source.host, self._clock.now())

    def _refuse_flood(self, transaction: ServerTransaction) -> None:
        self._metrics.refused["rate"].inc()
        # Silence for what a forged source could make us amplify; an INVITE has to be ended, or it
        # would stay with a 100.
        if transaction.is_invite:
            self._proxy.respond(transaction, 503, None, _TRY_LATER)

    def _run(self, transaction: ServerTransaction, work: Coroutine[Any, Any, None]) -> None:
        run_eagerly(self._answered(transaction, work), self._tasks, "sip request")

    async def _answered(
        self, transaction: ServerTransaction, work: Coroutine[Any, Any, None]
    ) -> None:
        try:
            await work
        except RemoteProtocolError as error:
            self._proxy.respond(transaction, error.status)
        except BackingError as error:
            self._metrics.state_errors.inc()
            _logger.warning("backing service failed", reason=repr(error))
            self._proxy.respond(transaction, 503, None, _TRY_LATER)
        except DomainError as error:
            self._proxy.respond(transaction, error.sip_status, None, _TRY_LATER)
        except Exception:
            _logger.exception("request crashed", method=transaction.request.method)
            self._proxy.respond(transaction, 500)
