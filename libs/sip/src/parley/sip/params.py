"""Generic header parameters (`;name=value`, RFC 3261 25.1) and quoted strings.

Values stay as written, quotes included, so that they go out as they came in; `unquote` gives the
text of one.
"""

import re
from collections.abc import Mapping

from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.header_names import TOKEN_CHARS, is_token
from parley.sip.value_list import quoted_end

Params = Mapping[str, str | None]

# Parameters without blanks, quotes or anything that needs care.
_is_plain = re.compile(rf"[{TOKEN_CHARS}:\[\]/@?&$;=]*").fullmatch
_is_plain_value = re.compile(rf"[{TOKEN_CHARS}:\[\]/@?&$=]+").fullmatch
# Spares the common names a check.
_KNOWN = frozenset(("branch", "rport", "received", "tag", "transport", "lr", "expires", "q", "ob"))
_escape = re.compile(r"\\(.)", re.DOTALL).sub
_semicolon_or_quote = re.compile(r'[;"]').search


def parse_params(text: str) -> dict[str, str | None]:
    """Parses what follows the first semicolon; names come out in lower case.

    Raises:
        RemoteProtocolError: malformed, or a name occurs twice (RFC 3261 7.3.1).
    """
    items = text.split(";") if _is_plain(text) else _split_quoted(text)
    params: dict[str, str | None] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if name not in _KNOWN:
            name = name.lower()
            if not is_token(name):
                raise RemoteProtocolError("parameter name is malformed")
        if not value and equals:
            raise RemoteProtocolError("parameter value is missing")
        params[name] = value or None
    if len(params) != len(items):
        raise RemoteProtocolError("parameter occurs twice")
    return params


def _split_quoted(text: str) -> list[str]:
    items = []
    start = position = 0
    while match := _semicolon_or_quote(text, position):
        if match[0] == ";":
            items.append(_tidy(text[start : match.start()]))
            start = position = match.end()
        else:
            position = quoted_end(text, match.start())
    items.append(_tidy(text[start:]))
    return items


def _tidy(item: str) -> str:
    name, equals, value = item.partition("=")
    value = value.strip(" \t")
    if equals and not _is_plain_value(value) and not _is_quoted(value):
        raise RemoteProtocolError("parameter value is malformed")
    return name.strip(" \t") + equals + value


def _is_quoted(value: str) -> bool:
    return value.startswith('"') and quoted_end(value, 0) == len(value)


def format_params(params: Params) -> str:
    """Writes parameters as `;name=value`; values that are neither plain nor quoted are refused."""
    parts = []
    for name, value in params.items():
        if not is_token(name):
            raise LocalProtocolError("parameter name is not a token")
        if value is None:
            parts.append(f";{name}")
            continue
        if not _is_plain_value(value) and not _is_safe_quoted(value):
            raise LocalProtocolError(f"value of parameter {name} needs quotes")
        parts.append(f";{name}={value}")
    return "".join(parts)


def _is_safe_quoted(value: str) -> bool:
    try:
        return _is_quoted(value)
    except RemoteProtocolError:
        return False


def quote(text: str) -> str:
    """Returns `text` as a quoted string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(text: str) -> str:
    """Returns the text of a quoted string; anything else comes back as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    return _escape(r"\1", inner) if "\\" in inner else inner
