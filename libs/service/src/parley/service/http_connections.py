"""Connections of an HTTP server, bounded before anybody knows who they are.

uvicorn bounds a request's head and nothing else: a socket that never speaks, a body that trickles
in and a reader who does not read would be kept for ever. Here a connection has a deadline for its
request's head and for the whole request, and their number has a bound. At the bound the connection
whose request has been incomplete longest makes room, so that silent sockets keep nobody out.
"""

import asyncio
from typing import Any

import uvicorn
from msgspec import Struct
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame

_MAX_FRAGMENTS = 64
_MESSAGE_TOO_BIG = 1009
_LAST_WORDS_S = 1.0


class HttpLimits(Struct, frozen=True, kw_only=True):
    """What one HTTP server grants to clients it knows nothing of.

    Attributes:
        max_connections: open HTTP connections; those that became WebSockets do not count.
        max_head_bytes: request line and headers.
        head_timeout_s: time for a connection to say what it wants.
        request_timeout_s: time from the request's head to the last byte of its response.
        max_message_bytes: of a WebSocket client's message; None: no WebSockets are taken.
    """

    max_connections: int = 1000
    max_head_bytes: int = 16 * 1024
    head_timeout_s: float = 10.0
    request_timeout_s: float = 30.0
    max_message_bytes: int | None = None


class LimitedConfig(uvicorn.Config):
    """uvicorn's configuration, with the bounds that its protocols here look up.

    Attributes:
        limits: of the server.
        open_connections: of the server.
    """

    def __init__(self, app: Any, limits: HttpLimits, **options: Any) -> None:
        self.limits = limits
        self.open_connections = OpenConnections(limits.max_connections)
        size = limits.max_message_bytes
        super().__init__(
            app,
            http=LimitedHttp,
            h11_max_incomplete_event_size=limits.max_head_bytes,
            ws="none" if size is None else LimitedWebSocket,
            ws_max_size=0 if size is None else size,
            # A compressed message is small only until it is read.
            ws_per_message_deflate=False,
            # Who asks is who connected; nobody may say otherwise.
            proxy_headers=False,
            # Malformed requests are the client's trouble, and no lines in our log.
            log_level="error",
            **options,
        )


class OpenConnections:
    """The open connections of one server, the longest waiting first."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._receiving: dict[LimitedHttp, None] = {}
        self._answering: set[LimitedHttp] = set()

    def __len__(self) -> int:
        return len(self._receiving) + len(self._answering)

    def admit(self, connection: "LimitedHttp") -> bool:
        """Adds a connection whose request is to come; False when there is no room."""
        if len(self) >= self._maximum:
            oldest = next(iter(self._receiving), None)
            if oldest is None:
                return False
            self.forget(oldest)
            oldest.transport.abort()
        self._receiving[connection] = None
        return True

    def answering(self, connection: "LimitedHttp") -> None:
        """Notes that the request of a connection is complete: it makes room for nobody."""
        if connection in self._receiving:
            del self._receiving[connection]
            self._answering.add(connection)

    def receiving(self, connection: "LimitedHttp") -> None:
        """Notes that a connection waits for its next request."""
        if connection in self._answering:
            self._answering.discard(connection)
            self._receiving[connection] = None

    def forget(self, connection: "LimitedHttp") -> None:
        """Removes a connection."""
        self._receiving.pop(connection, None)
        self._answering.discard(connection)


class LimitedHttp(H11Protocol):
    """An HTTP connection with deadlines."""

    config: LimitedConfig

    def __init__(
        self,
        config: LimitedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = config.limits
        self._open = config.open_connections
        self._deadline: asyncio.TimerHandle | None = None
        self._begun: object = None
        self._is_upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Waits for the request's head, if there is room for one more."""
        super().connection_made(transport)
        if self._open.admit(self):
            self._arm(self._limits.head_timeout_s)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives the place back."""
        self._disarm()
        self._open.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads on; a request that begins gets its deadline."""
        if self._deadline is None:
            self._arm(self._limits.head_timeout_s)
        # The parser bounds what is incomplete; a head that comes in one piece would pass it.
        size = self._limits.max_head_bytes
        for start in range(0, len(data), size):
            # A client that says more before its upgrade is answered is not listened to.
            if not (self._is_upgraded or self.transport.is_closing()):
                super().data_received(data[start : start + size])

    def handle_events(self) -> None:
        """Works off what was read, and notes how far the request has come."""
        super().handle_events()
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return
        if cycle is not self._begun:
            self._begun = cycle
            self._arm(self._limits.request_timeout_s)
        if not cycle.more_body:
            self._open.answering(self)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Hands the connection over; from here on the application bounds it."""
        self._disarm()
        self._open.forget(self)
        self._is_upgraded = True
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Waits for the next request; its client has to take what was written before that."""
        self._disarm()
        if self.transport.get_write_buffer_size():
            # A close, too, would wait for it for ever.
            self._arm(self._limits.request_timeout_s)
        self._open.receiving(self)
        super().on_response_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Says nothing: any client can ask for an upgrade."""

    def _arm(self, timeout_s: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(timeout_s, self._expired)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expired(self) -> None:
        self._deadline = None
        self.transport.abort()


class LimitedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that is not made to keep what nobody counts."""

    def handle_cont(self, event: Frame) -> None:
        """Takes a fragment; a message in absurdly many of them ends the connection."""
        if len(self.frames) < _MAX_FRAGMENTS:
            super().handle_cont(event)
            return
        self.conn.fail(_MESSAGE_TOO_BIG, "too many fragments")
        self.handle_parser_exception()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Gives the client a moment to take what was said last; then nothing of it is kept."""
        super().on_task_complete(task)
        self.loop.call_later(_LAST_WORDS_S, self.transport.abort)

    def handle_ping(self) -> None:
        """Answers a ping, unless the client reads no answers."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.transport.abort()
