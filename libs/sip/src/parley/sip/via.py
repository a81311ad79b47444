"""The Via header field value (RFC 3261 20.42, RFC 3581)."""

import re
from functools import lru_cache
from typing import Self

import msgspec

from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.header_names import TOKEN_CHARS
from parley.sip.numbers import parse_number
from parley.sip.params import Params, format_params, parse_params
from parley.sip.uri_escape import is_host

MAGIC_COOKIE = "z9hG4bK"

_sent_by = re.compile(
    rf"SIP[ \t]*+/[ \t]*+2\.0[ \t]*+/[ \t]*+([{TOKEN_CHARS}]++)[ \t]++"
    r"([A-Za-z0-9_.-]++|\[[0-9A-Fa-f:.]++\])"
    r"(?:[ \t]*+:[ \t]*+([0-9]{1,5}))?[ \t]*+",
    re.IGNORECASE,
).fullmatch
_MAX_CACHED_LENGTH = 128
_DEFAULT_PORTS = {"tls": 5061, "ws": 80, "wss": 443}


class Via(msgspec.Struct, frozen=True):
    """One hop of the way back.

    Attributes:
        transport: lower case, as in `Hop.transport`.
        host: the sent-by host as written; IPv6 without brackets.
        port: the sent-by port; None when not written.
        params: lower-case names, values as written.
    """

    transport: str
    host: str
    port: int | None = None
    params: Params = msgspec.field(default_factory=dict)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if not is_host(host):
            raise LocalProtocolError("host of a Via is illegal")
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport.upper()} {host}{port}{format_params(self.params)}"

    def as_received(self) -> str:
        """Writes what was parsed, unchecked: it passed the parser, so it holds nothing unsafe."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        params = [
            f";{name}" if value is None else f";{name}={value}"
            for name, value in self.params.items()
        ]
        return f"SIP/2.0/{self.transport.upper()} {host}{port}{''.join(params)}"

    @property
    def branch(self) -> str | None:
        """The transaction's branch; starts with `z9hG4bK` unless the peer is of RFC 2543."""
        return self.params.get("branch")

    @property
    def received(self) -> str | None:
        """The address that the server before saw, IPv6 without brackets."""
        value = self.params.get("received")
        return value.strip("[]") if value else None

    @property
    def rport(self) -> int | None:
        """The port that the server before saw; None also for a bare `rport` flag."""
        value = self.params.get("rport")
        return parse_number(value, 65535, "rport") if value else None

    @property
    def wants_rport(self) -> bool:
        """Whether the client asked for its source port (RFC 3581 3)."""
        return "rport" in self.params

    @property
    def sent_by_port(self) -> int:
        """The port written, or the default one of the transport (RFC 3261 18.2.2)."""
        return self.port if self.port is not None else _DEFAULT_PORTS.get(self.transport, 5060)

    def stamped(self, host: str, port: int) -> Self:
        """Returns what a server makes of a topmost Via that came from `host` and `port`.

        `received` is added if the address differs from sent-by or rport is asked for (RFC 3261
        18.2.1, RFC 3581 4); values that the client claimed itself are replaced.
        """
        has_rport = "rport" in self.params
        if not has_rport and host == self.host and "received" not in self.params:
            return self
        params = dict(self.params)
        params["received"] = host
        if has_rport:
            params["rport"] = str(port)
        return type(self)(self.transport, self.host, self.port, params)


def parse_via(text: str) -> Via:
    """Parses one Via value."""
    head, semicolon, rest = text.partition(";")
    parse = _parse_cached if len(head) <= _MAX_CACHED_LENGTH else _parse_head
    transport, host, port = parse(head)
    return Via(transport, host, port, parse_params(rest) if semicolon else {})


def _parse_head(head: str) -> tuple[str, str, int | None]:
    match = _sent_by(head)
    if match is None:
        raise RemoteProtocolError("Via is malformed")
    transport, host, port = match.groups()
    return (
        transport.lower(),
        host[1:-1] if host[0] == "[" else host,
        parse_number(port, 65535, "Via port") if port is not None else None,
    )


# A neighbour's messages all start their topmost Via with the same text.
_parse_cached = lru_cache(maxsize=1024)(_parse_head)
