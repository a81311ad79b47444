"""Bytes that are no UTF-8 stay outside: inside, text becomes JSON, msgpack and database columns.

SIP is UTF-8 (RFC 3261 7.3.1), yet phones exist that write a display name in ISO 8859-1, so such a
line is read as that. Where an answer must repeat the bytes, or a route is read from them, nothing
but ASCII is allowed anyway (25.1), and the request is refused (with tags, by the parser).
"""

from typing import Final

from parley.sip.errors import RemoteProtocolError
from parley.sip.message import Message, Request, Response
from parley.sip.text import as_text, is_text
from parley.sip.uri import SipUri

_EXACT: Final = ("via", "call-id", "cseq", "route", "record-route")


def make_text(request: Request) -> None:
    """Makes every header line of an outsider's request text that can be encoded.

    Raises:
        RemoteProtocolError: 400, bytes that are no UTF-8 stand where they must not.
    """
    _check_uri(request)
    if request.is_ascii:
        return
    for name in _EXACT:
        if not all(map(is_text, request.get_all(name))):
            raise RemoteProtocolError(f"{name} is not UTF-8")
    _reread(request)


def make_response_text(response: Response) -> None:
    """Does so with a response; none is refused, for something waits for it."""
    if not response.is_ascii:
        _reread(response)


def _reread(message: Message) -> None:
    for name in dict.fromkeys(message.header_names()):
        values = message.get_all(name)
        if not all(map(is_text, values)):
            message.remove(name)
            message.extend(name, map(as_text, values))


def _check_uri(request: Request) -> None:
    # Unescaped it may be what the parser refuses when it is written plainly.
    text = request.uri_text
    if "%" in text and isinstance(request.uri, SipUri) and not is_text(request.uri.user or ""):
        raise RemoteProtocolError("Request-URI is not UTF-8")
