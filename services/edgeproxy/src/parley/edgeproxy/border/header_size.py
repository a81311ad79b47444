"""How large a header may be that comes from outside: well below what a connection inside takes.

An edge adds lines to what it sends on, and a header beyond a parser's bounds ends its connection
(`sip/framing.py`): between services that is the connection of all their other calls.
"""

from typing import Final

from parley.sip.errors import RemoteProtocolError
from parley.sip.message import MAX_HEADER_BYTES, MAX_HEADERS, Message

MAX_LINES: Final = MAX_HEADERS // 2
MAX_BYTES: Final = MAX_HEADER_BYTES // 2
MAX_ROUTES: Final = 32
"""Values of Record-Route: each becomes a line of what is sent within the dialog (12.2.1.1)."""


def is_header_small(message: Message) -> bool:
    """Says whether a header still fits once our own lines stand beside it.

    Raises:
        RemoteProtocolError: Record-Route cannot be read.
    """
    lines, size = message.header_size
    if lines > MAX_LINES or size > MAX_BYTES:
        return False
    return not message.has("record-route") or len(message.values("record-route")) <= MAX_ROUTES


def check_header_size(message: Message) -> None:
    """Refuses a header that is not small.

    Raises:
        RemoteProtocolError: 513; 400 when Record-Route cannot be read.
    """
    if not is_header_small(message):
        raise RemoteProtocolError("header is too large", 513)
