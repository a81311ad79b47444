"""Text of a header: start line, logical lines, canonical names (RFC 3261 7.1 to 7.3.1)."""

import re
from functools import lru_cache
from typing import NamedTuple

from parley.sip.errors import RemoteProtocolError
from parley.sip.header_names import CANONICAL, METHODS, is_token
from parley.sip.numbers import parse_number
from parley.sip.text import as_text

MAX_HEADER_BYTES = 65536
MAX_HEADERS = 256
MAX_URI_CHARS = 4096
MANDATORY = ("via", "from", "to", "call-id", "cseq")
_MAX_CACHED_NAMES = 40

_version = re.compile(r"SIP/[0-9]{1,5}\.[0-9]{1,5}", re.IGNORECASE).fullmatch
# To its end or that of the text: every quote is visited once.
_quoted_string = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL).sub
_escaped_nul = re.compile(r"\\.", re.DOTALL).sub
_unsafe = re.compile(r"[\r\n\0]").search


class RequestLine(NamedTuple):
    """Method and Request-URI, as written."""

    method: str
    uri: str


class StatusLine(NamedTuple):
    """Status and reason phrase."""

    status: int
    reason: str


def split_head(text: str) -> tuple[str, list[str], list[str]]:
    """Splits a header into its start line, canonical names and raw lines, folds kept.

    Raises:
        RemoteProtocolError: stray CR, LF or NUL, too many lines, or a line without a name.
    """
    if "\0" in text:
        text = _without_quoted_nul(text)
    lines = text.split("\r\n")
    # A lone CR or LF would be a line end to some parsers and not to others.
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        raise RemoteProtocolError("stray CR, LF or NUL in the header")
    if breaks > MAX_HEADERS:
        raise RemoteProtocolError("too many header lines", 513)
    start = lines.pop(0)
    canonical = CANONICAL
    try:
        return start, [canonical[line[: line.index(":")]] for line in lines], lines
    except (ValueError, RemoteProtocolError):
        # No name begins with a blank: a folded line ends up here.
        if "\r\n " not in text and "\r\n\t" not in text:
            raise RemoteProtocolError("header line is malformed") from None
    start, *lines = _joined([start, *lines])
    if not all(":" in line for line in lines):
        raise RemoteProtocolError("header line without a colon")
    return start, [canonical[line.partition(":")[0]] for line in lines], lines


def _without_quoted_nul(text: str) -> str:
    """Replaces NUL behind a backslash in quoted strings, where it is legal (25.1 quoted-pair).

    Nothing behind the parser, a database least of all, has to know text with NUL; the substitute
    is what a reader would show for it.
    """
    return _quoted_string(lambda match: _escaped_nul(_substitute, match[0]), text)


def _substitute(match: re.Match[str]) -> str:
    return "\ufffd" if match[0] == "\\\0" else match[0]


def _joined(lines: list[str]) -> list[str]:
    """Joins folded lines to those they continue; the fold stays in the text."""
    groups: list[list[str]] = []
    for line in lines:
        if groups and line[:1] in (" ", "\t"):
            groups[-1].append(line)
        else:
            groups.append([line])
    return ["\r\n".join(group) for group in groups]


def parse_start_line(line: str) -> RequestLine | StatusLine:
    """Parses a request line or status line.

    Raises:
        RemoteProtocolError: 505 for a SIP version other than 2.0, 414 for a long URI, else 400.
    """
    method, _, rest = line.partition(" ")
    uri, _, version = rest.partition(" ")
    if method not in METHODS and not is_token(method):
        return _parse_status_line(line)
    if version != "SIP/2.0":
        _check_version(version)
    if not uri:
        raise RemoteProtocolError("request line is malformed")
    if len(uri) > MAX_URI_CHARS:
        raise RemoteProtocolError("Request-URI is too long", 414)
    return RequestLine(method, uri)


def _parse_status_line(line: str) -> StatusLine:
    version, _, rest = line.partition(" ")
    _check_version(version)
    code, _, reason = rest.partition(" ")
    status = parse_number(code, 699, "status")
    if status < 100 or len(code) != 3 or _unsafe(reason):
        raise RemoteProtocolError("status line is malformed")
    return StatusLine(status, as_text(reason))


def _check_version(version: str) -> None:
    if version.upper() == "SIP/2.0":
        return
    if _version(version):
        raise RemoteProtocolError("SIP version is not 2.0", 505)
    raise RemoteProtocolError("start line is malformed")


def layout_of(names: list[str]) -> tuple[int, ...]:
    """Returns where Via, From, To, Call-ID, CSeq, Max-Forwards and Content-Length are; -1: absent.

    A phone sends the same names in the same order all day: the answer is cached.

    Raises:
        RemoteProtocolError: a mandatory header is missing, or a single one occurs twice.
    """
    if len(names) <= _MAX_CACHED_NAMES:
        return _find_layout_cached(tuple(names))
    return _find_layout(tuple(names))


def _find_layout(names: tuple[str, ...]) -> tuple[int, ...]:
    for name in (*MANDATORY, "max-forwards", "content-length"):
        if names.count(name) > 1 and name != "via":
            raise RemoteProtocolError(f"{name} occurs twice")
    for name in MANDATORY:
        if name not in names:
            raise RemoteProtocolError(f"{name} is missing")
    return tuple(
        names.index(name) if name in names else -1
        for name in (*MANDATORY, "max-forwards", "content-length")
    )


_find_layout_cached = lru_cache(maxsize=1024)(_find_layout)


def read_leniently(text: str) -> tuple[RequestLine | None, list[str], list[str]]:
    """Reads of a broken request what an answer needs; a line that cannot be read is left out."""
    start, *rest = _joined(text.split("\r\n"))
    method, _, tail = start.partition(" ")
    uri, _, version = tail.strip(" ").rpartition(" ")
    if not is_token(method) or version[:4].upper() != "SIP/":
        return None, [], []
    names: list[str] = []
    lines: list[str] = []
    for line in rest:
        name, colon, value = line.partition(":")
        try:
            canonical = CANONICAL[name]
        except RemoteProtocolError:
            continue
        if colon and canonical in MANDATORY and not _unsafe(value.replace("\r\n", "")):
            names.append(canonical)
            lines.append(line)
    return RequestLine(method, uri), names, lines
