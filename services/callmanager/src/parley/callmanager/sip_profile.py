"""How this call manager presents itself in SIP: the headers that all its messages share."""

from typing import Final

from msgspec import Struct

from parley.model.ids import CallId
from parley.sip.errors import RemoteProtocolError
from parley.sip.hop import Hop
from parley.sip.message import Message, Request, Response
from parley.sip.name_addr import parse_name_addr
from parley.sip.uri import SipUri, TelUri

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, MESSAGE, UPDATE"
SUPPORTED_METHODS: Final = frozenset(ALLOW.split(", "))
ACCEPT: Final = "application/sdp"
CALL_HEADER: Final = "x-parley-call"
TENANT_HEADER: Final = "x-parley-tenant"
SOURCE_HEADER: Final = "x-parley-source"
UNREACHABLE_HEADER: Final = "x-parley-unreachable"
REPEATED_HEADER: Final = "x-parley-repeated"
IDENTITY_HEADER: Final = "p-asserted-identity"
PASSED_HEADERS: Final = (
    "subject",
    "priority",
    "alert-info",
    "call-info",
    "accept-language",
    "organization",
    "privacy",
    "session-id",
    "user-to-user",
)
"""What of an INVITE is for the other party and means the same on the other leg."""

DEFAULT_MAX_FORWARDS: Final = 70
ANSWERED_ELSEWHERE: Final = 'SIP;cause=200;text="Call completed elsewhere"'

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


def set_body(message: Message, body: bytes, content_type: str = ACCEPT) -> None:
    """Gives a message a body."""
    if body:
        message.add("content-type", content_type)
        message.body = body


def with_vias_of(request: Request, response: Response) -> Response:
    """The same response for another copy of its request, which came by another way."""
    copy = response.copy()
    copy.remove("via")
    copy.copy_lines("via", request)
    return copy


def reasons_of(message: Message) -> tuple[str, ...]:
    """The Reason values of a message (RFC 3326), to be passed on."""
    return tuple(message.get_all("reason")) if message.has("reason") else ()
