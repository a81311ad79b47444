"""What the compiled module offers; texts that are no UTF-8 come as surrogate escapes."""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final, Protocol, Self

from parley.sipcore.hop import Hop
from parley.sipcore.keep_alive import KeepAlive
from parley.sipcore.sdp import Direction, Obstacle

SOURCES: Final[str]
"""Checksum of the sources that this was built from (`build.py`)."""

MAX_HEADER_BYTES: Final[int]
"""How long a header may be."""

MAX_HEADERS: Final[int]
"""How many lines a header may have, folds counted."""

Params = Mapping[str, str | None]

class Via:
    """One hop of the way back (RFC 3261 20.42, RFC 3581). A value.

    Attributes:
        transport: lower case, as in `Hop.transport`.
        host: the sent-by host as written; IPv6 without brackets.
        port: the sent-by port; None when not written.
        params: lower-case names, values as written.
    """

    transport: Final[str]
    host: Final[str]
    port: Final[int | None]
    params: Final[Params]

    def __new__(
        cls, transport: str, host: str, port: int | None = None, params: Params | None = None
    ) -> Self: ...
    @property
    def branch(self) -> str | None:
        """The transaction's branch; starts with `z9hG4bK` unless the peer is of RFC 2543."""
    @property
    def received(self) -> str | None:
        """The address that the server before saw, IPv6 without brackets."""
    @property
    def rport(self) -> int | None:
        """The port that the server before saw; None also for a bare `rport` flag."""
    @property
    def wants_rport(self) -> bool:
        """Whether the client asked for its source port (RFC 3581 3)."""
    @property
    def sent_by_port(self) -> int:
        """The port written, or the default one of the transport (RFC 3261 18.2.2)."""

class NameAddr:
    """A URI with a display name and header parameters (RFC 3261 20.10). A value.

    Attributes:
        uri_text: the URI as written.
        display_name: unquoted; empty when absent.
        params: header parameters; lower-case names, values as written (see `get_param`).
        is_wildcard: the `*` of a Contact that removes all bindings.
    """

    uri_text: Final[str]
    display_name: Final[str]
    params: Final[Params]
    is_wildcard: Final[bool]

    def __new__(
        cls,
        uri: SipUri | TelUri | str,
        display_name: str = "",
        params: Params | None = None,
        is_wildcard: bool = False,
    ) -> Self: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...
    @property
    def uri(self) -> SipUri | TelUri:
        """The URI, parsed on first use.

        Raises:
            RemoteProtocolError: 400 malformed, or the scheme is not ours.
        """
    @property
    def tag(self) -> str | None:
        """The dialog tag of From and To."""
    def get_param(self, name: str) -> str | None:
        """Returns a parameter's text without quotes; None when absent or without value."""
    def with_params(self, params: Params) -> NameAddr:
        """Returns the same name and URI with other header parameters."""

class CSeq:
    """Sequence number and method of a request and its responses (RFC 3261 20.16). A value."""

    number: Final[int]
    method: Final[str]

    def __new__(cls, number: int, method: str) -> Self: ...

class AuthParams:
    """One WWW-Authenticate, Authorization or similar value (RFC 3261 25.1).

    Attributes:
        scheme: as written, "Digest" mostly.
        params: lower-case names, values without quotes.
        is_challenge: qop is quoted in a challenge and bare in credentials.
    """

    scheme: Final[str]
    params: Final[dict[str, str]]
    is_challenge: Final[bool]

    def __new__(cls, scheme: str, params: dict[str, str], is_challenge: bool = False) -> Self: ...

class Credentials:
    """What a client answered to a challenge (RFC 7616 3.4).

    Attributes:
        response: lower case.
        algorithm: upper case; "MD5" when not written.
        qop: as written; empty when absent.
        cnonce: as written; empty when absent.
        nc: the nonce count as written, eight hex digits; empty without qop.
        opaque: empty when absent.
    """

    username: Final[str]
    realm: Final[str]
    nonce: Final[str]
    uri: Final[str]
    response: Final[str]
    algorithm: Final[str]
    qop: Final[str]
    cnonce: Final[str]
    nc: Final[str]
    opaque: Final[str]

    def __new__(
        cls,
        username: str,
        realm: str,
        nonce: str,
        uri: str,
        response: str,
        algorithm: str | None = None,
        qop: str | None = None,
        cnonce: str | None = None,
        nc: str | None = None,
        opaque: str | None = None,
    ) -> Self: ...
    @property
    def count(self) -> int:
        """The nonce count as a number; 0 where it is none."""
    def proof(self, method: str, secret: str) -> str:
        """Returns the `response` that whoever knows the secret would have written (3.4.1).

        Args:
            method: of the request that carries the credentials.
            secret: H(username:realm:password) in hex.

        Raises:
            LocalProtocolError: the algorithm is not known.
        """

