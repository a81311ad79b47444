"""One TCP or TLS connection that carries SIP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, cast

from parley.sip.errors import FramingError
from parley.sip.framing import KeepAlive, StreamFramer
from parley.sip.hop import Hop

if TYPE_CHECKING:
    from parley.service.clock import Clock
    from parley.siptransport.limits import TransportLimits
    from parley.siptransport.transport import Peer, TransportSink
    from parley.siptransport.turns import Turns

CLOSE_TIMEOUT_S: Final = 1.0
_LINE_END = b"\r\n"


class ConnectionOwner(Protocol):
    """What a connection needs of its transport.

    Attributes:
        name: "tcp" or "tls".
        clock: of idle times.
        limits: bounds.
        sink: where messages go.
        turns: where a connection waits that brought much at once.
    """

    name: str
    clock: Clock
    limits: TransportLimits
    sink: TransportSink
    turns: Turns

    def register(self, connection: StreamConnection, peer: Peer) -> int:
        """Makes a connection findable and returns its flow; 0 when it comes too late."""
        ...

    def forget(self, connection: StreamConnection) -> None:
        """Learns that a connection which was registered has ended."""
        ...


class StreamConnection(asyncio.Protocol):
    """Cuts the stream into messages and writes messages to it.

    Attributes:
        flow: the peer's address and this connection's number; set when it is open.
        listener: our address that the peer connected to, or that we would give.
        target: the peer as it was dialled; None for an accepted connection.
        is_public: anybody could open it, and its peer is a stranger still.
        closed: done when the connection has ended.
    """

    def __init__(
        self,
        owner: ConnectionOwner,
        listener: Hop,
        target: Peer | None,
        *,
        is_public: bool = False,
    ) -> None:
        self._owner = owner
        self.is_public = is_public
        self._welcome: asyncio.Task[None] | None = None
        self._framer = StreamFramer(is_client=target is not None)
        self._transport: asyncio.Transport | None = None
        self._began_at = self._last_data_at = owner.clock.now()
        self._stuck_since: float | None = None
        self._waits_for_turn = False
        self._closed_at: float | None = None
        self._has_proved_itself = target is not None
        self.listener = listener
        self.target = target
        self.flow = Hop(owner.name, "", 0)
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_accepted(self) -> bool:
        """Whether the peer opened it."""
        return self.target is None

    def write(self, data: bytes) -> bool:
        """Writes a whole message; returns False when the connection is over."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        transport.write(data)
        return True

    def is_stale(self, now: float) -> bool:
        """Whether the peer kept us waiting for too long: for anything, or for the rest of one."""
        limits = self._owner.limits
        if self._stuck_since is not None and now - self._stuck_since > limits.message_timeout_s:
            return True
        if self._has_proved_itself:
            return now - self._last_data_at > limits.idle_timeout_s
        return now - self._began_at > limits.accept_timeout_s  # whatever it says meanwhile

    def vouch(self) -> None:
        """Learns that the peer is no stranger any more."""
        self._has_proved_itself = True
        self.is_public = False
        self._bound_write_buffer()

    def welcome(self, task: asyncio.Task[None]) -> None:
        """Learns of the task that brings the connection up; it ends with the connection."""
        self._welcome = task

    def close(self) -> None:
        """Ends the connection after what was written."""
        if self._transport is not None and self._closed_at is None:
            self._closed_at = self._owner.clock.now()
            self._transport.close()

    def is_overdue(self, now: float) -> bool:
        """Whether it was closed and does not end: the peer does not read what was written."""
        return self._closed_at is not None and now - self._closed_at > CLOSE_TIMEOUT_S

    def abort(self) -> None:
        """Ends the connection at once, in the midst of a TLS handshake too."""
        if self._transport is not None:
            self._transport.abort()
        elif self._welcome is not None:
            self._welcome.cancel()

    # --- asyncio.Protocol --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Registers the connection or refuses it."""
        stream = cast("asyncio.Transport", transport)
        address = stream.get_extra_info("peername")
        peer = (str(address[0]), int(address[1])) if address else ("", 0)
        self._welcome = None
        number = self._owner.register(self, peer)
        if not number:
            stream.abort()
            return
        self._transport = stream
        self.flow = Hop(self._owner.name, peer[0], peer[1], number)
        if self.is_accepted:
            self.listener = self.listener._replace(port=int(stream.get_extra_info("sockname")[1]))
        self._bound_write_buffer()

    def data_received(self, data: bytes) -> None:
        """Hands every whole message on."""
        owner = self._owner
        if self._transport is None or self._transport.is_closing():
            return
        self._last_data_at = owner.clock.now()
        self._framer.receive_data(data)
        if self._waits_for_turn:
            return
        if not self._read_messages() and self._stuck_since is None and data.strip(_LINE_END):
            self._stuck_since = self._last_data_at
        owner.sink.flush()

    def _go_on(self) -> None:
        self._waits_for_turn = False
        self._read_messages()
        if not self._waits_for_turn and self._transport is not None:
            self._transport.resume_reading()
        self._owner.sink.flush()

    def pause_writing(self) -> None:
        """Cuts a peer off that does not read: its messages would only get older."""
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        if self._transport is not None:
            self._transport = None
            self._owner.forget(self)
        if not self.closed.done():
            self.closed.set_result(None)

    def _bound_write_buffer(self) -> None:
        limits = self._owner.limits
        high = limits.stranger_write_buffer_bytes if self.is_public else limits.write_buffer_bytes
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=high)

    def _read_messages(self) -> int:
        """Hands on what is complete, not more than one turn's share of it.

        Returns:
            How much that was, keep-alives included.
        """
        sink, transport = self._owner.sink, self._transport
        found = 0
        for _ in range(self._owner.limits.messages_per_turn):
            # An answer may have ended the connection; nobody is left for what else was buffered.
            if transport is None or transport.is_closing():
                break
            try:
                message = self._framer.next_message()
            except FramingError as error:
                sink.receive_malformed(error, self.flow, self.listener)
                if not error.can_continue:
                    sink.flush()  # the answer goes first
                    self.close()
                continue
            if message is None:
                break
            found += 1
            if message is KeepAlive.PING:
                if sink.admits_source(self.flow, self.listener):
                    self.write(_LINE_END)
            elif not isinstance(message, KeepAlive):
                sink.receive(message, self.flow, self.listener)
        else:
            self._wait_for_turn()
        if found:
            self._stuck_since = None
            self._has_proved_itself = not self.is_public
        return found

    def _wait_for_turn(self) -> None:
        assert self._transport is not None
        self._waits_for_turn = True
        self._transport.pause_reading()
        self._owner.turns.wait(self._go_on)
