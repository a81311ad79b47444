"""What a node allows its peers and itself."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Bounds of sockets and connections; sizes in bytes, times in seconds.

    Attributes:
        datagrams_per_wakeup: how many datagrams are read before other work gets its turn.
        messages_per_turn: how many messages of one connection are handled before others get theirs.
        socket_buffer_bytes: asked of the kernel for each UDP socket and direction.
        datagram_backlog: datagrams kept while the kernel's send buffer is full; then dropped.
        connections: accepted connections of one transport, but of services, and as many that it
            opens.
        connections_per_source: accepted connections of one source (`parley.service.sources`).
        strangers: accepted connections whose peer, and his address, proved nothing yet; above it
            the one that came first is cut off. Much less than `connections`: the rest is kept for
            the known.
        strangers_per_source: the same of one source; above it no more are accepted until the one
            that came first has had some seconds.
        services: accepted connections of one transport's inside listeners.
        unproved_services: those of them that have not proved yet to be a service's; above it the
            one that came first is cut off. Much less than `services`.
        connect_timeout_s: for TCP connect and TLS handshake together.
        accept_timeout_s: an accepted connection must bring a whole message or a keep-alive by then;
            a public one must have proved itself.
        message_timeout_s: a message that began must be complete by then.
        idle_timeout_s: a connection that brought nothing for so long is closed.
        write_buffer_bytes: a peer that lets more pile up is too slow and is cut off.
        stranger_write_buffer_bytes: the same for a stranger.
        connect_backlog: messages kept for a connection that is being opened.
    """

    datagrams_per_wakeup: int = 64
    messages_per_turn: int = 16
    socket_buffer_bytes: int = 4 * 1024 * 1024
    datagram_backlog: int = 4096
    connections: int = 65536
    connections_per_source: int = 4096
    strangers: int = 2048
    strangers_per_source: int = 64
    services: int = 4096
    unproved_services: int = 256
    connect_timeout_s: float = 5.0
    accept_timeout_s: float = 30.0
    message_timeout_s: float = 30.0
    idle_timeout_s: float = 3900.0
    write_buffer_bytes: int = 1024 * 1024
    stranger_write_buffer_bytes: int = 64 * 1024
    connect_backlog: int = 256

    def of_services(self) -> "TransportLimits":
        """The bounds that hold for the connections of services, whatever source they share."""
        return replace(
            self,
            connections=self.services,
            connections_per_source=self.services,
            strangers=self.unproved_services,
            strangers_per_source=self.services,
        )


DEFAULT_LIMITS = TransportLimits()
