"""Percent escapes of URIs (RFC 3261 19.1.2) and what may stand in a host."""

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

_UNRESERVED = "-_.!~*'()"
# RFC 3261 25.1: what each component may hold besides letters, digits and the marks above.
_SAFE = {
    "user": _UNRESERVED + "&=+$,;?/",
    "password": _UNRESERVED + "&=+$,",
    "param": _UNRESERVED + "[]/:&+$",
    "header": _UNRESERVED + "[]/?:+$",
}

is_host = re.compile(r"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]").fullmatch
_is_unreserved = re.compile(r"[A-Za-z0-9_.-]*").fullmatch


def escape(text: str, component: str) -> str:
    """Escapes what must not stand plainly in `component`: user, password, param or header."""
    if _is_unreserved(text):
        return text
    return quote_from_bytes(text.encode("utf-8", "surrogateescape"), _SAFE[component])


def unescape(text: str) -> str:
    """Resolves percent escapes; bytes that are not UTF-8 survive as surrogates."""
    if "%" not in text:
        return text
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode(
        "utf-8", "surrogateescape"
    )
