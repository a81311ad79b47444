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
from parley.edgeproxy.admission import Admission
from parley.edgeproxy.border.header_size import check_header_size, is_header_small
from parley.edgeproxy.border.raw_text import make_response_text, make_text
from parley.edgeproxy.eager import run_eagerly
from parley.edgeproxy.limits.avalanche import retry_after
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.proxy.forwarding import Sender
from parley.edgeproxy.proxy.inside import InsideRequests
from parley.edgeproxy.proxy.outside import OutsideRequests
from parley.edgeproxy.proxy.proxy import RETRY_AFTER_S, Proxy
from parley.edgeproxy.proxy.stray_cancels import Search, StrayCancels
from parley.edgeproxy.proxy.strays import Strays
from parley.edgeproxy.registrar.connection_bindings import ConnectionBindings
from parley.edgeproxy.registrar.registration import RegisterRequests
from parley.edgeproxy.routing.addresses import EdgeAddresses
from parley.model.errors import DomainError
from parley.service.tasks import TaskOwner
from parley.sip.errors import RemoteProtocolError
from parley.sip.hop import Hop
from parley.sip.message import Request, Response, response_to
from parley.sip.stateless import stateless_response
from parley.sip.transaction import (
    ClientTransaction,
    FailureCause,
    ServerTransaction,
    response_hop,
)

_logger = structlog.stdlib.get_logger(__name__)

_TRY_LATER: Final = (("retry-after", RETRY_AFTER_S),)


@dataclass(frozen=True, slots=True)
class EdgeParts:
    """What the handler hands events to."""

    proxy: Proxy
    inside: InsideRequests
    outside: OutsideRequests
    registers: RegisterRequests
    connections: ConnectionBindings
    addresses: EdgeAddresses
    admission: Admission
    strays: Strays
    stray_cancels: StrayCancels
    tasks: TaskOwner
    metrics: EdgeMetrics


