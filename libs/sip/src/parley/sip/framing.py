"""Cutting streams into messages by Content-Length (RFC 3261 18.3), with limits and keep-alives.

Policy: a stream whose next boundary is uncertain is dead. A header that is illegal but says
without doubt where its message ends is reported, and the stream goes on behind it: one bad
message of one peer must not tear a connection that carries others' calls.
"""

from dataclasses import dataclass
from enum import Enum

from parley.sip.errors import FramingError as FramingError
from parley.sip.errors import ParseError, RemoteProtocolError
from parley.sip.head import MAX_HEADER_BYTES, split_head
from parley.sip.header_lines import line_value
from parley.sip.message import Request, Response, parse_head
from parley.sip.message import parse_message as parse_message
from parley.sip.numbers import MAX_SECONDS, parse_number

_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may make us hold before a message is complete, in bytes."""

    max_header_bytes: int = MAX_HEADER_BYTES
    max_body_bytes: int = 65536


DEFAULT_LIMITS = Limits()


class KeepAlive(Enum):
    """Line ends between messages (RFC 5626 4.4.1): a client's ping, a server's pong."""

    PING = "ping"
    PONG = "pong"


class StreamFramer:
    """Turns the bytes of one connection into messages.

    Args:
        limits: what the peer may make us hold.
        is_client: we opened the connection, so each line end is a pong; otherwise two are a ping.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS, is_client: bool = False) -> None:
        self._limits = limits
        self._is_client = is_client
        self._buffer = bytearray()
        self._scanned = 0  # up to here there is no end of header
        self._head: Request | Response | ParseError | None = None  # waits for its body
        self._length = 0
        self._is_dead = False

    def receive_data(self, data: bytes) -> None:
        """Feeds bytes; a dead framer drops them."""
        if not self._is_dead:
            self._buffer += data

    def next_message(self) -> Request | Response | KeepAlive | None:
        """Returns the next complete message or keep-alive; None when more bytes are needed.

        Raises:
            FramingError: illegal message: answer it if it is a request, and close the connection
                unless `can_continue`.
        """
        if self._head is None:
            keep_alive = self._take_keep_alive()
            if keep_alive is not None:
                return keep_alive
            self._take_head()
        return self._take_body()

    def _take_keep_alive(self) -> KeepAlive | None:
        buffer = self._buffer
        while buffer[:2] == b"\r\n":
            if self._is_client:
                del buffer[:2]
                return KeepAlive.PONG
            if buffer[:4] == _END:
                del buffer[:4]
                return KeepAlive.PING
            if len(buffer) == 2 or (len(buffer) == 3 and buffer[2] == 13):
                return None  # half of a ping, perhaps
            del buffer[:2]
        return None

    def _take_head(self) -> None:
        buffer = self._buffer
        end = buffer.find(_END, self._scanned)
        if max(end, len(buffer) if end < 0 else 0) > self._limits.max_header_bytes:
            raise self._fatal(ParseError("header is too large", 513, bytes(buffer)))
        if end <= 0:
            self._scanned = max(0, len(buffer) - 3)
            return
        self._scanned = 0
        head = bytes(buffer[:end])
        try:
            self._head = message = parse_head(head)
            length = message.content_length
        except ParseError as error:
            self._head = error
            length = _unambiguous_length(head)
            if length is None:
                raise self._fatal(error) from error
        if length is None:
            raise self._fatal(ParseError("Content-Length is missing", 400, head + _END))
        if length > self._limits.max_body_bytes:
            raise self._fatal(ParseError("body is too large", 413, head + _END))
        del buffer[: end + 4]
        self._length = length

    def _take_body(self) -> Request | Response | None:
        head, length = self._head, self._length
        if head is None or len(self._buffer) < length:
            return None
        self._head = None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        if isinstance(head, ParseError):
            raise FramingError(str(head), head.status, head.data, can_continue=True) from head
        head.body = body
        return head

    def _fatal(self, error: ParseError) -> FramingError:
        self._is_dead = True
        self._head = None
        self._buffer.clear()
        return FramingError(str(error), error.status, error.data)


def _unambiguous_length(head: bytes) -> int | None:
    """Reads Content-Length of an illegal header; None if it could be read in another way."""
    try:
        _, names, lines = split_head(head.decode("utf-8", "surrogateescape"))
        if names.count("content-length") != 1:
            return None
        value = line_value(lines[names.index("content-length")])
        return parse_number(value, MAX_SECONDS, "Content-Length")
    except RemoteProtocolError:
        return None
