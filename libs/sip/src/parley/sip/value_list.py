"""Comma-separated header values (RFC 3261 7.3.1), respecting quotes and angle brackets.

Each scan visits a character once: hostile input of any shape stays linear.
"""

import re

from parley.sip.errors import RemoteProtocolError

_next_special = re.compile(r'[,"<]').search
_quote_or_escape = re.compile(r'["\\]').search


def quoted_end(text: str, start: int) -> int:
    """Returns the index after the quoted string that opens at `start`."""
    position = start + 1
    while match := _quote_or_escape(text, position):
        if match[0] == '"':
            return match.end()
        position = match.end() + 1
    raise RemoteProtocolError("quoted string is not closed")


def value_end(text: str, start: int = 0) -> int:
    """Returns the index of the comma that ends the value at `start`, or the length of `text`."""
    while match := _next_special(text, start):
        at = match.start()
        if match[0] == ",":
            return at
        if match[0] == '"':
            start = quoted_end(text, at)
        else:
            start = text.find(">", at) + 1
            if not start:
                raise RemoteProtocolError("angle bracket is not closed")
    return len(text)


def split_values(text: str) -> list[str]:
    """Splits one unfolded header value at its top-level commas; empty items are dropped."""
    if "," not in text:
        return [text] if text else []
    if '"' not in text and "<" not in text:
        return [value for item in text.split(",") if (value := item.strip(" \t"))]
    values = []
    start = 0
    while start <= len(text):
        end = value_end(text, start)
        if value := text[start:end].strip(" \t"):
            values.append(value)
        start = end + 1
    return values
