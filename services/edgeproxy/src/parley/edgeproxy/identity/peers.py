"""Trusted peers: neighbours known by address, whose INVITEs need no digest.

A peer is `ip[:port]=domain`; without a port any source port of that address is meant. The address
of a UDP packet can be forged, so a peer belongs behind a network that filters its address.
"""

from collections.abc import Iterable
from ipaddress import ip_address

from parley.sip.hop import Hop

_ANY_PORT = 0


def parse_peers(texts: Iterable[str]) -> dict[tuple[str, int], str]:
    """Reads peers; the result maps (address, port or 0) to a domain.

    Raises:
        ValueError: a text is no peer, or two contradict each other.
    """
    peers: dict[tuple[str, int], str] = {}
    for text in texts:
        address, equals, domain = text.partition("=")
        if not equals or not domain.strip():
            raise ValueError(f"{text!r} is not ip[:port]=domain")
        key = _parse_address(address.strip(), text)
        if peers.setdefault(key, domain.strip().lower()) != domain.strip().lower():
            raise ValueError(f"{address} is given two domains")
    return peers


def _parse_address(address: str, text: str) -> tuple[str, int]:
    host, port = address, ""
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        port = rest.removeprefix(":")
    elif address.count(":") == 1:
        host, _, port = address.partition(":")
    try:
        parsed = str(ip_address(host))
    except ValueError:
        raise ValueError(f"{text!r} does not begin with an IP address") from None
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} has no port between 1 and 65535")
    return parsed, int(port) if port else _ANY_PORT


class TrustedPeers:
    """Finds the domain of a peer by where a request came from."""

    __slots__ = ("_peers",)

    def __init__(self, texts: Iterable[str]) -> None:
        self._peers = parse_peers(texts)

    @property
    def hosts(self) -> frozenset[str]:
        """Their addresses."""
        return frozenset(host for host, _ in self._peers)

    def domain_of(self, source: Hop) -> str | None:
        """Returns the domain whose peer this is; None for everyone else."""
        if not self._peers:
            return None
        exact = self._peers.get((source.host, source.port))
        return exact if exact is not None else self._peers.get((source.host, _ANY_PORT))
