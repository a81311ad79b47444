"""Unsigned decimal numbers of headers, bounded."""

from parley.sip.errors import RemoteProtocolError

MAX_CSEQ = 2**31 - 1
MAX_SECONDS = 2**32 - 1


def parse_number(text: str, maximum: int, what: str) -> int:
    """Reads 1*DIGIT up to `maximum`; int() alone would take signs, underscores and more scripts.

    Raises:
        RemoteProtocolError: not a number, or too large.
    """
    if len(text) <= 10 and text.isdigit() and text.isascii():
        number = int(text)
        if number <= maximum:
            return number
    raise RemoteProtocolError(f"{what} is not a number in range")
