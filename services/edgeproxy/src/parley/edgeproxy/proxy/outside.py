"""Requests from phones and peers: never trusted (architecture, section 3).

Out of a dialog: REGISTER goes to the registrar, INVITE and OPTIONS to a call manager once the
caller is known, OPTIONS to us is answered, everything else is challenged first and then refused, so
that a stranger learns nothing. Within a dialog the sealed token of the route set is the proof: it
names the call and its owner, and no new authentication is asked for, but of an INVITE by UDP from
another address than the token's.
"""

from dataclasses import dataclass
from typing import Final

from parley.edgeproxy.border.headers import (
    REPEATED_HEADER,
    assert_call,
    assert_dialog,
    decrement_max_forwards,
    strip_credentials,
    strip_foreign,
)
from parley.edgeproxy.border.methods import ALLOW, SERVED, status_out_of_dialog
from parley.edgeproxy.border.requirements import is_secure_enough, unsupported
from parley.edgeproxy.identity.authentication import Answer, Authenticator, Caller
from parley.edgeproxy.identity.peers import TrustedPeers
from parley.edgeproxy.identity.tenants import Tenants
from parley.edgeproxy.limits.known_sources import KnownSources
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.proxy.forwarding import Forwarding
from parley.edgeproxy.proxy.proxy import Proxy
from parley.edgeproxy.routing.addresses import EdgeAddresses
from parley.edgeproxy.routing.derivation import Derivation
from parley.edgeproxy.routing.routes import Routes
from parley.edgeproxy.routing.token import Token, TokenKind
from parley.model.tenant import TenantSnapshot
from parley.sip.errors import RemoteProtocolError
from parley.sip.headers import parse_via
from parley.sip.hop import Hop
from parley.sip.message import Request
from parley.sip.transaction import ServerTransaction
from parley.sip.uri import SipUri

ACCEPT: Final = "application/sdp, multipart/mixed, multipart/alternative"
SUPPORTED: Final = "path, outbound"
MAX_VIAS: Final = 70

_TARGET_REFRESH: Final = frozenset(("INVITE", "UPDATE"))
"""Requests by which a phone says where it is now (RFC 3261 12.2, RFC 3311 5.1)."""


@dataclass(frozen=True, slots=True)
class OutsideParts:
    """What `OutsideRequests` works with."""

    proxy: Proxy
    routes: Routes
    addresses: EdgeAddresses
    authenticator: Authenticator
    tenants: Tenants
    peers: TrustedPeers
    known: KnownSources
    derivation: Derivation
    metrics: EdgeMetrics


