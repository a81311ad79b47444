"""What a request requires of us and of its way: extensions, and TLS for sips."""

from collections.abc import Iterable
from typing import Final

from parley.sip.hop import Hop
from parley.sip.message import Request
from parley.sip.uri import Uri

_UNDERSTOOD: Final = frozenset(("path", "outbound"))
_SECURE: Final = ("tls", "wss")


def unsupported(request: Request) -> tuple[tuple[str, str], ...] | None:
    """Returns the header of a 420 for extensions that we lack (8.2.2.3, 16.3 step 5), else None.

    Of a proxy none is supported that anybody could require.
    """
    missing = [one for one in request.values("require") if one.lower() not in _UNDERSTOOD]
    missing += request.values("proxy-require")
    return (("unsupported", ", ".join(missing)),) if missing else None


def is_secure_enough(uris: Iterable[Uri], source: Hop | None) -> bool:
    """Says whether URIs may be used over the way a request came: sips only over TLS (26.2.2)."""
    if source is not None and source.transport in _SECURE:
        return True
    return "sips" not in [uri.scheme for uri in uris]
