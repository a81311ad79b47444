"""How this call manager presents itself in SIP: the headers that all its messages share."""

from typing import Final

from msgspec import Struct

from parley.model.ids import CallId
from parley.sdp import Obstacle
from parley.sip.errors import RemoteProtocolError
from parley.sip.headers import parse_name_addr
from parley.sip.hop import Hop
from parley.sip.message import Message, Request, Response
from parley.sip.uri import SipUri, TelUri

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, MESSAGE, UPDATE"
SUPPORTED_METHODS: Final = frozenset(ALLOW.split(", "))
SDP_TYPE: Final = "application/sdp"
ACCEPT: Final = f"{SDP_TYPE}, multipart/mixed, multipart/alternative"
CALL_HEADER: Final = "x-parley-call"
TENANT_HEADER: Final = "x-parley-tenant"
SOURCE_HEADER: Final = "x-parley-source"
FLOW_HEADER: Final = "x-parley-flow"
ROUTE_HEADER: Final = "x-parley-route"
"""In a request that refreshes the target: by which route its phone is reached from now on."""
UNREACHABLE_HEADER: Final = "x-parley-unreachable"
REPEATED_HEADER: Final = "x-parley-repeated"
IDENTITY_HEADER: Final = "p-asserted-identity"
PASSED_HEADERS: Final = ("subject", "accept-language", "session-id", "user-to-user")
"""What of an INVITE is for the other party and means the same on the other leg.

Nothing by which a caller makes a phone answer or ring as it likes (Alert-Info, Call-Info, Priority,
RFC 5373 and the like), and nothing that says who it is.
"""
PRIVACY_HEADER: Final = "privacy"

DEFAULT_MAX_FORWARDS: Final = 70
ANSWERED_ELSEWHERE: Final = 'SIP;cause=200;text="Call completed elsewhere"'

_CHALLENGES: Final = (401, 407)
_DEFAULT_PORTS: Final = {"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443, "local": 0}


class SipProfile(Struct, frozen=True):
    """One call's constants.

    Attributes:
        call_id: ours, for the edges.
        contact: our Contact value; in-dialog requests find us by the edge's token, not by it.
        product: value of Server and User-Agent.
    """

    call_id: CallId
    contact: str
    product: str


def hop_of(uri: SipUri | TelUri) -> Hop:
    """The neighbour that a URI names, without a look into DNS: inside hops are addresses or names.

    Raises:
        RemoteProtocolError: a telephone number, or a transport that is none of ours.
    """
    if isinstance(uri, TelUri):
        raise RemoteProtocolError("a telephone number names no neighbour", 416)
    transport = uri.transport or ("tls" if uri.scheme == "sips" else "udp")
    if transport not in _DEFAULT_PORTS:
        raise RemoteProtocolError("a URI names an unknown transport")
    port = uri.port if uri.port is not None else _DEFAULT_PORTS[transport]
    return Hop(transport, uri.host, port)


def asserted_user(request: Request) -> str:
    """The number that the edge asserts for the caller (RFC 3325); empty without a usable one."""
    for value in request.values(IDENTITY_HEADER):
        try:
            uri = parse_name_addr(value).uri
        except RemoteProtocolError:
            continue
        return user_of(uri)
    return ""


def user_of(uri: SipUri | TelUri) -> str:
    """Who a URI names: user part or digits."""
    return uri.digits if isinstance(uri, TelUri) else uri.user or ""


def domain_of(uri: SipUri | TelUri) -> str:
    """In whose numbers a URI names somebody; empty for a number that does not say so.

    A local telephone number has a context for that (RFC 3966 5.1.5).
    """
    if isinstance(uri, TelUri):
        return (uri.params.get("phone-context") or "").lower()
    return uri.host.rstrip(".") or uri.host


def set_body(message: Message, body: bytes) -> None:
    """Gives a message a session description, unless it is empty."""
    if body:
        message.add("content-type", SDP_TYPE)
        message.body = body


def warning_of(obstacle: Obstacle) -> tuple[str, str]:
    """The Warning header that tells what stands against a description (RFC 3261 20.43)."""
    return "warning", f'{obstacle.code} parley "{obstacle.text}"'


def refusal_of(response: Response) -> int:
    """The status by which a party hears that the other one refuses a request within the call.

    Never one that says that this platform fails, or that it wants credentials; 500 with Retry-After
    is a phone's own way to say "later" (RFC 3261 14.2).
    """
    status = response.status
    is_later = status == 500 and response.has("retry-after")
    is_between_us = status < 400 or status in _CHALLENGES or 500 <= status < 600
    return 480 if is_between_us and not is_later else status


def refusal_of_failure(status: int) -> int:
    """The same for a request that came to nothing: no way (503) is not this platform's failure."""
    return 480 if status == 503 else status


def with_vias_of(request: Request, response: Response) -> Response:
    """The same response for another copy of its request, which came by another way."""
    copy = response.copy()
    copy.remove("via")
    copy.copy_lines("via", request)
    return copy


def reasons_of(message: Message) -> tuple[str, ...]:
    """The Reason values of a message (RFC 3326), to be passed on."""
    return tuple(message.get_all("reason")) if message.has("reason") else ()
