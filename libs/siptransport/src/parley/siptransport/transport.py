"""The seam between a node and its transports: UDP, TCP, TLS, local; WS and WSS fit it too.

A transport turns messages into what its wire carries and back; it knows neither transactions nor
the node. Both directions are synchronous: `send` never blocks and never raises, what fails later
is reported to the sink. Exactly one report, or none, follows each message.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from parley.sip.errors import ParseError
from parley.sip.hop import Hop
from parley.sip.message import Request, Response

Peer: TypeAlias = tuple[str, int]


class TransportSink(Protocol):
    """What a transport reports to; a node. `flush` follows each burst of reports."""

    @property
    def hears(self) -> Callable[[str], bool] | None:
        """Asked with the address of each datagram before it is parsed."""
        ...

    def receive(self, message: Request | Response, source: Hop, listener: Hop) -> None:
        """Takes a message that was parsed."""
        ...

    def receive_malformed(self, error: ParseError, source: Hop, listener: Hop) -> None:
        """Takes what was not a message; there may be a request in it that can be answered."""
        ...

    def admits_source(self, source: Hop, listener: Hop) -> bool:
        """Says whether a source may have an answer to what is no SIP message."""
        ...

    def is_known(self, host: str) -> bool:
        """Says whether somebody at this address is no stranger."""
        ...

    def send_failed(self, message: Request | Response, hop: Hop) -> None:
        """Takes back a message that did not leave."""
        ...

    def flow_closed(self, flow: Hop, alias: Hop) -> None:
        """Learns that a connection which was open is gone.

        Args:
            flow: the connection.
            alias: the hop without flow that it was used for; else the connection itself.
        """
        ...

    def flush(self) -> None:
        """Acts on all that was reported since the last flush."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenOptions:
    """How a listener is opened.

    Attributes:
        tls: server context of secure transports.
        advertised: host that peers reach us by, where it is not the local address.
        is_shared: other processes may listen on the same address and port (SO_REUSEPORT); the
            kernel gives each peer to one of them, and to another one when that is gone.
        is_home: the Via of what leaves on connections that we open names this listener; without
            such a one, the first.
        is_inside: only services of the platform may connect, and prove it (`NodePolicy.inside`).
        is_public: anybody can reach it, so its peers are strangers until they prove themselves.
    """

    tls: ssl.SSLContext | None = None
    advertised: str | None = None
    is_shared: bool = False
    is_home: bool = False
    is_inside: bool = False
    is_public: bool = False


DEFAULT_OPTIONS = ListenOptions()


class Transport(Protocol):
    """One transport of a node, with all its listeners and connections."""

    name: str
    """As in `Hop.transport`."""

    async def listen(self, hop: Hop, options: ListenOptions) -> Hop:
        """Opens a listener.

        Args:
            hop: local address; port 0 picks one.
            options: how.

        Returns:
            The hop that peers use: advertised host and real port.

        Raises:
            OSError: the address cannot be bound.
            ValueError: the arguments contradict each other.
        """
        ...

    def sent_by(self, hop: Hop) -> Hop | None:
        """Returns our own address on the way to a hop; None without a listener."""
        ...

    def send(self, message: Request | Response, hop: Hop) -> None:
        """Sends a message or reports `send_failed`, at once or later."""
        ...

    def stop_listening(self, listener: Hop) -> None:
        """Takes nothing new at a listener any more; a UDP socket is closed.

        Args:
            listener: as `listen` returned it; an unknown one is no error.
        """
        ...

    def flows(self, listener: Hop) -> list[Hop]:
        """Returns the connections accepted at a listener, as hops; none where there are none."""
        ...

    def close_flow(self, flow: Hop) -> None:
        """Closes a connection after what was written; one that is gone is no error."""
        ...

    def vouch_for(self, flow: Hop) -> None:
        """Learns that the peer of a connection proved who it is; one that is gone is no error."""
        ...

    def sweep(self, now: float) -> None:
        """Closes what was idle for too long; called every few seconds."""
        ...

    @property
    def connection_count(self) -> int:
        """Connections open; 0 for transports without."""
        ...

    async def aclose(self) -> None:
        """Closes every socket and ends every task; no reports follow."""
        ...
