"""SIP, SIPS and tel URIs (RFC 3261 19.1, RFC 3966).

Components are held unescaped and go out escaped, so `str(parse_uri(text))` may spell a URI
differently than `text` but always means the same. One regular expression checks each URI; it has
no nested or overlapping repeats, so it is linear. The URIs of the same few users come by all the
time: parsed ones are kept in a bounded cache, which is why they are immutable.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address

import msgspec

from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.uri_escape import escape, is_host, unescape

UriParams = Mapping[str, str | None]

_ESC = "%[0-9A-Fa-f]{2}"
_sip_uri = re.compile(
    r"(sips?):"
    rf"(?:((?:[A-Za-z0-9_.!~*'()&=+$,;?/#-]|{_ESC})++)(?::((?:[A-Za-z0-9_.!~*'()&=+$,-]|{_ESC})*+))?@)?"
    r"([A-Za-z0-9_.-]++|\[[0-9A-Fa-f:.]++\])"
    r"(?::([0-9]{1,5}))?"
    r"((?:;[^;?\s<>\"@]++)*+)"
    r"(?:\?([^\s<>\"@]++))?",
    re.IGNORECASE,
).fullmatch
_uri_param = re.compile(rf"(?:[A-Za-z0-9_.!~*'()\[\]/:&+$-]|{_ESC})+").fullmatch
_uri_header = re.compile(rf"(?:[A-Za-z0-9_.!~*'()\[\]/:?+$,;-]|{_ESC})*").fullmatch
_tel_uri = re.compile(r"tel:([^;\s<>\"@?]++)((?:;[^;\s<>\"@?]++)*+)", re.IGNORECASE).fullmatch
_global_number = re.compile(r"\+[().-]*+[0-9][0-9().-]*+").fullmatch
_local_number = re.compile(r"[().-]*+[0-9A-Fa-f*#][0-9A-Fa-f*#().-]*+").fullmatch
_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"]+").fullmatch
_strip_separators = str.maketrans("", "", "-.()")

_MAX_CACHED_LENGTH = 256
# RFC 3261 19.1.4: these never match when only one of the two URIs has them.
_DECISIVE = frozenset(("user", "ttl", "method", "maddr", "transport"))


class SipUri(msgspec.Struct, frozen=True):
    """A sip or sips URI.

    Attributes:
        scheme: "sip" or "sips".
        user: unescaped; None without userinfo.
        host: lower case; IPv6 without brackets.
        port: None when not written.
        params: lower-case names, unescaped values, None for a flag such as `lr`.
        headers: unescaped pairs after the question mark.
        password: unescaped; None when not written.
    """

    scheme: str
    user: str | None
    host: str
    port: int | None = None
    params: UriParams = msgspec.field(default_factory=dict)
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    password: str | None = None

    def __hash__(self) -> int:
        return hash((self.scheme, self.user, self.host, self.port))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.scheme not in ("sip", "sips") or not is_host(host):
            raise LocalProtocolError("scheme or host of a SIP URI is illegal")
        text = host if self.port is None else f"{host}:{self.port}"
        if self.user is not None:
            secret = "" if self.password is None else ":" + escape(self.password, "password")
            text = f"{escape(self.user, 'user')}{secret}@{text}"
        for name, value in self.params.items():
            text += ";" + escape(name, "param")
            if value is not None:
                text += "=" + escape(value, "param")
        if self.headers:
            text += "?" + "&".join(
                f"{escape(name, 'header')}={escape(value, 'header')}"
                for name, value in self.headers.items()
            )
        return f"{self.scheme}:{text}"

    @property
    def transport(self) -> str | None:
        """The transport parameter in lower case."""
        value = self.params.get("transport")
        return value.lower() if value else None

    @property
    def is_loose_router(self) -> bool:
        """Whether the element follows RFC 3261 loose routing (`lr`)."""
        return "lr" in self.params

    def matches(self, other: object) -> bool:
        """Compares as RFC 3261 19.1.4 says; not transitive, hence not `==`."""
        if not isinstance(other, SipUri):
            return False
        return (
            self.scheme == other.scheme
            and self.user == other.user
            and self.password == other.password
            and self.host.lower() == other.host.lower()
            and self.port == other.port
            and _params_match(self.params, other.params, _DECISIVE)
            and _headers_of(self) == _headers_of(other)
        )


class TelUri(msgspec.Struct, frozen=True):
    """A telephone number (RFC 3966); `number` keeps its visual separators."""

    number: str
    params: UriParams = msgspec.field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.digits)

    def __str__(self) -> str:
        if not (_global_number(self.number) or _local_number(self.number)):
            raise LocalProtocolError("telephone number is illegal")
        return f"tel:{self.number}" + "".join(
            f";{escape(name, 'param')}" + ("" if value is None else "=" + escape(value, "param"))
            for name, value in self.params.items()
        )

    @property
    def digits(self) -> str:
        """The number without visual separators, with its `+` if global."""
        return self.number.translate(_strip_separators).lower()

    def matches(self, other: object) -> bool:
        """Compares as RFC 3966 4 says: separators and case do not count, parameters all do."""
        return (
            isinstance(other, TelUri)
            and self.digits == other.digits
            and self.params.keys() == other.params.keys()
            and _params_match(self.params, other.params, frozenset())
        )


Uri = SipUri | TelUri


def parse_uri(text: str) -> SipUri | TelUri:
    """Parses a URI that stands alone, without angle brackets.

    Raises:
        RemoteProtocolError: 416 for a scheme that is not ours, 400 when malformed.
    """
    return _parse_cached(text) if len(text) <= _MAX_CACHED_LENGTH else _parse(text)


def _parse(text: str) -> SipUri | TelUri:
    match = _sip_uri(text)
    if match is None:
        return _parse_other(text)
    scheme, user, password, host, port, params, headers = match.groups()
    if host[0] == "[":
        host = _ipv6(host)
    return SipUri(
        scheme.lower(),
        unescape(user) if user is not None else None,
        host.lower(),
        _port(port) if port is not None else None,
        _parse_params(params) if params else {},
        _parse_headers(headers) if headers else {},
        unescape(password) if password is not None else None,
    )


_parse_cached = lru_cache(maxsize=4096)(_parse)


def _parse_other(text: str) -> TelUri:
    match = _tel_uri(text)
    if match is not None:
        number, params = match.groups()
        if _global_number(number) or _local_number(number):
            return TelUri(number, _parse_params(params) if params else {})
    scheme = text.partition(":")[0].lower()
    if _scheme(text) and scheme not in ("sip", "sips", "tel"):
        raise RemoteProtocolError("URI scheme is not supported", 416)
    raise RemoteProtocolError("URI is malformed")


def _ipv6(reference: str) -> str:
    try:
        IPv6Address(reference[1:-1])
    except ValueError as error:
        raise RemoteProtocolError("IPv6 address is malformed") from error
    return reference[1:-1]


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise RemoteProtocolError("port is out of range")
    return port


def _parse_params(text: str) -> dict[str, str | None]:
    params: dict[str, str | None] = {}
    for item in text[1:].split(";"):
        name, equals, value = item.partition("=")
        if not _uri_param(name) or (equals and not _uri_param(value)):
            raise RemoteProtocolError("URI parameter is malformed")
        name = unescape(name).lower()
        if name in params:
            raise RemoteProtocolError("URI parameter occurs twice")
        params[name] = unescape(value) if equals else None
    return params


def _parse_headers(text: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    for item in text.split("&"):
        name, equals, value = item.partition("=")
        if not name or not equals or not _uri_header(name) or not _uri_header(value):
            raise RemoteProtocolError("URI header is malformed")
        headers[unescape(name)] = unescape(value)
    return headers


def _params_match(one: UriParams, two: UriParams, decisive: frozenset[str]) -> bool:
    for name in one.keys() | two.keys():
        if name in one and name in two:
            if (one[name] or "").lower() != (two[name] or "").lower():
                return False
        elif name in decisive:
            return False
    return True


def _headers_of(uri: SipUri) -> dict[str, str]:
    return {name.lower(): value for name, value in uri.headers.items()}