class SipUri:
    """A sip or sips URI (RFC 3261 19.1). A value.

    Components are held unescaped and go out escaped, so `str(parse_uri(text))` may spell a URI
    differently than `text` but always means the same.

    Attributes:
        scheme: "sip" or "sips".
        user: unescaped; None without userinfo.
        host: lower case; IPv6 without brackets.
        port: None when not written.
        params: lower-case names, unescaped values, None for a flag such as `lr`.
        headers: unescaped pairs after the question mark.
        password: unescaped; None when not written.
    """

    scheme: Final[str]
    user: Final[str | None]
    host: Final[str]
    port: Final[int | None]
    params: Final[Params]
    headers: Final[Mapping[str, str]]
    password: Final[str | None]

    def __new__(
        cls,
        scheme: str,
        user: str | None,
        host: str,
        port: int | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        password: str | None = None,
    ) -> Self: ...
    @property
    def transport(self) -> str | None:
        """The transport parameter in lower case."""
    @property
    def is_loose_router(self) -> bool:
        """Whether the element follows RFC 3261 loose routing (`lr`)."""
    def matches(self, other: object) -> bool:
        """Compares as RFC 3261 19.1.4 says; not transitive, hence not `==`."""

class TelUri:
    """A telephone number (RFC 3966); `number` keeps its visual separators. A value.

    Attributes:
        scheme: "tel".
    """

    scheme: Final[str]
    number: Final[str]
    params: Final[Params]

    def __new__(cls, number: str, params: Params | None = None) -> Self: ...
    @property
    def digits(self) -> str:
        """The number without visual separators, with its `+` if global."""
    def matches(self, other: object) -> bool:
        """Compares as RFC 3966 4 says: separators and case do not count, parameters all do."""

