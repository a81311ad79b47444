"""The name-addr and addr-spec values of From, To, Contact, Route and their kin (RFC 3261 20.10)."""

import re
from functools import lru_cache
from typing import Final

from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.header_names import is_token
from parley.sip.params import Params, format_params, parse_params, quote, unquote
from parley.sip.uri import SipUri, TelUri, parse_uri
from parley.sip.value_list import quoted_end

_is_bare_name = re.compile(r"[A-Za-z0-9.!%*_+`'~ \t-]*").fullmatch
_forbidden_in_bare_name = re.compile(r'[",;<>@\\]').search
_forbidden_in_uri = re.compile(r'[\s<>"]').search
_MAX_CACHED_LENGTH = 256
_unsafe = re.compile(r"[\r\n\0]").search


class NameAddr:
    """A URI with a display name and header parameters. A value: never changed after creation.

    Attributes:
        uri_text: the URI as written.
        display_name: unquoted; empty when absent.
        params: header parameters; lower-case names, values as written (see `get_param`).
        is_wildcard: the `*` of a Contact that removes all bindings.
    """

    __slots__ = ("_uri", "display_name", "is_wildcard", "params", "uri_text")

    def __init__(
        self,
        uri: SipUri | TelUri | str,
        display_name: str = "",
        params: Params | None = None,
        is_wildcard: bool = False,
    ) -> None:
        self._uri: SipUri | TelUri | None = None if isinstance(uri, str) else uri
        self.uri_text: Final = uri if isinstance(uri, str) else str(uri)
        self.display_name: Final = display_name
        self.params: Final[Params] = {} if params is None else params
        self.is_wildcard: Final = is_wildcard

    @property
    def uri(self) -> SipUri | TelUri:
        """The URI, parsed on first use.

        Raises:
            RemoteProtocolError: 400 malformed, 416 for a scheme that is not ours.
        """
        if self._uri is None:
            self._uri = parse_uri(self.uri_text)
        return self._uri

    @property
    def tag(self) -> str | None:
        """The dialog tag of From and To."""
        return self.params.get("tag")

    def get_param(self, name: str) -> str | None:
        """Returns a parameter's text without quotes; None when absent or without value."""
        value = self.params.get(name)
        return None if value is None else unquote(value)

    def with_params(self, params: Params) -> "NameAddr":
        """Returns the same name and URI with other header parameters."""
        return NameAddr(self._uri or self.uri_text, self.display_name, params, self.is_wildcard)

    def __str__(self) -> str:
        if self.is_wildcard:
            return "*"
        if _unsafe(self.display_name) or _forbidden_in_uri(self.uri_text):
            raise LocalProtocolError("name-addr holds characters that must not go out")
        name = self.display_name
        if name:
            name = f"{name if _is_bare_name(name) else quote(name)} "
        return f"{name}<{self.uri_text}>{format_params(self.params)}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NameAddr):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self.uri_text, self.display_name))

    def __repr__(self) -> str:
        return f"NameAddr({self.uri_text!r}, {self.display_name!r}, {self.params!r})"

    def _key(self) -> tuple[object, ...]:
        return (self.uri_text, self.display_name, self.params, self.is_wildcard)


def parse_name_addr(text: str) -> NameAddr:
    """Parses one value; header parameters follow the bracket, or the bare URI (20.10).

    Raises:
        RemoteProtocolError: malformed. The URI itself is checked when it is used.
    """
    start = quoted_end(text, 0) if text[:1] == '"' else 0
    closing = text.find(">", start) + 1
    if not closing:
        return _parse_addr_spec(text)
    head = text[:closing]
    parse = _parse_cached if closing <= _MAX_CACHED_LENGTH else _parse_head
    name, uri = parse(head)
    rest = text[closing:]
    if rest[:5] == ";tag=" and is_token(tag := rest[5:]):
        return NameAddr(uri, name, {"tag": tag})
    return NameAddr(uri, name, _parse_rest(rest) if rest else None)


def _parse_head(text: str) -> tuple[str, str]:
    """Parses display name and bracketed URI; `text` ends with the closing bracket."""
    if text[0] == '"':
        end = quoted_end(text, 0)
        opening = text.find("<", end)
        if text[end:opening].strip(" \t"):
            raise RemoteProtocolError("display name is malformed")
        name = unquote(text[:end])
    else:
        opening = text.find("<")
        name = text[:opening].strip(" \t") if opening > 0 else ""
        if name and _forbidden_in_bare_name(name):
            raise RemoteProtocolError("display name is malformed")
    uri = text[opening + 1 : -1]
    if opening < 0 or not uri or _forbidden_in_uri(uri):
        raise RemoteProtocolError("URI in angle brackets is malformed")
    return name, uri


# The messages of one dialog, and all of one user, carry the same text up to the bracket.
_parse_cached = lru_cache(maxsize=4096)(_parse_head)


def _parse_rest(rest: str) -> dict[str, str | None]:
    if rest[0] != ";":
        rest = rest.lstrip(" \t")
        if rest[:1] != ";":
            raise RemoteProtocolError("text after the angle bracket")
    return parse_params(rest[1:])


def _parse_addr_spec(text: str) -> NameAddr:
    uri, semicolon, rest = text.partition(";")
    uri = uri.rstrip(" \t")
    # A comma or question mark needs the brackets (RFC 3261 20): without them it is ambiguous.
    if not uri or "," in uri or "?" in uri or _forbidden_in_uri(uri):
        raise RemoteProtocolError("address is malformed")
    return NameAddr(uri, "", parse_params(rest) if semicolon else {})


def parse_contact(text: str) -> NameAddr:
    """Parses one Contact value, the wildcard included."""
    return NameAddr("*", is_wildcard=True) if text == "*" else parse_name_addr(text)