class EdgeHandler:
    """Implements `parley.siptransport.SipHandler`.

    Attributes:
        is_refusing: new calls are refused; what runs goes on, and phones may register.
    """

    def __init__(self) -> None:
        self.is_refusing = False

    def attach(self, parts: EdgeParts, sender: Sender) -> None:
        """Connects the parts, which need the node, which needs this handler; before it listens."""
        self._sender = sender
        self._proxy = parts.proxy
        self._inside = parts.inside
        self._outside = parts.outside
        self._registers = parts.registers
        self._connections = parts.connections
        self._addresses = parts.addresses
        self._admission = parts.admission
        self._strays = parts.strays
        self._stray_cancels = parts.stray_cancels
        self._tasks = parts.tasks
        self._metrics = parts.metrics

    def admits(self, request: Request) -> bool:
        """Implements `NodePolicy.admits`: a flood makes no transactions.

        Silence for what a forged source could make us amplify; an INVITE is told, for a phone that
        calls too often should hear why it fails.
        """
        if self._addresses.is_inside(request.listener):
            return True
        source = request.source
        if source is None:
            return False
        if not self._admission.is_within_rate(source, request):
            if request.method == "INVITE":
                response = stateless_response(request, 503, headers=_TRY_LATER)
                self._sender.send(response, response_hop(request))
            return False
        return self._admission.has_place(source.host)

    def admits_source(self, source: Hop, listener: Hop) -> bool:
        """Implements `NodePolicy.admits_source`: what is no message counts like one."""
        return self._addresses.is_inside(listener) or self._admission.is_within_rate(source)

    def follows(self, request: Request) -> bool:
        """Implements `NodePolicy.follows`: a call manager's successor gets the responses."""
        return self._addresses.is_inside(request.listener)

    def reroute(self, response: Response, failed: Hop) -> Hop | None:
        """Implements `NodePolicy.reroute`."""
        return self._strays.reroute(response, failed)

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Takes a new request, or a CANCEL whose INVITE did not come here."""
        method = request.method
        try:
            if self._addresses.is_inside(request.listener):
                self._metrics.count_request("inside", method)
                self._inside.on_request(transaction, request)
                return
            self._metrics.count_request("outside", method)
            _let_in(request)
            if method == "REGISTER":
                self._run(transaction, self._registers.on_register(transaction, request))
            elif method == "CANCEL":
                self._stray_cancels.take(transaction, request)
            elif request.to.tag is not None:
                self._run(transaction, self._outside.on_dialog_request(transaction, request))
            elif method == "OPTIONS" and self._outside.is_for_us(request):
                self._outside.on_options(transaction, request)
            elif self.is_refusing and method == "INVITE":
                self._proxy.refuse(transaction, 503, "Draining", _TRY_LATER)
            else:
                self._run(transaction, self._outside.on_new_request(transaction, request))
        except RemoteProtocolError as error:
            is_inside = self._addresses.is_inside(request.listener)
            answer = self._proxy.respond if is_inside else self._proxy.refuse
            answer(transaction, error.status)

    def on_cancel(self, transaction: ServerTransaction, request: Request) -> None:
        """Takes the CANCEL of an INVITE that came here."""
        try:
            if not self._addresses.is_inside(request.listener):
                _let_in(request)
        except RemoteProtocolError:
            request.remove("reason")  # the rest of it is not sent on
        self._proxy.on_cancel(transaction, request)

    def on_ack(self, request: Request) -> None:
        """Takes the ACK to a 2xx; a malformed one is dropped, ACK has no answer."""
        try:
            if self._addresses.is_inside(request.listener):
                self._inside.on_ack(request)
            elif request.source is not None and self._admission.is_within_rate(
                request.source, request
            ):
                _let_in(request)
                self._outside.on_ack(request)
        except RemoteProtocolError:
            return

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        """Takes a response to a request that was forwarded; a malformed one is dropped.

        For a final one that is too large somebody waits, who is told 502.
        """
        if isinstance(transaction.user, Search):
            self._stray_cancels.on_response(transaction, response)
            return
        try:
            if not self._addresses.is_inside(response.listener):
                make_response_text(response)
                if not is_header_small(response):
                    if response.status < 200:
                        return
                    response = response_to(transaction.request, 502)
            self._proxy.on_response(transaction, response)
        except RemoteProtocolError:
            return

    def on_stray_response(self, response: Response) -> None:
        """Takes a response without transaction."""
        self._metrics.stray_responses.inc()
        is_inside, source = self._addresses.is_inside(response.listener), response.source
        if not is_inside and (source is None or not self._admission.is_within_rate(source)):
            return
        try:
            if not is_inside:
                make_response_text(response)
                check_header_size(response)
            self._strays.on_stray(response, is_inside=is_inside)
        except RemoteProtocolError:
            return

    def on_failure(
        self, transaction: ClientTransaction | ServerTransaction, cause: FailureCause
    ) -> None:
        """Learns that a transaction came to nothing; a server's is no business of a proxy."""
        if isinstance(transaction.user, Search) and isinstance(transaction, ClientTransaction):
            self._stray_cancels.on_failure(transaction)
        elif isinstance(transaction, ClientTransaction):
            self._proxy.on_failure(transaction, cause)

    def on_flow_closed(self, flow: Hop, way: Hop) -> None:
        """Learns that a connection is gone, and what was bound to it or under way there."""
        self._connections.on_closed(flow)
        self._proxy.on_closed(way)

    def _run(self, transaction: ServerTransaction, work: Coroutine[Any, Any, None]) -> None:
        run_eagerly(self._answered(transaction, work), self._tasks, "sip request")

    async def _answered(
        self, transaction: ServerTransaction, work: Coroutine[Any, Any, None]
    ) -> None:
        try:
            await work
        except RemoteProtocolError as error:
            self._proxy.refuse(transaction, error.status)
        except BackingError as error:
            self._metrics.state_errors.inc()
            _logger.warning("backing service failed", reason=repr(error))
            pause = retry_after(transaction.request.call_id)
            self._proxy.refuse(transaction, 503, None, (("retry-after", pause),))
        except DomainError as error:
            self._proxy.refuse(transaction, error.sip_status, None, _TRY_LATER)
        except Exception:
            self._proxy.refuse(transaction, 500)
            _logger.exception("request crashed", method=transaction.request.method)


def _let_in(request: Request) -> None:
    if not request.is_ascii or "%" in request.uri_text:
        make_text(request)
    check_header_size(request)