class OutsideRequests:
    """Answers or forwards what phones send, REGISTER excepted."""

    def __init__(self, parts: OutsideParts) -> None:
        self._proxy = parts.proxy
        self._routes = parts.routes
        self._addresses = parts.addresses
        self._authenticator = parts.authenticator
        self._tenants = parts.tenants
        self._peers = parts.peers
        self._known = parts.known
        self._derivation = parts.derivation
        self._metrics = parts.metrics

    async def on_dialog_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Forwards a request within a dialog to the call's owner.

        Raises:
            RemoteProtocolError: a header that counts here is malformed.
            BackingUnavailable: the tenant is not in memory and cannot be read.
        """
        outgoing = request.copy()
        token = self._dialog_token(outgoing)
        if token is None:
            self._metrics.refused["no_token"].inc()
            self._proxy.refuse(transaction, 481)
            return
        status = self._preliminary_status(request, outgoing)
        if status is not None:
            self._refuse(transaction, request, status)
            return
        source = _source_of(request)
        # Whoever has a token, and be it of a call that is long over, is not whom it was given to.
        is_his = token.flow.host == source.host
        if not is_his and request.method == "INVITE" and source.transport == "udp":
            # Its answers are sent again and again, to whomever the source names.
            caller = await self._identify(request)
            if transaction.is_answered:
                return
            if isinstance(caller, Answer):
                self._proxy.refuse(transaction, caller.status, caller.reason, caller.headers)
                return
            is_his = True
        if is_his:
            self._known.note(source)
        else:
            self._known.note_connection(source)
        self._enter_dialog(outgoing, request, token)
        forwarding = Forwarding(
            transaction, is_inward=True, call_id=token.call_id, owner=token.owner
        )
        self._proxy.forward_inward(outgoing, forwarding)

    def on_ack(self, request: Request) -> None:
        """Forwards the ACK to a 2xx; one without a valid token is dropped."""
        if not request.has("route"):
            return  # to a challenge or a refusal: of that nothing was kept
        outgoing = request.copy()
        token = self._dialog_token(outgoing)
        if token is not None and decrement_max_forwards(outgoing):
            self._enter_dialog(outgoing, request, token)
            self._proxy.ack_inward(request, outgoing, token)

    def on_options(self, transaction: ServerTransaction, request: Request) -> None:
        """Tells what we can do; the same whoever asks (RFC 3261 11.2)."""
        refusal = unsupported(request)
        if refusal is not None:
            self._proxy.refuse(transaction, 420, headers=refusal)
            return
        source = _source_of(request)
        if self._peers.domain_of(source) is not None:
            self._known.note(source)  # by these a peer keeps its connection
        self._proxy.refuse(
            transaction,
            200,
            headers=(("allow", ALLOW), ("accept", ACCEPT), ("supported", SUPPORTED)),
        )

    def is_heard(self, request: Request, source: Hop) -> bool:
        """Says whether a datagram shows that its source hears us, and is not a forged one.

        Raises:
            RemoteProtocolError: Route is malformed.
        """
        routes, authenticator = self._routes, self._authenticator
        return routes.is_heard(request, source) or authenticator.is_heard(request, source)

    def is_for_us(self, request: Request) -> bool:
        """Says whether the request names this edge or no user at all."""
        uri = request.uri
        return isinstance(uri, SipUri) and (uri.user is None or self._addresses.is_own_host(uri))

    async def on_new_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Authenticates a request out of a dialog; forwards an INVITE or OPTIONS, refuses the rest.

        Raises:
            RemoteProtocolError: a header that counts here is malformed.
            BackingUnavailable: the tenant is not in memory and cannot be read.
        """
        outgoing = request.copy()
        self._routes.take_own(outgoing)
        # Whatever else a stranger asks for as way: where a call goes is not for him to say.
        outgoing.remove("route")
        status = self._preliminary_status(request, outgoing)
        if status is not None:
            self._refuse(transaction, request, status)
            return
        caller = await self._identify(request)
        if not isinstance(caller, Answer):
            self._known.note(_source_of(request))
        status = status_out_of_dialog(request.method)
        if isinstance(caller, Caller | PeerCaller) and status == SERVED:
            await self._proxy.look_for_callmanagers()
        if transaction.is_answered:
            return  # cancelled while we looked something up
        if isinstance(caller, Answer):
            self._proxy.refuse(transaction, caller.status, caller.reason, caller.headers)
        elif status != SERVED:
            headers = () if status == 481 else (("allow", ALLOW),)
            self._proxy.respond(transaction, status, headers=headers)
        else:
            self._enter(transaction, outgoing, caller)

    async def _identify(self, request: Request) -> "Caller | PeerCaller | Answer":
        source = request.source
        domain = self._peers.domain_of(source) if source is not None else None
        if domain is None:
            return await self._authenticator.authenticate(
                request, request.from_.uri, is_registrar=False
            )
        tenant = await self._tenants.find(domain)
        if tenant is None:
            return Answer(404)
        return PeerCaller(tenant, request.from_.uri_text)

    def _enter(
        self, transaction: ServerTransaction, outgoing: Request, caller: "Caller | PeerCaller"
    ) -> None:
        call_id = self._derivation.call_id(transaction.request)
        source = _source_of(outgoing)
        uri = outgoing.uri
        if isinstance(uri, SipUri) and self._addresses.is_own_host(uri):
            # A phone that dials our address means its own tenant's domain.
            outgoing.uri = SipUri(uri.scheme, uri.user, caller.tenant.domain, params=uri.params)
        strip_foreign(outgoing)
        strip_credentials(outgoing)
        forwarding = Forwarding(
            transaction,
            is_inward=True,
            call_id=call_id,
            new_from=source,
            unless_known=caller.unless_known,
        )
        assert_call(outgoing, call_id, source, caller.tenant.id, caller.identity)
        if caller.unless_known is not None:
            outgoing.add(REPEATED_HEADER, "1")
        self._proxy.forward_inward(outgoing, forwarding)

    def _dialog_token(self, request: Request) -> Token | None:
        token = self._routes.take_own(request)
        return token if token is not None and token.kind is TokenKind.DIALOG else None

    def _enter_dialog(self, outgoing: Request, request: Request, token: Token) -> None:
        outgoing.remove("route")
        strip_foreign(outgoing)
        strip_credentials(outgoing)
        source = _source_of(request)
        route = self._routes.moved(token, source) if request.method in _TARGET_REFRESH else None
        assert_dialog(outgoing, token.call_id, source.host, route)

    def _preliminary_status(self, request: Request, outgoing: Request) -> int | None:
        """Checks a request as every proxy does (RFC 3261 16.3); None when it may go on."""
        vias = request.values("via")
        if len(vias) > 1 and self._is_looped(vias):
            self._metrics.refused["loop"].inc()
            return 482
        if not decrement_max_forwards(outgoing):
            return 483
        if request.has("proxy-require"):
            return 420
        # An unknown scheme is answered by 416 (16.3 step 2).
        return None if is_secure_enough((request.uri,), request.source) else 403

    def _is_looped(self, vias: list[str]) -> bool:
        if len(vias) > MAX_VIAS:
            raise RemoteProtocolError("too many Vias", 483)
        # Call managers answer requests and make their own, so our own Via never comes back
        # unless somebody outside sends our requests to us.
        return any(
            self._addresses.is_own_sent_by(via.host, via.sent_by_port)
            for via in map(parse_via, vias[1:])
        )

    def _refuse(self, transaction: ServerTransaction, request: Request, status: int) -> None:
        headers = unsupported(request) if status == 420 else None
        self._proxy.refuse(transaction, status, headers=headers or ())


@dataclass(frozen=True, slots=True)
class PeerCaller:
    """A caller whom a trusted peer vouches for."""

    tenant: TenantSnapshot
    uri_text: str
    unless_known: None = None

    @property
    def identity(self) -> str:
        """The value of P-Asserted-Identity."""
        return f"<{self.uri_text}>"


def _source_of(request: Request) -> Hop:
    source = request.source
    if source is None:
        raise RemoteProtocolError("request without source", 500)
    return source
