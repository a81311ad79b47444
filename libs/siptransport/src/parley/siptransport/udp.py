"""UDP: own non-blocking sockets, drained at each wake-up; SIP, and STUN keep-alives (RFC 5626).

The event loop only says "readable"; up to `datagrams_per_wakeup` datagrams are then read, parsed
and handed on before anything else runs, so that under load one wake-up pays for many messages.
Sending is a plain `sendto`; when the kernel's buffer is full, datagrams wait in a bounded queue.
"""

import asyncio
import socket
import sys
from collections import deque
from typing import Protocol

from parley.service.clock import Clock
from parley.service.tasks import TaskOwner
from parley.sip.errors import ParseError
from parley.sip.hop import Hop
from parley.sip.message import Request, Response, parse_message
from parley.sip.stun import answer_binding, is_stun
from parley.siptransport.addresses import AddressBook, is_wildcard
from parley.siptransport.limits import TransportLimits
from parley.siptransport.transport import ListenOptions, TransportSink

_MAX_DATAGRAM_BYTES = 65535
_KEEP_ALIVE_BYTES = 4
_FIRST_OF_SIP = 4  # no SIP message begins with less, every STUN message does (RFC 7983)
_RESOLVE_TIMEOUT_S = 5.0
_MAX_UNRESOLVED = 256


class UdpTransport:
    """All UDP sockets of a node.

    The first socket's peers are hops with flow 0; a further socket has its number (1, 2, ...) as
    the flow of all its peers, so that answers leave by the socket that the request came to. The
    numbers follow the order of `listen` and are the same after a restart.
    """

    name = "udp"
    connection_count = 0

    def __init__(self, sink: TransportSink, clock: Clock, limits: TransportLimits) -> None:
        self._sink = sink
        self._limits = limits
        self._addresses = AddressBook(clock)
        self._sockets: list[UdpSocket] = []
        self._tasks = TaskOwner()
        self._unresolved: dict[str, list[tuple[Request | Response, Hop]]] = {}

    async def listen(self, hop: Hop, options: ListenOptions) -> Hop:
        """Opens one more socket."""
        if options.tls is not None:
            raise ValueError("UDP has no TLS")
        address = await self._addresses.resolve(hop.host)
        sock = UdpSocket(self._sink, self._limits, address, hop.port, len(self._sockets))
        try:
            host = options.advertised or address
            if is_wildcard(host):
                raise ValueError("a wildcard address needs an advertised host")
            sock.open(host, is_shared=options.is_shared)
        except BaseException:
            sock.close()
            raise
        self._sockets.append(sock)
        return sock.listener

    def sent_by(self, hop: Hop) -> Hop | None:
        """Returns the advertised address of the socket that serves a hop."""
        sockets = self._sockets
        return sockets[hop.flow].listener if hop.flow < len(sockets) else None

    def send(self, message: Request | Response, hop: Hop) -> None:
        """Sends one datagram; a host name is looked up first."""
        address = hop.host
        if address not in self._addresses.literals:
            found = self._addresses.peek(address)
            if found is None:
                self._resolve_and_send(message, hop)
                return
            address = found
        self._send_to(message, hop, address)

    def stop_listening(self, listener: Hop) -> None:
        """Closes the socket; its number stays taken, for hops name it."""
        for sock in self._sockets:
            if sock.listener == listener:
                sock.close()

    def flows(self, listener: Hop) -> list[Hop]:
        """UDP has no connections."""
        return []

    def close_flow(self, flow: Hop) -> None:
        """UDP has no connections."""

    def vouch_for(self, flow: Hop) -> None:
        """There are no connections."""

    def sweep(self, now: float) -> None:
        """Nothing is ever idle here."""

    async def aclose(self) -> None:
        """Closes the sockets; what waits for the kernel is dropped."""
        await self._tasks.aclose()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    def _send_to(self, message: Request | Response, hop: Hop, address: str) -> None:
        try:
            sock = self._sockets[hop.flow]
        except IndexError:
            self._sink.send_failed(message, hop)
            return
        if not sock.send(bytes(message), (address, hop.port)):
            self._sink.send_failed(message, hop)

    def _resolve_and_send(self, message: Request | Response, hop: Hop) -> None:
        waiting = self._unresolved.get(hop.host)
        if waiting is not None and len(waiting) < _MAX_UNRESOLVED:
            waiting.append((message, hop))
        elif waiting is None and len(self._unresolved) < _MAX_UNRESOLVED:
            self._unresolved[hop.host] = [(message, hop)]
            self._tasks.spawn(self._resolve(hop.host), name="sip-resolve")
        else:
            self._sink.send_failed(message, hop)

    async def _resolve(self, host: str) -> None:
        address = None
        try:
            async with asyncio.timeout(_RESOLVE_TIMEOUT_S):
                address = await self._addresses.resolve(host)
        except (OSError, UnicodeError):
            pass  # each waiting message is reported below
        finally:
            waiting = self._unresolved.pop(host, [])
        for message, hop in waiting:
            if address is None:
                self._sink.send_failed(message, hop)
            else:
                self._send_to(message, hop, address)
        self._sink.flush()