class Message:
    """Base of `Request` and `Response`: header lines in order, and a body.

    Names are canonical: lower case, long form ("call-id"). Typed properties raise
    `RemoteProtocolError` when the header is malformed or, for the mandatory ones, missing. Values
    set by code are checked for line breaks, so nothing that a peer put into a value can become a
    header of ours (`LocalProtocolError`).

    Attributes:
        source: set by the transport: where it came from, flow included.
        listener: set by the transport: our socket that it arrived on. Of a response that a server
            transaction sends: the one that its request arrived on.
        received_bytes: how long the datagram was that brought it; 0 if none did.
        body: what follows the header; Content-Length follows it when the message is written.
    """

    source: Hop | None
    listener: Hop | None
    received_bytes: int
    body: bytes

    def __bytes__(self) -> bytes: ...
    def get(self, name: str) -> str | None:
        """Returns the first line's value, unfolded and stripped; None without such a line."""
    def get_all(self, name: str) -> list[str]:
        """Returns one value per line of that name."""
    def pairs(self, names: Container[str]) -> list[tuple[str, str]]:
        """Returns name and value of every line that has one of these names, in order."""
    def values(self, name: str) -> list[str]:
        """Returns the single values of a list header, over all its lines (RFC 3261 7.3.1).

        Raises:
            RemoteProtocolError: a quote or angle bracket is not closed.
        """
    def has(self, *names: str) -> bool:
        """Whether there is a line of one of these names."""
    def set(self, name: str, value: str) -> None:
        """Replaces all lines of that name, in the place of the first, or appends one."""
    def add(self, name: str, value: str) -> None:
        """Appends a line after the last of that name, else at the end."""
    def prepend(self, name: str, value: str) -> None:
        """Puts a line before the first of that name, else at the top."""
    def extend(self, name: str, values: Iterable[str]) -> None:
        """Adds several lines of one name, in order."""
    def remove(self, name: str) -> None:
        """Removes all lines of that name; none is fine."""
    def remove_first_value(self, name: str) -> str | None:
        """Takes the topmost value of a list header (Via, Route) away and returns it.

        Raises:
            RemoteProtocolError: a quote or angle bracket is not closed.
        """
    def replace_first_value(self, name: str, value: str) -> None:
        """Replaces the topmost value of a list header, or appends a line when there is none.

        Raises:
            RemoteProtocolError: a quote or angle bracket is not closed.
        """
    def copy_lines(self, name: str, source: Message) -> None:
        """Appends the lines of that name from another message byte for byte."""
    def header_names(self) -> list[str]:
        """Returns the canonical names in order, one per line."""
    @property
    def header_size(self) -> tuple[int, int]:
        """How many lines there are, folds counted, and their bytes without line ends."""
    def header_text(self) -> bytes:
        """Returns all lines, as they go out, with a line feed between them."""
    @property
    def is_ascii(self) -> bool:
        """Whether every line is plain ASCII."""
    def stamp_via(self, host: str, port: int) -> None:
        """Notes in the topmost Via where the message came from.

        `received` is added if the address differs from sent-by or rport is asked for (RFC 3261
        18.2.1, RFC 3581 4); values that the client claimed itself are replaced.
        """
    @property
    def start_line(self) -> str:
        """The request line or status line, without line end."""
    @property
    def has_via(self) -> bool:
        """Whether there is a topmost Via that can be read."""
    @property
    def wants_rport(self) -> bool:
        """Whether the topmost Via asks for the source port (RFC 3581 3)."""
    @property
    def via(self) -> Via:
        """The topmost Via."""
    @property
    def from_(self) -> NameAddr:
        """The From header."""
    @property
    def to(self) -> NameAddr:
        """The To header."""
    @property
    def cseq(self) -> CSeq:
        """The CSeq header."""
    @property
    def call_id(self) -> str:
        """The Call-ID header (of SIP; not Parley's id of a call)."""
    @property
    def contacts(self) -> list[NameAddr]:
        """All Contact values; a wildcard stands alone."""
    @property
    def routes(self) -> list[NameAddr]:
        """All Route values, topmost first."""
    @property
    def record_routes(self) -> list[NameAddr]:
        """All Record-Route values, topmost first."""
    @property
    def paths(self) -> list[NameAddr]:
        """All Path values (RFC 3327), topmost first."""
    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, 0 to 255; None when absent."""
    @property
    def expires(self) -> int | None:
        """The Expires header in seconds; None when absent."""
    @property
    def content_length(self) -> int | None:
        """Content-Length as received or last written; None when absent."""
    @property
    def content_type(self) -> str | None:
        """Content-Type with its parameters, as written; None when absent."""

class Request(Message):
    """A request.

    Attributes:
        method: as written; methods are case-sensitive.
    """

    method: str

    def __new__(cls, method: str, uri: SipUri | TelUri | str) -> Self: ...
    @property
    def uri_text(self) -> str:
        """The Request-URI as written."""
    @property
    def uri(self) -> SipUri | TelUri:
        """The Request-URI; may be set to a URI or to text.

        Raises:
            RemoteProtocolError: 400 malformed, 416 for a scheme that is not ours.
        """
    @uri.setter
    def uri(self, uri: SipUri | TelUri | str) -> None: ...
    def transaction_key(self, method: str) -> tuple[object, ...]:
        """Returns what finds the server transaction of `method` that this belongs to (17.2.3).

        Of a client whose branch is not unique, for it is older than RFC 3261 or only says that it
        is not, it is made of what its requests repeat. The To tag, part of that rule for all but
        ACK, is left out: one CSeq number never comes both without and with a tag, and an ACK
        carries that of the response.

        Args:
            method: the request's own; "INVITE" for an ACK or to find what a CANCEL is about.
        """
    @property
    def has_unique_branch(self) -> bool:
        """Whether the branch alone tells the transaction, as that of RFC 3261 does (8.1.1.7)."""
    def copy(self) -> Self:
        """Returns an independent request."""
    def husk(self) -> Request:
        """Returns a request of the same method and URI without anything else."""

class Response(Message):
    """A response.

    Attributes:
        status: 100 to 699.
        reason: the reason phrase.
    """

    status: Final[int]
    reason: Final[str]

    def __new__(cls, status: int, reason: str | None = None) -> Self: ...
    def transaction_key(self) -> tuple[object, ...]:
        """Returns what finds the client transaction that this answers: branch and method."""
    def copy(self) -> Self:
        """Returns an independent response."""
    def server_key(self) -> tuple[object, ...] | None:
        """Returns what finds the server transaction that sends this, the same as its request's.

        None where the branch is not unique: what the request said beside cannot be read here.
        """

class Limits:
    """What a peer may make us hold before a message is complete, in bytes."""

    max_header_bytes: Final[int]
    max_body_bytes: Final[int]

    def __new__(cls, max_header_bytes: int = 65536, max_body_bytes: int = 65536) -> Self: ...

class StreamFramer:
    """Turns the bytes of one connection into messages (RFC 3261 18.3).

    A stream whose next boundary is uncertain is dead. A header that is illegal but says without
    doubt where its message ends is reported, and the stream goes on behind it: one bad message of
    one peer must not tear a connection that carries others' calls.

    Args:
        limits: what the peer may make us hold.
        is_client: we opened the connection, so each line end is a pong; otherwise two are a ping.
    """

    def __new__(cls, limits: Limits | None = None, is_client: bool = False) -> Self: ...
    def receive_data(self, data: bytes) -> None:
        """Feeds bytes; a dead framer drops them."""
    def next_message(self) -> Request | Response | KeepAlive | None:
        """Returns the next complete message or keep-alive; None when more bytes are needed.

        Raises:
            FramingError: illegal message: answer it if it is a request, and close the connection
                unless `can_continue`.
        """

class DatagramReader:
    """Reads a UDP socket, many datagrams with one system call. On Linux alone.

    Args:
        fd: of a socket that does not block, and is open as long as this is used.
        flow: of the hops that are returned.
    """

    def __new__(cls, fd: int, flow: int) -> Self: ...
    def read(self, limit: int) -> list[tuple[bytes, Hop]]:
        """Returns what is there, with its source; keep-alives of up to four bytes are left out.

        Args:
            limit: how many datagrams at most.

        Raises:
            OSError: what the system says, such as an ICMP error of an earlier send.
        """

def parse_message(data: bytes) -> Request | Response:
    """Parses one datagram (RFC 3261 18.3).

    Bytes beyond Content-Length are cut off; without Content-Length the body is the rest.

    Raises:
        ParseError: nothing usable.
    """

def parse_credentials(text: str, /) -> Credentials:
    """Parses an Authorization or Proxy-Authorization value.

    Raises:
        RemoteProtocolError: malformed, not Digest, or without one of the needed parameters.
    """

def ha1(username: str, realm: str, password: str, algorithm: str) -> str:
    """Returns H(username:realm:password) in hex: all that a server stores of a password.

    Raises:
        LocalProtocolError: the algorithm is neither "MD5" nor "SHA-256".
    """

def salvage(data: bytes) -> Request | None:
    """Reads of a message that cannot be used what an answer repeats: Via, From, To, Call-ID, CSeq.

    What is there may be malformed, the Via too, and goes out as it came: the answer can go to the
    source of the message alone.

    Args:
        data: with or without the body; where the header breaks off, its last line is left out.

    Returns:
        The request; None for what has no answer: responses, ACK, requests without any Via, and
        what is no SIP.
    """

def response_to(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str | None = None,
    headers: Iterable[tuple[str, str]] | None = None,
) -> Response:
    """Makes a response with the headers of RFC 3261 8.2.6.2: Via, From, To, Call-ID and CSeq.

    Args:
        request: may be one that was salvaged and lacks some of them.
        status: 100 to 699.
        reason: the default phrase of the status when None.
        to_tag: added to To unless the request has a tag there already.
        headers: further (name, value) pairs, added at the end in this order.
    """

def parse_uri(text: str, /) -> SipUri | TelUri:
    """Parses a URI that stands alone, without angle brackets.

    Raises:
        RemoteProtocolError: 416 for a scheme that is not ours, 400 when malformed.
    """

def parse_via(text: str, /) -> Via:
    """Parses one Via value."""

def parse_name_addr(text: str, /) -> NameAddr:
    """Parses one value of From, To, Contact, Route and their kin."""

def parse_auth_params(text: str, /) -> AuthParams:
    """Parses one challenge or one set of credentials.

    Raises:
        RemoteProtocolError: malformed, or a parameter occurs twice.
    """

def parse_params(text: str, /) -> dict[str, str | None]:
    """Parses what follows the first semicolon; names come out in lower case.

    Raises:
        RemoteProtocolError: malformed, or a name occurs twice (RFC 3261 7.3.1).
    """

def is_token(text: str, /) -> bool:
    """Whether a text is a token (RFC 3261 25.1)."""

def unquote(text: str, /) -> str:
    """Returns the text of a quoted string; anything else comes back as it is."""

MAX_SDP_BYTES: Final[int]
"""How long a session description may be."""

MAX_SDP_LINE_CHARACTERS: Final[int]
"""How long a line of it may be."""

MAX_SDP_MEDIA: Final[int]
"""How many media lines it may have."""

class OriginLine:
    """`o=`: who made the session and which edition of it this is (RFC 8866 5.2). A value."""

    session_id: Final[str]
    version: Final[int]
    ip: Final[str]
    username: Final[str]
    address_type: Final[str]

    def __new__(
        cls, session_id: str, version: int, ip: str, username: str = "-", address_type: str = ""
    ) -> Self: ...
    def grown(self) -> OriginLine:
        """The next edition of the same session."""

class Connection:
    """`c=`: where media is wanted (RFC 8866 5.7).

    Attributes:
        address_type: `IP4`, `IP6`, or what another network has.
        address: an IP address, a host name, or what another network has.
        suffix: `/ttl/count` of multicast.
        network_type: `IN`; others are legal (RFC 7195).
        is_internet: an address of the Internet, of either family.
        is_null: the unspecified address, the hold sign of RFC 2543.
    """

    address_type: Final[str]
    address: Final[str]
    suffix: Final[str]
    network_type: Final[str]
    is_internet: Final[bool]
    is_null: Final[bool]

class Codec:
    """One RTP payload type with what describes it (`a=rtpmap`, `a=fmtp`)."""

    payload_type: Final[int]
    name: Final[str]
    clock_rate: Final[int]
    channels: Final[int]
    fmtp: Final[str]

class Section:
    """The session-level lines of a description, or one media description's."""

    def value(self, kind: str) -> str | None:
        """Returns what follows `<kind>=` in the first such line."""

    def values(self, kind: str) -> list[str]:
        """Returns the values of all lines of one type, in order."""

    def attribute(self, name: str) -> str | None:
        """Returns the first `a=<name>` value: empty text for a flag, `None` when absent."""

    def has_attribute(self, name: str) -> bool:
        """Tells whether `a=<name>` is there, with or without a value."""

    def attribute_values(self, name: str) -> list[str]:
        """Returns every `a=<name>:` value in order; flags are left out."""

    @property
    def attributes(self) -> list[tuple[str, str]]:
        """All `a=` lines as (name, value); the value of a flag is empty."""

