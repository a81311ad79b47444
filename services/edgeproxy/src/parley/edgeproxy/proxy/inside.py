"""Requests from call managers: trusted, and sent over the flow that their Route names."""

from typing import Final

from parley.edgeproxy.border.headers import CALL_HEADER, decrement_max_forwards, strip_internal
from parley.edgeproxy.proxy.callmanagers import CallManagers
from parley.edgeproxy.proxy.proxy import Proxy
from parley.edgeproxy.routing.addresses import EdgeAddresses
from parley.edgeproxy.routing.hidden_vias import HiddenVias
from parley.edgeproxy.routing.routes import Routes
from parley.edgeproxy.routing.token import Token, TokenKind
from parley.sip.hop import Hop
from parley.sip.message import Request
from parley.sip.transaction import ServerTransaction
from parley.siptransport.vias import listener_of

DIALOG_METHODS: Final = frozenset(("INVITE", "SUBSCRIBE", "REFER", "NOTIFY"))
"""Those that make dialogs; others need no Record-Route (RFC 3261 16.6 step 4)."""


class InsideRequests:
    """Forwards what call managers send."""

    def __init__(
        self,
        proxy: Proxy,
        routes: Routes,
        hidden_vias: HiddenVias,
        addresses: EdgeAddresses,
        callmanagers: CallManagers,
    ) -> None:
        self._proxy = proxy
        self._hidden_vias = hidden_vias
        self._routes = routes
        self._addresses = addresses
        self._callmanagers = callmanagers

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Forwards a request to a phone.

        Raises:
            RemoteProtocolError: a header that counts here is malformed.
        """
        if request.method == "CANCEL":
            # Call managers send it where they sent the INVITE, and that is not known here.
            self._proxy.respond(transaction, 481)
            return
        outgoing = request.copy()
        token = self._routes.take_own(outgoing)
        if token is None:
            self._answer_unrouted(transaction, request)
            return
        if not decrement_max_forwards(outgoing):
            self._proxy.respond(transaction, 483)
            return
        flow = self._addresses.own_flow(token.flow)
        if flow is None or not self._addresses.has_outside(flow.transport):
            self._proxy.respond(transaction, 430)
            return
        if request.method in DIALOG_METHODS and request.to.tag is None:
            self._record_route(outgoing, flow)
        strip_internal(outgoing)
        self._hidden_vias.hide(outgoing)
        self._proxy.forward_outward(outgoing, flow, transaction)

    def on_ack(self, request: Request) -> None:
        """Forwards the ACK to a phone's 2xx; one without a flow is lost, as any ACK may be."""
        outgoing = request.copy()
        token = self._routes.take_own(outgoing)
        flow = None if token is None else self._addresses.own_flow(token.flow)
        if flow is not None and decrement_max_forwards(outgoing):
            strip_internal(outgoing)
            self._hidden_vias.hide(outgoing)
            self._proxy.forward_ack(request, outgoing, flow)

    def _record_route(self, request: Request, flow: Hop) -> None:
        owner = self._callmanagers.instance_at(*listener_of(request.via))
        token = Token(TokenKind.DIALOG, flow, request.get(CALL_HEADER) or "", owner)
        self._routes.record(request, token, flow.transport, is_inward=False)

    def _answer_unrouted(self, transaction: ServerTransaction, request: Request) -> None:
        # A call manager that asks whether we live; anything else has nowhere to go.
        self._proxy.respond(transaction, 200 if request.method == "OPTIONS" else 480)
