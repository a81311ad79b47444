"""Header names: canonical form for lookups, wire form for output.

The canonical form is the lower-case long name. One bounded dictionary maps name text as received
(compact forms, any case, blanks before the colon) to it, so that a header cannot be smuggled past
a check by its spelling and the common case costs one lookup.
"""

import re
import sys
from collections.abc import Iterable

from parley.sip.errors import LocalProtocolError, RemoteProtocolError

TOKEN_CHARS = r"A-Za-z0-9.!%*_+`'~\-"  # noqa: S105  # characters, not a secret
is_token = re.compile(f"[{TOKEN_CHARS}]+").fullmatch

# IANA registry "Header Fields", column compact.
_COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
_COMMON = """
    Accept Accept-Encoding Accept-Language Alert-Info Allow Allow-Events Authorization Call-ID
    Call-Info Contact Content-Disposition Content-Encoding Content-Length Content-Type CSeq
    Date Diversion Event Expires From History-Info Max-Forwards MIME-Version Min-Expires
    Min-SE Organization P-Asserted-Identity P-Preferred-Identity Path Privacy Proxy-Authenticate
    Proxy-Authorization Proxy-Require RAck Reason Record-Route Refer-To Referred-By Replaces
    Require Retry-After Route RSeq Server Service-Route Session-Expires Session-ID SIP-ETag
    SIP-If-Match Subject Subscription-State Supported Timestamp To Unsupported User-Agent Via
    Warning WWW-Authenticate X-Parley-Call X-Parley-Source X-Parley-Tenant
""".split()  # noqa: SIM905  # a table of 60 words reads best as text
_MAX_CACHED = 2048
_MAX_CACHED_LENGTH = 64


class _CanonicalNames(dict[str, str]):
    """Name text before the colon -> canonical name; forgets strange names when full."""

    def __init__(self) -> None:
        super().__init__()
        self._seed()

    def _seed(self) -> None:
        for name in _COMMON:
            canonical = sys.intern(name.lower())
            self[name] = self[canonical] = canonical
        for short, canonical in _COMPACT.items():
            self[short] = self[short.upper()] = sys.intern(canonical)

    def __missing__(self, text: str) -> str:
        name = text.rstrip(" \t").lower()
        if not is_token(name):
            raise RemoteProtocolError("header name is not a token")
        name = sys.intern(_COMPACT.get(name, name))
        if len(text) <= _MAX_CACHED_LENGTH:
            if len(self) >= _MAX_CACHED:
                self.clear()
                self._seed()
            self[text] = name
        return name


class _WireNames(dict[str, str]):
    """Canonical name -> "Name: " as sent; refuses names that are not canonical."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__((name.lower(), f"{name}: ") for name in names)

    def __missing__(self, name: str) -> str:
        if name != name.lower() or name in _COMPACT or not is_token(name):
            raise LocalProtocolError(f"not a canonical header name: {name[:64]!r}")
        wire = "-".join(part.capitalize() for part in name.split("-")) + ": "
        if len(self) < _MAX_CACHED:
            self[name] = wire
        return wire


CANONICAL = _CanonicalNames()
WIRE = _WireNames(_COMMON)

# Methods of the IANA registry; others are legal too.
METHODS = frozenset(
    {
        *("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "UPDATE", "INFO"),
        *("SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER", "MESSAGE"),
    }
)

# Commas separate parameters, or belong to the text, in these: one line is one value.
UNSPLIT = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "www-authenticate",
        "proxy-authenticate",
        "authentication-info",
        "proxy-authentication-info",
        "date",
        "from",
        "to",
        "subject",
        "organization",
        "user-agent",
        "server",
    }
)