class MediaDescription(Section):
    """One `m=` section; what it does not say itself it takes from the session level.

    What its lines hold is read when asked for and may raise `SdpError` then.
    """

    @property
    def kind(self) -> str:
        """`audio`, `video`, `image`, ..."""

    @property
    def port(self) -> int:
        """0 means refused or ended (RFC 3264 5.1, 8.2)."""

    @property
    def port_count(self) -> int:
        """Consecutive port pairs (`49170/2`), almost always 1."""

    @property
    def proto(self) -> str:
        """Transport profile as written, such as `RTP/AVP`."""

    @property
    def formats(self) -> list[str]:
        """Payload types or format names as written."""

    @property
    def is_active(self) -> bool:
        """Neither refused nor ended."""

    @property
    def is_plain(self) -> bool:
        """RTP in a profile without keys."""

    @property
    def has_keys(self) -> bool:
        """Keys of SRTP stand in the description: SDES (RFC 4568) or MIKEY (RFC 4567)."""

    @property
    def connection(self) -> Connection | None:
        """The section's own `c=` or the session's."""

    @property
    def direction(self) -> Direction:
        """The section's own direction, the session's, or `sendrecv` (RFC 8866 6.7)."""

    @property
    def is_held(self) -> bool:
        """The writer wants no media: sendonly, inactive or a null address (RFC 3264 8.4)."""

    @property
    def rtcp_port(self) -> int:
        """Port of RTCP: `a=rtcp` (RFC 3605) or the next one above RTP; 0 without RTP."""

    @property
    def rtcp_connection(self) -> Connection | None:
        """Address of RTCP when `a=rtcp` has one; otherwise RTCP goes where RTP goes."""

    @property
    def codecs(self) -> list[Codec]:
        """The formats as codecs, in order of preference; what nothing describes is left out."""

