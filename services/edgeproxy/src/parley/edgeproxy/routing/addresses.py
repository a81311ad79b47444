"""The addresses by which an edge is known: one per transport outside, one inside.

They are written into Record-Route and Path (RFC 5658: two values, one for each side) and
recognised in Route and Request-URI.
"""

from zlib import crc32

from parley.sip.hop import Hop
from parley.sip.uri import SipUri, TelUri


class EdgeAddresses:
    """What this edge is called by phones and by call managers; filled while listeners open.

    Attributes:
        inside: the hop that call managers send to; None before it listens.
        outside: the hop that phones are told, by transport.
    """

    __slots__ = (
        "_closed",
        "_inside_end",
        "_outside_ends",
        "_outside_places",
        "_own",
        "_own_hosts",
        "_udp_number",
        "inside",
        "outside",
    )

    def __init__(self) -> None:
        self.inside: Hop | None = None
        self.outside: dict[str, Hop] = {}
        self._inside_end = ""
        self._outside_ends: dict[str, str] = {}
        self._outside_places: set[tuple[str, int]] = set()
        self._own: set[tuple[str, int]] = set()
        self._own_hosts: set[str] = set()
        self._closed: set[str] = set()
        self._udp_number = 0

    def add_outside(self, hop: Hop) -> None:
        """Adds an advertised hop; the first of a transport is the one that phones are told."""
        self._note(hop)
        self._outside_places.add((hop.host.lower(), hop.port))
        self.outside.setdefault(hop.transport, hop)
        if hop.transport == "udp" and not self._udp_number:
            # Never 0, which older tokens hold.
            self._udp_number = crc32(f"{hop.host} {hop.port}".encode()) | 1
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
        """Says whether phones can be reached from this edge over the transport."""
        return transport in self.outside and transport not in self._closed

    def close_outside(self, transport: str) -> None:
        """Notes that phones are not reached from here over the transport any more."""
        self._closed.add(transport)

    def shared_flow(self, flow: Hop) -> Hop:
        """Returns a flow as tokens hold it.

        A UDP flow is our public address, whose number is the same at every edge that shares it; a
        connection is its own edge's alone.
        """
        if flow.transport != "udp":
            return flow
        return Hop("udp", flow.host, flow.port, self._udp_number)

    def own_flow(self, flow: Hop) -> Hop | None:
        """Returns the flow that a token holds as ours; None when it is of another address."""
        if flow.transport != "udp" or not flow.flow:
            return flow
        return flow._replace(flow=0) if flow.flow == self._udp_number else None

    def is_outside(self, uri: SipUri | TelUri) -> bool:
        """Says whether a URI is what phones are told of this edge, on any transport."""
        if not isinstance(uri, SipUri):
            return False
        return (uri.host, uri.port or 0) in self._outside_places

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