class Reader(Protocol):
    """Reads a bound socket."""

    def read(self, limit: int) -> list[tuple[bytes, Hop]]:
        """Returns at most so many datagrams, with their sources."""
        ...


class UdpSocket:
    """One bound socket, its reader and its queue for a full kernel buffer.

    Attributes:
        listener: what peers call it; set by `open`.
    """

    def __init__(
        self, sink: TransportSink, limits: TransportLimits, address: str, port: int, flow: int
    ) -> None:
        self._sink = sink
        self._limits = limits
        self._flow = flow
        self._local = (address, port)
        self._is_ipv6 = ":" in address
        self._backlog: deque[tuple[bytes, tuple[str, int]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(
            socket.AF_INET6 if self._is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM
        )
        self.listener = Hop("udp", address, port)
        self._reader: Reader | None = None

    def open(self, advertised: str, *, is_shared: bool = False) -> None:
        """Binds and starts to read.

        Raises:
            OSError: the address is taken or not ours.
        """
        sock = self._socket
        sock.setblocking(False)
        size = self._limits.socket_buffer_bytes
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        if self._is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(self._local)
        self.listener = Hop("udp", advertised, sock.getsockname()[1])
        self._reader = _reader(sock, self._flow)
        self._loop.add_reader(sock.fileno(), self._drain)

    def close(self) -> None:
        """Stops to read and closes the socket; may be called twice."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
        self._backlog.clear()

    def send(self, data: bytes, address: tuple[str, int]) -> bool:
        """Sends or queues a datagram; returns False when it is lost for sure."""
        if self._backlog:
            return self._queue(data, address)
        try:
            self._socket.sendto(data, address)
        except (BlockingIOError, InterruptedError):
            return self._queue(data, address)
        except (OSError, OverflowError, UnicodeError):
            return False  # unreachable, too long, closed: the transaction is told
        return True

    def _queue(self, data: bytes, address: tuple[str, int]) -> bool:
        if len(self._backlog) >= self._limits.datagram_backlog:
            return False
        if not self._backlog:
            self._loop.add_writer(self._socket.fileno(), self._drain_backlog)
        self._backlog.append((data, address))
        return True

    def _drain_backlog(self) -> None:
        backlog = self._backlog
        while backlog:
            data, address = backlog[0]
            try:
                self._socket.sendto(data, address)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                pass  # this datagram is lost like any other; its transaction retransmits
            backlog.popleft()
        self._loop.remove_writer(self._socket.fileno())

    def _answer_stun(self, data: bytes, source: Hop) -> None:
        if self._sink.admits_source(source, self.listener):
            answer = answer_binding(data, source.host, source.port)
            if answer is not None:
                self.send(answer, (source.host, source.port))

    def _drain(self) -> None:
        sink, listener, hears = self._sink, self.listener, self._sink.hears
        assert self._reader is not None
        try:
            arrived = self._reader.read(self._limits.datagrams_per_wakeup)
        except OSError:
            return  # an ICMP error of an earlier send; its transaction has a timer
        try:
            for data, source in arrived:
                if hears is not None and not hears(source.host):
                    continue
                if data[0] < _FIRST_OF_SIP and is_stun(data):
                    self._answer_stun(data, source)
                    continue
                try:
                    message = parse_message(data)
                except ParseError as error:
                    sink.receive_malformed(error, source, listener)
                else:
                    sink.receive(message, source, listener)
        finally:
            sink.flush()


class PlainReader:
    """Reads datagrams one by one, where the system cannot give many at once.

    Takes the place of `parley.sip.datagrams.DatagramReader`.
    """

    def __init__(self, sock: socket.socket, flow: int) -> None:
        self._socket = sock
        self._flow = flow

    def read(self, limit: int) -> list[tuple[bytes, Hop]]:
        """Returns what is there, with its source; keep-alives of up to four bytes are left out.

        Raises:
            OSError: what the system says.
        """
        found: list[tuple[bytes, Hop]] = []
        for _ in range(limit):
            try:
                data, address = self._socket.recvfrom(_MAX_DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                break
            if len(data) > _KEEP_ALIVE_BYTES:
                found.append((data, Hop("udp", address[0], address[1], self._flow)))
        return found


if sys.platform == "linux":
    from parley.sip.datagrams import DatagramReader

    def _reader(sock: socket.socket, flow: int) -> DatagramReader:
        return DatagramReader(sock.fileno(), flow)

else:

    def _reader(sock: socket.socket, flow: int) -> PlainReader:
        return PlainReader(sock, flow)