class SessionDescription:
    """A whole description: session lines and media sections; `bytes` writes it."""

    @property
    def session(self) -> Section:
        """The session-level section."""

    @property
    def media(self) -> list[MediaDescription]:
        """The media sections in order; offer/answer pairs them by place."""

    @property
    def origin(self) -> OriginLine:
        """The `o=` line."""

    def with_origin(self, origin: OriginLine) -> SessionDescription:
        """The same with another `o=` line."""

    @property
    def connection(self) -> Connection | None:
        """The session-level `c=` line."""

    @property
    def direction(self) -> Direction:
        """The session-level direction."""

    def __bytes__(self) -> bytes: ...

class LocalStream(Protocol):
    """Where the relay listens for one stream of one leg."""

    @property
    def index(self) -> int:
        """Place of the media section, from 0."""

    @property
    def ip(self) -> str:
        """Address to write into the description."""

    @property
    def rtp_port(self) -> int:
        """Port of RTP."""

    @property
    def rtcp_port(self) -> int:
        """Port of RTCP."""

class RemoteStream:
    """Where one party wants its media, as its description says.

    Attributes:
        index: place of the media section, from 0.
        kind: `audio`, `video`, ...
        active: there is something to relay: port not 0 and no obstacle.
        ip: address for RTP; empty when not active or held by a null address.
        direction: as the party sees it, a null address counted as hold.
        is_two_way: the party sends and listens.
        obstacle: why a live stream cannot be relayed.
        clock_rate: RTP clock of its first format in Hz; 8000 where that cannot be read.
    """

    index: Final[int]
    kind: Final[str]
    active: Final[bool]
    ip: Final[str]
    rtp_port: Final[int]
    rtcp_ip: Final[str]
    rtcp_port: Final[int]
    direction: Final[Direction]
    is_two_way: Final[bool]
    obstacle: Final[Obstacle | None]
    clock_rate: Final[int]

