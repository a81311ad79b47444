"""Where a phone that redirects a call wants it to go (RFC 3261 8.1.3.4, 21.3).

The targets are told to the caller, who decides. They come from a phone, so nothing passes but a
URI to call and its weight: no name, no method, no headers that the caller's phone would send.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from parley.sip.errors import ProtocolError, RemoteProtocolError
from parley.sip.headers import NameAddr, parse_name_addr
from parley.sip.message import Response
from parley.sip.uri import SipUri

MOVED: Final = 302
MAX_TARGETS: Final = 5
_FOLLOWED: Final = frozenset((300, 301, MOVED))
"""Not 305 (RFC 3261 21.3.4: a proxy of the phone's choice) and 380, which need no target at all."""


def targets_of(response: Response) -> tuple[str, ...]:
    """The Contact values to tell a caller; empty when there is none to be told."""
    if response.status not in _FOLLOWED:
        return ()
    try:
        values = response.values("contact")
    except RemoteProtocolError:
        return ()
    return tuple(_usable(values[:MAX_TARGETS]))


def _usable(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        try:
            contact = parse_name_addr(value)
            uri = contact.uri
            if isinstance(uri, SipUri):
                params = {name: uri.params[name] for name in uri.params if name != "method"}
                uri = SipUri(uri.scheme, uri.user, uri.host, uri.port, params)
            weight = {"q": contact.params["q"]} if "q" in contact.params else None
            yield str(NameAddr(uri, params=weight))
        except ProtocolError:
            continue
