"""Route and Record-Route of this edge: loose routing by token (RFC 3261 16.4, 16.6, RFC 5658).

A call manager reaches us by our inside address, a phone by our outside one, and phones shall not
see how we are called inside. So a phone is shown the outside value alone: towards call managers an
INVITE gets both values, and the inside one is taken from the response; towards phones it gets one,
and the other is put into the response. Any edge can do so: the token tells that a value is ours.
"""

from parley.edgeproxy.routing.addresses import EdgeAddresses
from parley.edgeproxy.routing.token import Token, TokenCodec, TokenKind
from parley.sip.errors import RemoteProtocolError
from parley.sip.headers import NameAddr, parse_name_addr
from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.sip.uri import SipUri, TelUri

OWN_ROUTES = 2
MAX_PATHS = 16384


class Routes:
    """Reads and writes this edge's part of route sets."""

    __slots__ = ("_addresses", "_codec", "_paths")

    def __init__(self, codec: TokenCodec, addresses: EdgeAddresses) -> None:
        self._codec = codec
        self._addresses = addresses
        self._paths: dict[Hop, str] = {}

    def take_own(self, request: Request) -> Token | None:
        """Removes the topmost Route values that are edges' own, two at most.

        A value is an edge's own when its token verifies, whichever edge wrote it, or when it names
        this edge (a phone's outbound proxy).

        Returns:
            The first token found.

        Raises:
            RemoteProtocolError: Route is malformed.
        """
        if not request.has("route"):
            return None
        self._undo_strict_routing(request)
        token: Token | None = None
        count = 0
        for value in request.routes[:OWN_ROUTES]:
            uri = value.uri
            found = self._token_of(uri)
            if found is None and not self._addresses.is_own_host(uri):
                break
            token = token or found
            count += 1
        for _ in range(count):
            request.remove_first_value("route")
        return token

    def record(self, request: Request, token: Token, transport: str, *, is_inward: bool) -> None:
        """Adds this edge's Record-Routes, the one for the next hop on top.

        Args:
            request: about to be forwarded.
            token: the phone's flow here, the call and its owner.
            transport: what the phone uses.
            is_inward: towards a call manager.
        """
        text = self._shared(token)
        request.prepend("record-route", self._addresses.outside_route(text, transport))
        if is_inward:
            request.prepend("record-route", self._addresses.inside_route(text))

    def hide_inside(self, response: Response) -> None:
        """Takes from a response to a phone what is for call managers only."""
        if response.has("record-route"):
            values = response.values("record-route")
            typed = response.record_routes
            kept = [
                text for text, one in zip(values, typed, strict=True) if not self._is_inside(one)
            ]
            if len(kept) < len(values):
                response.set("record-route", ", ".join(kept))

    def add_inside(self, response: Response) -> None:
        """Adds to a phone's response what call managers reach us by."""
        if not response.has("record-route"):
            return
        typed = response.record_routes
        own = [at for at, one in enumerate(typed) if self._token_of(one.uri) is not None]
        if len(own) != 1:
            return  # none, or both: a request of an edge that showed both
        values = response.values("record-route")
        token = typed[own[0]].uri
        if isinstance(token, SipUri):
            values.insert(own[0] + 1, self._addresses.inside_route(token.user or ""))
            response.set("record-route", ", ".join(values))

    def _is_inside(self, value: NameAddr) -> bool:
        is_own = self._token_of(value.uri) is not None
        return is_own and not self._addresses.is_outside(value.uri)

    def moved(self, token: Token, source: Hop) -> str | None:
        """Returns the Route that reaches a phone which speaks from another flow than its token's.

        Args:
            token: of the dialog that the phone sends in.
            source: where its request came from.
        """
        if self._addresses.shared_flow(source) == token.flow:
            return None
        return self._addresses.inside_route(self._shared(token._replace(flow=source)))

    def path(self, flow: Hop) -> str:
        """Returns the Path value by which call managers reach a phone (RFC 3327)."""
        path = self._paths.get(flow)
        if path is None:
            shared = self._addresses.shared_flow(flow)
            token = self._codec.encode(Token(TokenKind.PATH, shared))
            path = self._addresses.inside_route(token)
            if len(self._paths) >= MAX_PATHS:
                del self._paths[next(iter(self._paths))]
            self._paths[flow] = path
        return path

    def is_heard(self, request: Request, source: Hop) -> bool:
        """Says whether the topmost Route is a token that was written for a request's source."""
        if not request.has("route"):
            return False
        token = self._token_of(request.routes[0].uri)
        return token is not None and token.flow.host == source.host

    def flow_of(self, path: str) -> Hop | None:
        """Returns the flow that a Path value of an edge names; None when no edge wrote it."""
        try:
            token = self._token_of(parse_name_addr(path).uri)
        except RemoteProtocolError:
            return None
        return None if token is None else token.flow

    def _shared(self, token: Token) -> str:
        return self._codec.encode(token._replace(flow=self._addresses.shared_flow(token.flow)))

    def _undo_strict_routing(self, request: Request) -> None:
        # RFC 3261 16.4: a strict router before us put our own value into the Request-URI and the
        # real target into the last Route.
        try:
            target = request.uri
        except RemoteProtocolError:
            return
        if self._token_of(target) is None:
            return
        values = request.values("route")
        request.uri = request.routes[-1].uri
        request.set("route", ", ".join([f"<{target}>", *values[:-1]]))

    def _token_of(self, uri: SipUri | TelUri) -> Token | None:
        if not isinstance(uri, SipUri) or uri.user is None:
            return None
        known = self._codec.known
        return known[uri.user] if uri.user in known else self._codec.decode(uri.user)
