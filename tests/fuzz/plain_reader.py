"""A second reader of SIP messages, small and slow, by other means than the product's.

It knows lines, folds, names, lists, Via, name-addr and SIP URIs, and nothing of what a message must
have. Where both can read something, they must read the same.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = r"[A-Za-z0-9.!%*_+`'~-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_LINE = re.compile(rf"({_TOKEN})[ \t]*:((?:[^\r\n]|\r\n[ \t])*)", re.DOTALL)
_ITEM = re.compile(rf'(?:{_QUOTED}|<[^>]*>|[^,"<])+', re.DOTALL)
_PARAM = re.compile(rf";[ \t]*({_TOKEN})[ \t]*(?:=[ \t]*({_QUOTED}|[^\s\";,]+))?[ \t]*", re.DOTALL)
_VIA = re.compile(
    rf"SIP[ \t]*/[ \t]*2\.0[ \t]*/[ \t]*({_TOKEN})[ \t]+(\[[^\]]+\]|[A-Za-z0-9_.-]+)"
    rf"(?:[ \t]*:[ \t]*(\d+))?[ \t]*((?:;.*)?)",
    re.IGNORECASE | re.DOTALL,
)
_BRACKETED = re.compile(rf"({_QUOTED}|[^\"<>]*)[ \t]*<([^<>\"\s]+)>[ \t]*((?:;.*)?)", re.DOTALL)
_SIP_URI = re.compile(
    r"(sips?):(?:([^@:]+)(?::([^@]*))?@)?(\[[^\]]+\]|[A-Za-z0-9_.-]+)(?::(\d+))?(?:;[^?]*)?(?:\?.*)?",
    re.IGNORECASE | re.DOTALL,
)
_SHORT = {
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


class Read(NamedTuple):
    """A message: start line, canonical names with unfolded values, and what follows them."""

    start: str
    headers: list[tuple[str, str]]
    rest: bytes


def read(data: bytes) -> Read | None:
    """Cuts a datagram into lines; None when that cannot be done without doubt."""
    head, end, rest = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    text = head.decode("utf-8", "surrogateescape")
    start, _, text = text.partition("\r\n")
    if not end or re.search(r"[\r\n\0]", start):
        return None
    headers = []
    while text:
        line = _LINE.match(text)
        if line is None or "\0" in line[0]:
            return None
        name = line[1].lower()
        headers.append((_SHORT.get(name, name), unfolded(line[2])))
        text = text[line.end() :]
        if text and not text.startswith("\r\n"):
            return None
        text = text[2:]
    return Read(start, headers, rest)


def unfolded(value: str) -> str:
    """The value on one line."""
    return " ".join(part.strip(" \t") for part in value.split("\r\n")).strip(" \t")


def items(value: str) -> list[str] | None:
    """The values of a list; None when a quote or bracket is open."""
    if _ITEM.sub("", value).strip(","):
        return None
    return [text for item in _ITEM.findall(value) if (text := item.strip(" \t"))]


def first_item(value: str) -> str:
    """The first value of a list, whatever comes behind it."""
    match = _ITEM.match(value) if "," in value else None
    return value if match is None else match[0].strip(" \t")


def params(text: str) -> dict[str, str | None] | None:
    """Header parameters; None for what is none."""
    found: dict[str, str | None] = {}
    while text:
        match = _PARAM.match(text)
        if match is None:
            return None
        found[match[1].lower()] = match[2]
        text = text[match.end() :]
    return found


def via(value: str) -> tuple[str, str, int | None, dict[str, str | None]] | None:
    """Transport, host, port and parameters of a Via."""
    match = _VIA.fullmatch(value)
    found = None if match is None else params(match[4])
    if match is None or found is None:
        return None
    return match[1].lower(), match[2].strip("[]"), int(match[3]) if match[3] else None, found


def name_addr(value: str) -> tuple[str, str, dict[str, str | None]] | None:
    """Display name, URI and parameters of a value with angle brackets."""
    match = _BRACKETED.fullmatch(value)
    found = None if match is None else params(match[3])
    if match is None or found is None:
        return None
    name = match[1].strip(" \t")
    if name.startswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1], flags=re.DOTALL)
    return name, match[2], found


def sip_uri(text: str) -> tuple[str, str | None, str, int | None] | None:
    """Scheme, user with its escapes, host and port."""
    match = _SIP_URI.fullmatch(text)
    if match is None:
        return None
    port = int(match[5]) if match[5] else None
    return match[1].lower(), match[2], match[4].strip("[]").lower(), port


_LENGTH = re.compile(rb"\r\n(?:l|content-length)[ \t]*:[ \t]*(\d+)[ \t]*(?:\r\n|\Z)", re.IGNORECASE)


def framed(data: bytes) -> Iterator[bytes]:
    """The messages of a stream whose lengths are all written plainly."""
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        length = re.search(
            rb"\r\n(?:l|content-length)[ \t]*:[ \t]*(\d+)[ \t]*(?:\r\n|\Z)", head, re.I
        )
        if not end or length is None:
            return
        size = int(length[1])
        yield head + end + rest[:size]
        data = rest[size:]
