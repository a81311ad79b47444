"""SIP requests and responses (RFC 3261 7), and how datagrams become them.

Strategy: the header is decoded and split once; what every server needs at once (start line, top
Via, From, To, Call-ID, CSeq, Max-Forwards, Content-Length) is checked while parsing, everything
else when it is asked for. A message that fails may be read again, leniently, to answer it.
"""

import re
from collections.abc import Iterable
from typing import Final, Self

from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.errors import ParseError as ParseError
from parley.sip.head import (
    MAX_HEADER_BYTES,
    RequestLine,
    layout_of,
    parse_start_line,
    read_leniently,
    split_head,
)
from parley.sip.header_lines import line_value
from parley.sip.header_names import is_token
from parley.sip.headers import parse_cseq, parse_name_addr
from parley.sip.message_base import Message as Message
from parley.sip.message_base import parse_call_id, parse_first_via
from parley.sip.numbers import MAX_SECONDS, parse_number
from parley.sip.reasons import REASONS as REASONS
from parley.sip.reasons import reason_for
from parley.sip.uri import SipUri, TelUri, parse_uri

_HEADER_END: Final = b"\r\n\r\n"
_blank_or_control = re.compile(r"[\0- ]").search


class Request(Message):
    """A request.

    Attributes:
        method: as written; methods are case-sensitive.
    """

    __slots__ = ("_uri", "_uri_text", "method")

    def __init__(self, method: str, uri: SipUri | TelUri | str) -> None:
        super().__init__()
        if not is_token(method):
            raise LocalProtocolError("method is not a token")
        self.method = method
        self._uri: SipUri | TelUri | None = None
        self._uri_text = ""
        self.uri = uri

    @property
    def uri_text(self) -> str:
        """The Request-URI as written."""
        return self._uri_text

    @property
    def uri(self) -> SipUri | TelUri:
        """The Request-URI; may be set to a URI or to text.

        Raises:
            RemoteProtocolError: 400 malformed, 416 for a scheme that is not ours.
        """
        uri = self._uri
        if uri is None:
            uri = self._uri = parse_uri(self._uri_text)
        return uri

    @uri.setter
    def uri(self, uri: SipUri | TelUri | str) -> None:
        text = uri if isinstance(uri, str) else str(uri)
        if not text or _blank_or_control(text):
            raise LocalProtocolError("Request-URI is empty or holds blanks or control characters")
        self._uri_text = text
        self._uri = None if isinstance(uri, str) else uri
        self._wire = None

    @property
    def start_line(self) -> str:
        """The request line, without line end."""
        return f"{self.method} {self._uri_text} SIP/2.0"

    def husk(self) -> "Request":
        """Returns a request of the same method and URI without anything else."""
        husk = _new_request(RequestLine(self.method, self._uri_text), [], [])
        husk._uri = self._uri
        return husk

    def copy(self) -> Self:
        """Returns an independent request that shares the text of this one."""
        twin = super().copy()
        twin.method = self.method
        twin._uri = self._uri
        twin._uri_text = self._uri_text
        return twin

    def __repr__(self) -> str:
        return f"<Request {self.method} {self._uri_text}>"


class Response(Message):
    """A response.

    Attributes:
        status: 100 to 699.
        reason: the reason phrase.
    """

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str | None = None) -> None:
        super().__init__()
        if reason is None:
            reason = reason_for(status)
        elif "\n" in reason or "\r" in reason or "\0" in reason:
            raise LocalProtocolError("reason phrase is illegal")
        if not 100 <= status <= 699:
            raise LocalProtocolError("status is illegal")
        self.status: Final = status
        self.reason: Final = reason

    @property
    def start_line(self) -> str:
        """The status line, without line end."""
        return f"SIP/2.0 {self.status} {self.reason}"

    def copy(self) -> Self:
        """Returns an independent response that shares the text of this one."""
        twin = super().copy()
        twin.status = self.status  # type: ignore[misc]  # first assignment of the twin
        twin.reason = self.reason  # type: ignore[misc]  # first assignment of the twin
        return twin

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"


