"""One SIP neighbour: how and where a message came in or goes out."""

from typing import NamedTuple


class Hop(NamedTuple):
    """A transport address, or one open connection to it.

    Attributes:
        transport: "udp", "tcp", "tls", "ws", "wss" or "local", lower case.
        host: IP address or host name, IPv6 without brackets.
        port: 0 to 65535.
        flow: 0 for any connection (reuse or open); otherwise exactly that open connection.
    """

    transport: str
    host: str
    port: int
    flow: int = 0

    @property
    def is_reliable(self) -> bool:
        """Whether the transport retransmits by itself (RFC 3261 17: all but UDP)."""
        return self.transport != "udp"
