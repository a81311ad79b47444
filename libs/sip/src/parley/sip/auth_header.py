"""Challenges and credentials: a scheme and its comma-separated parameters (RFC 3261 25.1)."""

import re

import msgspec

from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.header_names import TOKEN_CHARS, is_token
from parley.sip.params import quote, unquote

_scheme = re.compile(rf"([{TOKEN_CHARS}]++)[ \t]++").match
_pair = re.compile(
    rf"[ \t]*+([{TOKEN_CHARS}]++)[ \t]*+=[ \t]*+"
    r'("(?:[^"\\]|\\.)*+"|[^\s",]++)[ \t]*+(?:,|\Z)',
    re.DOTALL,
).match
# What phones really send, without escapes and odd blanks: checked and read in two sweeps.
_is_usual = re.compile(rf'(?:[{TOKEN_CHARS}]++=(?:"[^"\\]*+"|[^\s",]++)(?:, ?|\Z))++').fullmatch
_usual_pairs = re.compile(rf'([{TOKEN_CHARS}]++)=(?:"([^"\\]*+)"|([^\s",]++))').findall
_unsafe = re.compile(r"[\r\n\0]").search

# RFC 3261 25.1, RFC 7616 3.3 and 3.4: these are written without quotes, the others with.
_BARE = frozenset(("algorithm", "stale", "nc"))


class AuthParams(msgspec.Struct, frozen=True):
    """One WWW-Authenticate, Authorization or similar value.

    Attributes:
        scheme: as written, "Digest" mostly.
        params: lower-case names, values without quotes.
        is_challenge: qop is quoted in a challenge and bare in credentials.
    """

    scheme: str
    params: dict[str, str]
    is_challenge: bool = False

    def __str__(self) -> str:
        parts = []
        for name, value in self.params.items():
            if not is_token(name) or _unsafe(value):
                raise LocalProtocolError("authentication parameter must not go out")
            bare = name in _BARE or (name == "qop" and not self.is_challenge)
            if bare and not is_token(value):
                raise LocalProtocolError(f"authentication parameter {name} is not a token")
            parts.append(f"{name}={value if bare else quote(value)}")
        return f"{self.scheme} {', '.join(parts)}"


def parse_auth_params(text: str) -> AuthParams:
    """Parses one value.

    Raises:
        RemoteProtocolError: malformed, or a parameter occurs twice.
    """
    match = _scheme(text)
    if match is None:
        raise RemoteProtocolError("authentication scheme is missing")
    start = match.end()
    if _is_usual(text, start):
        pairs = _usual_pairs(text, start)
        params = {name.lower(): quoted or bare for name, quoted, bare in pairs}
        if len(params) != len(pairs):
            raise RemoteProtocolError("authentication parameter occurs twice")
    else:
        params = _parse_with_care(text, start)
    return AuthParams(match[1], params)


def _parse_with_care(text: str, position: int) -> dict[str, str]:
    params: dict[str, str] = {}
    while position < len(text):
        pair = _pair(text, position)
        if pair is None:
            raise RemoteProtocolError("authentication parameter is malformed")
        name = pair[1].lower()
        if name in params:
            raise RemoteProtocolError("authentication parameter occurs twice")
        params[name] = unquote(pair[2])
        position = pair.end()
    if not params:
        raise RemoteProtocolError("authentication parameters are missing")
    return params
