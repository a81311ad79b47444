"""The in-process transport: nodes of one process hand each other messages, never bytes.

A message is copied when it is sent, so neither side sees the other's later changes, and arrives in
a later turn of the event loop: all that was sent to a node within one turn comes as one batch.
Order is kept and nothing is lost; a node that is gone is reported like a refused connection.
"""

import asyncio

from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.siptransport.transport import ListenOptions, TransportSink


class LocalNetwork:
    """Host names of one process, each with the node that listens there.

    Attributes:
        listeners: by host name; ports do not matter.
    """

    def __init__(self) -> None:
        self.listeners: dict[str, LocalListener] = {}

    def add(self, listener: "LocalListener") -> None:
        """Makes a listener reachable.

        Raises:
            OSError: the name is taken.
        """
        host = listener.hop.host
        if host in self.listeners:
            raise OSError(f"local host {host} is taken")
        self.listeners[host] = listener

    def remove(self, listener: "LocalListener") -> None:
        """Makes a listener unreachable."""
        self.listeners.pop(listener.hop.host, None)


class LocalListener:
    """One node's name in the network and its inbox.

    Attributes:
        hop: the name.
    """

    def __init__(self, hop: Hop, sink: TransportSink) -> None:
        self.hop = hop
        self._sink = sink
        self._inbox: list[tuple[Request | Response, Hop]] = []
        self._loop = asyncio.get_running_loop()
        self._is_open = True

    def put(self, message: Request | Response, source: Hop) -> None:
        """Takes a message that is this listener's alone; it is read in the next turn."""
        if not self._inbox:
            self._loop.call_soon(self._drain)
        self._inbox.append((message, source))

    def close(self) -> None:
        """Drops what was not read."""
        self._is_open = False

    def _drain(self) -> None:
        inbox, self._inbox = self._inbox, []
        if not self._is_open:
            return
        sink, hop = self._sink, self.hop
        for message, source in inbox:
            sink.receive(message, source, hop)
        sink.flush()


class LocalTransport:
    """One node's part of a `LocalNetwork`."""

    name = "local"
    connection_count = 0

    def __init__(self, sink: TransportSink, network: LocalNetwork) -> None:
        self._sink = sink
        self._network = network
        self._listeners: list[LocalListener] = []

    async def listen(self, hop: Hop, options: ListenOptions) -> Hop:
        """Takes a name in the network."""
        if options.tls is not None or options.advertised is not None:
            raise ValueError("the local transport has neither TLS nor advertised names")
        listener = LocalListener(hop._replace(flow=0), self._sink)
        self._network.add(listener)
        self._listeners.append(listener)
        return listener.hop

    def sent_by(self, hop: Hop) -> Hop | None:
        """Returns the first name taken."""
        return self._listeners[0].hop if self._listeners else None

    def send(self, message: Request | Response, hop: Hop) -> None:
        """Puts a copy into the inbox of the node that listens at the hop's host."""
        network = self._network.listeners
        if hop.host in network and self._listeners:
            network[hop.host].put(message.copy(), self._listeners[0].hop)
        else:
            self._sink.send_failed(message, hop)

    def stop_listening(self, listener: Hop) -> None:
        """Gives a name back."""
        for one in self._listeners:
            if one.hop == listener:
                self._network.remove(one)

    def flows(self, listener: Hop) -> list[Hop]:
        """There are no connections."""
        return []

    def close_flow(self, flow: Hop) -> None:
        """There are no connections."""

    def vouch_for(self, flow: Hop) -> None:
        """There are no connections."""

    def sweep(self, now: float) -> None:
        """Nothing is ever idle here."""

    async def aclose(self) -> None:
        """Gives the names back."""
        for listener in self._listeners:
            self._network.remove(listener)
            listener.close()
        self._listeners.clear()
