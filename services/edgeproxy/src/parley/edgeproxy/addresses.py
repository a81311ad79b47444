"""The addresses by which an edge is known: one per transport outside, one inside.

They are written into Record-Route and Path (RFC 5658: two values, one for each side) and
recognised in Route and Request-URI.
"""

from parley.sip.hop import Hop
from parley.sip.uri import SipUri, TelUri


class EdgeAddresses:
    """What this edge is called by phones and by call managers; filled while listeners open.

    Attributes:
        inside: the hop that call managers send to; None before it listens.
        outside: the hop that phones are told, by transport.
    """

    __slots__ = ("_inside_end", "_outside_ends", "_own", "_own_hosts", "inside", "outside")

    def __init__(self) -> None:
        self.inside: Hop | None = None
        self.outside: dict[str, Hop] = {}
        self._inside_end = ""
        self._outside_ends: dict[str, str] = {}
        self._own: set[tuple[str, int]] = set()
        self._own_hosts: set[str] = set()

    def add_outside(self, hop: Hop) -> None:
        """Adds an advertised hop; the first of a transport is the one that phones are told."""
        self._note(hop)
        self.outside.setdefault(hop.transport, hop)
        self._outside_ends.setdefault(hop.transport, _uri_end(hop))

    def set_inside(self, hop: Hop) -> None:
        """Sets the hop that call managers are told."""
        self.inside = hop
        self._note(hop)
        self._inside_end = _uri_end(hop)

    def _note(self, hop: Hop) -> None:
        host = hop.host.lower()
        self._own.add((host, hop.port))
        self._own_hosts.add(host)

    def is_inside(self, listener: Hop | None) -> bool:
        """Says whether a message that came in by this listener is a call manager's."""
        return listener is not None and (listener.transport == "local" or listener == self.inside)

    def inside_route(self, token: str) -> str:
        """Returns a Record-Route or Path value for call managers."""
        return f"<sip:{token}{self._inside_end}"

    def outside_route(self, token: str, transport: str) -> str:
        """Returns a Record-Route value for a phone on this transport."""
        return f"<sip:{token}{self._outside_ends[transport]}"

    def has_outside(self, transport: str) -> bool:
        """Says whether phones can reach this edge over the transport."""
        return transport in self.outside

    def is_own_host(self, uri: SipUri | TelUri) -> bool:
        """Says whether a URI names this edge itself rather than a domain."""
        if not isinstance(uri, SipUri) or uri.host not in self._own_hosts:
            return False
        # Phones leave the port out even where it is not the default one.
        return uri.port is None or (uri.host, uri.port) in self._own

    def is_own_sent_by(self, host: str, port: int) -> bool:
        """Says whether a Via was written by this edge."""
        return (host.lower(), port) in self._own


def _uri_end(hop: Hop) -> str:
    host = f"[{hop.host}]" if ":" in hop.host else hop.host
    port = f":{hop.port}" if hop.port else ""
    transport = "" if hop.transport == "udp" else f";transport={hop.transport}"
    return f"@{host}{port}{transport};lr>"