def response_to(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> Response:
    """Makes a response with the headers of RFC 3261 8.2.6.2: Via, From, To, Call-ID and CSeq.

    What the request has parsed of these is not parsed again.

    Args:
        request: may be one that was salvaged and lacks some of them.
        status: 100 to 699.
        reason: the default phrase of the status when None.
        to_tag: added to To unless the request has a tag there already.
        headers: further (name, value) pairs, added at the end in this order.
    """
    response = Response(status, reason)
    names, lines, typed = response._names, response._lines, request._typed
    present, there = request._names, request._lines
    if present.count("via") == 1:
        names.append("via")
        lines.append(there[present.index("via")])
    else:
        response.copy_lines("via", request)
    for name in _COPIED:
        if name in present:
            names.append(name)
            lines.append(there[present.index(name)])
    response._typed = {name: typed[name] for name in _SHARED if name in typed}
    if to_tag is not None:
        _add_to_tag(request, response, to_tag)
    for name, value in headers:
        line = response._line(name, value)
        names.append(name)
        lines.append(line)
    return response


_COPIED: Final = ("from", "to", "call-id", "cseq")
_SHARED: Final = ("via", "from", "to", "call-id", "cseq")


def _add_to_tag(request: Request, response: Response, tag: str) -> None:
    if not is_token(tag):
        raise LocalProtocolError("To tag is not a token")
    text = response.get("to") or ""
    try:
        has_tag = request.to.tag is not None
    except RemoteProtocolError:
        has_tag = "tag=" in text.lower()
    if not has_tag:
        response.set("to", f"{text};tag={tag}")


def parse_message(data: bytes) -> Request | Response:
    """Parses one datagram (RFC 3261 18.3).

    Bytes beyond Content-Length are cut off; without Content-Length the body is the rest.

    Raises:
        ParseError: nothing usable.
    """
    received_bytes = len(data)
    if data[:2] == b"\r\n":
        data = data.lstrip(b"\r\n")
    end = data.find(_HEADER_END)
    if end < 0:
        raise ParseError("header does not end", 400, data)
    message = parse_head(data[:end])
    body = data[end + 4 :]
    length = message.content_length
    if length is not None and length != len(body):
        if length > len(body):
            raise ParseError("body is shorter than Content-Length", 400, data)
        body = body[:length]
    message.body = body
    message.received_bytes = received_bytes
    return message


def parse_head(head: bytes) -> Request | Response:
    """Parses start line and header, given without the empty line that ends them.

    Raises:
        ParseError: nothing usable.
    """
    try:
        if len(head) > MAX_HEADER_BYTES:
            raise RemoteProtocolError("header is too large", 513)
        start, names, lines = split_head(head.decode("utf-8", "surrogateescape"))
        start_line = parse_start_line(start)
        if isinstance(start_line, RequestLine):
            request = _new_request(start_line, names, lines)
            _read_mandatory(request)
            if request.cseq.method != request.method:
                raise RemoteProtocolError("CSeq method is not the request's")
            request._uri = parse_uri(start_line.uri)
            return request
        response = Response(start_line.status, start_line.reason)
        response._names, response._lines = names, lines
        _read_mandatory(response)
    except RemoteProtocolError as error:
        raise ParseError(str(error), error.status, head + _HEADER_END) from error
    return response


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
    head, end, _ = data[:MAX_HEADER_BYTES].lstrip(b"\r\n").partition(_HEADER_END)
    if not end:
        head = head.rpartition(b"\r\n")[0]
    line, names, lines = read_leniently(head.decode("utf-8", "surrogateescape"))
    if line is None or line.method == "ACK" or "via" not in names:
        return None
    request = _new_request(line, names, lines)
    request.received_bytes = len(data)
    return request


def _new_request(line: RequestLine, names: list[str], lines: list[str]) -> Request:
    request = object.__new__(Request)
    request.method, request._uri_text = line
    request._names = names
    request._lines = lines
    request._typed = {}
    request._wire = request._uri = request.source = request.listener = None
    request.received_bytes = 0
    request._body = b""
    return request


def _read_mandatory(message: Message) -> None:
    """Parses what every server needs, so that later readers find it checked and cached."""
    lines, typed = message._lines, message._typed
    via, from_, to, call_id, cseq, max_forwards, length = layout_of(message._names)
    typed["via"] = parse_first_via(line_value(lines[via]))
    typed["from"] = parse_name_addr(line_value(lines[from_]))
    typed["to"] = parse_name_addr(line_value(lines[to]))
    typed["call-id"] = parse_call_id(line_value(lines[call_id]))
    typed["cseq"] = parse_cseq(line_value(lines[cseq]))
    if max_forwards >= 0:
        typed["max-forwards"] = parse_number(line_value(lines[max_forwards]), 255, "Max-Forwards")
    if length >= 0:
        value = line_value(lines[length])
        typed["content-length"] = parse_number(value, MAX_SECONDS, "Content-Length")
