"""TCP and TLS: listeners, outgoing connections and their reuse (RFC 3261 18, RFC 5923).

A hop with a flow names one open connection. A hop without reuses any connection to that host and
port, whichever side opened it, or opens one; messages wait for it in a bounded queue.

What is accepted is bounded (`quota.py`) before anything is spent on it, a TLS handshake included.
"""

import asyncio
import socket
import ssl
from functools import partial
from itertools import count

from parley.service.clock import Clock
from parley.service.tasks import TaskOwner
from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.siptransport.acceptor import Acceptor
from parley.siptransport.addresses import AddressBook, is_wildcard
from parley.siptransport.connection import CLOSE_TIMEOUT_S, StreamConnection
from parley.siptransport.door import Door, Doors
from parley.siptransport.limits import TransportLimits
from parley.siptransport.quota import ConnectionQuota
from parley.siptransport.transport import ListenOptions, Peer, TransportSink
from parley.siptransport.turns import Turns


class StreamTransport:
    """All listeners and connections of one stream transport of a node.

    Attributes:
        name: "tcp" or "tls".
        clock: of the connections' idle times.
        limits: bounds.
        sink: where messages go.
        turns: of connections that brought much at once.
    """

    def __init__(
        self,
        name: str,
        sink: TransportSink,
        clock: Clock,
        limits: TransportLimits,
        client_tls: ssl.SSLContext | None,
        doors: Doors | None = None,
    ) -> None:
        """Makes one without sockets; `doors` stand before connections between services."""
        self.name = name
        self.sink = sink
        self.clock = clock
        self.limits = limits
        self._client_tls = client_tls
        self._doors = doors
        self._addresses = AddressBook(clock)
        self._acceptors: dict[Hop, Acceptor] = {}
        self._home: Hop | None = None
        self._listeners: list[Hop] = []
        self._dialled = 0
        self._by_flow: dict[int, StreamConnection] = {}
        self._by_peer: dict[Peer, StreamConnection] = {}
        self._quota: ConnectionQuota[StreamConnection] = ConnectionQuota(limits)
        # Of its own: a stranger's hand at the inside takes no place from the phones.
        self._services: ConnectionQuota[StreamConnection] = ConnectionQuota(limits.of_services())
        self._opening: dict[Peer, list[tuple[Request | Response, Hop]]] = {}
        self.turns = Turns()
        self._tasks = TaskOwner()
        self._is_closed = False
        # Flows go into tokens that outlive us: a number must not come back after a restart. One
        # for each microsecond of wall time is more than connections ever come.
        self._flows = count(int(clock.wall_s() * 1_000_000))

    @property
    def connection_count(self) -> int:
        """Open connections, both directions."""
        return len(self._by_flow)

    async def listen(self, hop: Hop, options: ListenOptions) -> Hop:
        """Opens one more listener."""
        tls = options.tls
        if (tls is not None) != (self.name == "tls"):
            raise ValueError(f"{self.name} was given {'no' if tls is None else 'a'} TLS context")
        address = await self._addresses.resolve(hop.host)
        host = options.advertised or address
        if is_wildcard(host):
            raise ValueError("a wildcard address needs an advertised host")
        take = partial(self._take, Hop(self.name, host, hop.port), options)
        acceptor = Acceptor(address, hop.port, take, is_shared=options.is_shared)
        listener = Hop(self.name, host, acceptor.port)
        self._acceptors[listener] = acceptor
        self._listeners.append(listener)
        if options.is_home:
            self._home = listener
        return listener

    def sent_by(self, hop: Hop) -> Hop | None:
        """Returns the listener a connection came to, else the home of those that we open."""
        connection = self._by_flow.get(hop.flow) if hop.flow else None
        if connection is not None and connection.is_accepted:
            return connection.listener
        if self._home is not None:
            return self._home
        return self._listeners[0] if self._listeners else None

    def send(self, message: Request | Response, hop: Hop) -> None:
        """Sends on the connection the hop names or implies."""
        if hop.flow:
            connection = self._by_flow.get(hop.flow)
            # A token of another time may carry our number by chance, but not its peer as well.
            if connection is not None and connection.flow[1:3] != hop[1:3]:
                connection = None
        else:
            connection = self._by_peer.get((hop.host, hop.port))
        if connection is not None:
            if not connection.write(bytes(message)):
                self.sink.send_failed(message, hop)
        elif hop.flow:
            self.sink.send_failed(message, hop)
        else:
            self._open_and_send(message, hop)

    def stop_listening(self, listener: Hop) -> None:
        """Accepts no more connections at a listener; those there are stay."""
        acceptor = self._acceptors.pop(listener, None)
        if acceptor is not None:
            acceptor.close()

    def flows(self, listener: Hop) -> list[Hop]:
        """Returns the connections accepted at a listener."""
        return [
            one.flow
            for one in self._by_flow.values()
            if one.is_accepted and one.listener == listener
        ]

    def close_flow(self, flow: Hop) -> None:
        """Closes a connection after what was written."""
        connection = self._by_flow.get(flow.flow)
        if connection is not None:
            connection.close()

    def vouch_for(self, flow: Hop) -> None:
        """Learns that the peer of a connection proved who it is; one that is gone is no error."""
        connection = self._by_flow.get(flow.flow)
        if connection is not None:
            connection.vouch()
            self._quota.vouch(connection)

    def sweep(self, now: float) -> None:
        """Closes connections that were idle, or stuck in a message, for too long."""
        for connection in list(self._by_flow.values()):
            if connection.is_overdue(now):
                connection.abort()
            elif connection.is_stale(now):
                connection.close()

    async def aclose(self) -> None:
        """Closes listeners and connections; what was written is flushed for a moment."""
        self._is_closed = True
        for acceptor in self._acceptors.values():
            acceptor.close()
        self._acceptors.clear()
        self.turns.close()
        await self._tasks.aclose()
        connections = list(self._by_flow.values())
        for connection in connections:
            connection.close()
        waiting = [connection.closed for connection in connections if not connection.closed.done()]
        if waiting:
            await asyncio.wait(waiting, timeout=CLOSE_TIMEOUT_S)
        for connection in list(self._by_flow.values()):
            connection.abort()
        self._opening.clear()

    # --- for the connections ---------------------------------------------------------------

    def register(self, connection: StreamConnection, peer: Peer) -> int:
        """Makes a connection findable and returns its flow; 0 when it comes too late."""
        if self._is_closed:
            return 0
        self._services.vouch(connection)  # its door is open
        flow = next(self._flows)
        self._by_flow[flow] = connection
        self._dialled += not connection.is_accepted
        if not connection.is_public:
            # Over a stranger's nothing goes but what names it: his address may be a service's.
            self._by_peer[connection.target or peer] = connection
        return flow

    def forget(self, connection: StreamConnection) -> None:
        """Takes back what `register` noted and reports the end."""
        flow = connection.flow
        peer = (flow.host, flow.port)
        del self._by_flow[flow.flow]
        self._dialled -= not connection.is_accepted
        target = connection.target or peer
        alias = flow
        if self._by_peer.get(target) is connection:
            del self._by_peer[target]
            alias = Hop(self.name, *target)
        self._release(connection)
        if not self._is_closed:
            self.sink.flow_closed(flow, alias)
            self.sink.flush()

    # --- incoming connections --------------------------------------------------------------

    def _take(self, listener: Hop, options: ListenOptions, sock: socket.socket, peer: Peer) -> None:
        connection = StreamConnection(self, listener, None, is_public=options.is_public)
        doors, door = self._doors if options.is_inside else None, None
        quota = self._quota if doors is None else self._services
        is_stranger = doors is not None or (options.is_public and not self.sink.is_known(peer[0]))
        if not quota.admit(connection, peer[0], self.clock.now(), is_stranger=is_stranger):
            sock.close()
            return
        surplus = quota.surplus(connection)
        if surplus is not None:
            quota.release(surplus)
            surplus.abort()
        if doors is not None:
            if surplus is not None:
                doors.refused(peer, "it came when many waited, and the first of them had to go")
            # The port is known by now, also where 0 was asked for.
            dialled = (listener.host, int(sock.getsockname()[1]))
            door = doors.before(connection, dialled)
        welcome = self._welcome(connection, door, sock, options.tls)
        task = self._tasks.spawn(welcome, name=f"sip-accept-{self.name}")
        # One that is cut off before its first step never comes to what it would do in the end.
        task.add_done_callback(lambda _: self._welcomed(connection, door, sock))
        connection.welcome(task)

    async def _welcome(
        self,
        connection: StreamConnection,
        door: Door | None,
        sock: socket.socket,
        tls: ssl.SSLContext | None,
    ) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: door or connection,
                sock,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else self.limits.connect_timeout_s,
                ssl_shutdown_timeout=None if tls is None else CLOSE_TIMEOUT_S,
            )
            if door is not None:
                await door.settled
        except (OSError, ValueError):
            pass  # no TLS, too slow, gone: nobody waits for it

    def _welcomed(
        self, connection: StreamConnection, door: Door | None, sock: socket.socket
    ) -> None:
        if door is not None and not door.is_open:
            door.abort()
        if not connection.flow.flow:
            self._release(connection)
            sock.close()

    def _release(self, connection: StreamConnection) -> None:
        for quota in (self._quota, self._services):
            quota.release(connection)

    # --- outgoing connections --------------------------------------------------------------

    def _open_and_send(self, message: Request | Response, hop: Hop) -> None:
        peer = (hop.host, hop.port)
        waiting = self._opening.get(peer)
        if waiting is None:
            dialled = self._dialled + len(self._opening)
            if self._is_closed or dialled >= self.limits.connections:
                self.sink.send_failed(message, hop)
                return
            self._opening[peer] = [(message, hop)]
            self._tasks.spawn(self._open(peer), name=f"sip-connect-{self.name}")
        elif len(waiting) < self.limits.connect_backlog:
            waiting.append((message, hop))
        else:
            self.sink.send_failed(message, hop)

    async def _open(self, peer: Peer) -> None:
        connection = None
        try:
            async with asyncio.timeout(self.limits.connect_timeout_s):
                connection = await self._connect(peer)
        except (OSError, UnicodeError, ValueError):
            pass  # refused, timed out, no such name, bad certificate: reported per message
        finally:
            waiting = self._opening.pop(peer, [])
        for message, hop in waiting:
            if connection is None or not connection.write(bytes(message)):
                self.sink.send_failed(message, hop)
        self.sink.flush()

    async def _connect(self, peer: Peer) -> StreamConnection:
        host, port = peer
        doors = self._doors
        if doors is not None and not doors.is_service(host, port):
            doors = None
        # What comes on connections that we open never passes for come to the home listener.
        others = (each for each in self._listeners if each != self._home)
        listener = next(others, Hop(self.name, "", 0))

        def connect() -> StreamConnection | Door:
            connection = StreamConnection(self, listener, peer)
            return connection if doors is None else doors.before(connection, peer)

        loop = asyncio.get_running_loop()
        if self.name != "tls":
            _, made = await loop.create_connection(connect, host, port)
        else:
            _, made = await loop.create_connection(
                connect,
                host,
                port,
                ssl=self._context(doors),
                server_hostname=host,
                ssl_handshake_timeout=self.limits.connect_timeout_s,
                ssl_shutdown_timeout=CLOSE_TIMEOUT_S,
            )
        if isinstance(made, StreamConnection):
            return made
        if not made.is_open:
            raise ConnectionRefusedError(f"{host}:{port} is not a peer of ours")
        return made.connection

    def _context(self, doors: Doors | None) -> ssl.SSLContext:
        if doors is not None and doors.inside.client is not None:
            return doors.inside.client
        if self._client_tls is None:
            self._client_tls = ssl.create_default_context()
        return self._client_tls
