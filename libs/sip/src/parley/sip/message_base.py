"""What requests and responses share: raw header lines with typed, cached views.

A typed header is parsed when first asked for and kept until its lines change; the bytes of a
message are kept until it changes.
"""

from collections.abc import Callable
from typing import Self, TypeVar

from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.header_lines import HeaderLines
from parley.sip.headers import (
    CSeq,
    NameAddr,
    Via,
    parse_contact,
    parse_cseq,
    parse_name_addr,
    parse_via,
)
from parley.sip.hop import Hop
from parley.sip.numbers import MAX_SECONDS, parse_number
from parley.sip.value_list import value_end

_T = TypeVar("_T")
_MAX_LIST_VALUES = 256


class Message(HeaderLines):
    """Base of `Request` and `Response`.

    Typed properties raise `RemoteProtocolError` when the header is malformed or, for the
    mandatory ones, missing. Their values are shared with copies: never change them in place.

    Attributes:
        source: set by the transport: where it came from, flow included.
        listener: set by the transport: our socket that it arrived on. Of a response that a server
            transaction sends: the one that its request arrived on.
        received_bytes: how long the datagram was that brought it; 0 if none did.
    """

    __slots__ = ("listener", "received_bytes", "source")

    def __init__(self) -> None:
        super().__init__()
        self.source: Hop | None = None
        self.listener: Hop | None = None
        self.received_bytes = 0

    @property
    def via(self) -> Via:
        """The topmost Via."""
        via: Via | None = self._typed.get("via")
        return via if via is not None else self._typed_value("via", parse_first_via)

    def stamp_via(self, host: str, port: int) -> None:
        """Notes in the topmost Via where the message came from (`Via.stamped`).

        Raises:
            RemoteProtocolError: there is no such Via.
        """
        via = self.via
        stamped = via.stamped(host, port)
        if stamped is not via:
            self.replace_first_value("via", stamped.as_received())
            self._typed["via"] = stamped

    @property
    def from_(self) -> NameAddr:
        """The From header."""
        value: NameAddr | None = self._typed.get("from")
        return value if value is not None else self._typed_value("from", parse_name_addr)

    @property
    def to(self) -> NameAddr:
        """The To header."""
        value: NameAddr | None = self._typed.get("to")
        return value if value is not None else self._typed_value("to", parse_name_addr)

    @property
    def cseq(self) -> CSeq:
        """The CSeq header."""
        cseq: CSeq | None = self._typed.get("cseq")
        return cseq if cseq is not None else self._typed_value("cseq", parse_cseq)

    @property
    def call_id(self) -> str:
        """The Call-ID header (of SIP; not Parley's id of a call)."""
        call_id: str | None = self._typed.get("call-id")
        return call_id if call_id is not None else self._typed_value("call-id", parse_call_id)

    @property
    def contacts(self) -> list[NameAddr]:
        """All Contact values; a wildcard stands alone."""
        contacts = self._typed_list("contact", parse_contact)
        if len(contacts) > 1 and any(contact.is_wildcard for contact in contacts):
            raise RemoteProtocolError("Contact * must stand alone")
        return contacts

    @property
    def routes(self) -> list[NameAddr]:
        """All Route values, topmost first."""
        return self._typed_list("route", parse_name_addr)

    @property
    def record_routes(self) -> list[NameAddr]:
        """All Record-Route values, topmost first."""
        return self._typed_list("record-route", parse_name_addr)

    @property
    def paths(self) -> list[NameAddr]:
        """All Path values (RFC 3327), topmost first."""
        return self._typed_list("path", parse_name_addr)

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, 0 to 255; None when absent."""
        return self._typed_number("max-forwards", 255)

    @property
    def expires(self) -> int | None:
        """The Expires header in seconds; None when absent."""
        return self._typed_number("expires", MAX_SECONDS)

    @property
    def content_length(self) -> int | None:
        """Content-Length as received or last written; None when absent."""
        return self._typed_number("content-length", MAX_SECONDS)

    @property
    def content_type(self) -> str | None:
        """Content-Type with its parameters, as written; None when absent."""
        return self.get("content-type")

    def copy(self) -> Self:
        """Returns an independent message that shares the text of this one."""
        twin = object.__new__(type(self))
        twin._names = self._names.copy()
        twin._lines = self._lines.copy()
        twin._typed = self._typed.copy()
        twin._wire = self._wire
        twin._body = self._body
        twin.source = self.source
        twin.listener = self.listener
        twin.received_bytes = self.received_bytes
        return twin

    def __bytes__(self) -> bytes:
        wire = self._wire
        if wire is None:
            length = len(self._body)
            if self._typed.get("content-length") != length:
                self.set("content-length", str(length))
                self._typed["content-length"] = length
            head = "\r\n".join([self.start_line, *self._lines, "", ""])
            try:
                wire = head.encode("utf-8", "surrogateescape") + self._body
            except UnicodeEncodeError as error:
                raise LocalProtocolError("header text cannot be encoded") from error
            self._wire = wire
        return wire

    @property
    def start_line(self) -> str:
        """The request line or status line, without line end."""
        raise NotImplementedError

    def _typed_value(self, name: str, parse: Callable[[str], _T]) -> _T:
        value = self.get(name)
        if value is None:
            raise RemoteProtocolError(f"{name} is missing")
        typed = self._typed[name] = parse(value)
        return typed

    def _typed_number(self, name: str, maximum: int) -> int | None:
        number: int | None = self._typed.get(name)
        if number is None:
            value = self.get(name)
            if value is not None:
                number = self._typed[name] = parse_number(value, maximum, name)
        return number

    def _typed_list(self, name: str, parse: Callable[[str], NameAddr]) -> list[NameAddr]:
        if name not in self._names:
            return []
        typed: list[NameAddr] | None = self._typed.get(name)
        if typed is None:
            values = self.values(name)
            if len(values) > _MAX_LIST_VALUES:
                raise RemoteProtocolError(f"too many values of {name}", 513)
            typed = self._typed[name] = [parse(value) for value in values]
        return typed.copy()


def parse_first_via(text: str) -> Via:
    """Parses the first value of a Via line."""
    return parse_via(text[: value_end(text)].rstrip(" \t") if "," in text else text)


def parse_call_id(text: str) -> str:
    """Checks a Call-ID."""
    if not text or " " in text or "\t" in text:
        raise RemoteProtocolError("Call-ID is malformed")
    return text