def parse_sdp(data: bytes) -> SessionDescription:
    """Parses a message body of type `application/sdp`.

    Raises:
        SdpError: with one sentence that may be shown to the sender.
    """

def remote_streams(sdp: SessionDescription) -> list[RemoteStream]:
    """Reads where each stream's media is wanted, one item per media section.

    Raises:
        SdpError: an active stream has no address.
    """

def relayed(
    sdp: SessionDescription, streams: Sequence[LocalStream], session: OriginLine
) -> SessionDescription:
    """The description to send on to the other party, its media through the relay.

    Args:
        sdp: an offer or an answer of one party.
        streams: where the relay listens for the other party; a section without one gets port 0.
        session: the `o=` line of our side of the other party's dialog.
    """

def echo_answer(
    offer: SessionDescription, streams: Sequence[LocalStream], session: OriginLine
) -> SessionDescription:
    """Answers an offer as the echo does: plain audio with all its formats, nothing else.

    Sections without a stream in `streams`, or that the echo cannot return, get port 0; an answer
    without active media means 488.
    """

def is_echoable(media: MediaDescription) -> bool:
    """The echo can return this stream: live audio in a profile without keys, for it holds none."""

def answer_matches_offer(offer: SessionDescription, answer: SessionDescription) -> bool:
    """Same number and order of sections, none revived that was offered with port 0 (RFC 3264 6)."""

def is_held(sdp: SessionDescription) -> bool:
    """The writer wants no media at all: every live stream is held."""
