"""Connections of an HTTP server, bounded before anybody knows who they are.

uvicorn bounds a request's head and nothing else: a socket that never speaks, a body that trickles
in and a reader who does not read would be kept for ever. Here a connection has a deadline for its
request's head and for the whole request, and their number has a bound. At the bound the connection
whose request has been incomplete longest makes room, so that silent sockets keep nobody out, else
one that does not read its response.

An application may say that a client proved who it is (`vouch`), with each request anew. All others
are strangers: they have a bound per source as well, and make room before the known do, unless those
keep more than half of all places with requests that are not complete.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, cast

import uvicorn
from msgspec import Struct
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame

from parley.service.sources import source_key

_MAX_FRAGMENTS = 64
_MESSAGE_TOO_BIG = 1009
_LAST_WORDS_S = 1.0
_VOUCH = "parley.vouch"


class HttpLimits(Struct, frozen=True, kw_only=True):
    """What one HTTP server grants to its clients, above all to those whom nobody knows.

    Attributes:
        max_connections: open HTTP connections; those that became WebSockets do not count.
        max_strangers_per_source: those of one source (`parley.service.sources`) on which nobody has
            proved who he is.
        max_head_bytes: request line and headers.
        head_timeout_s: time for a connection to say what it wants.
        request_timeout_s: time from the request's head to the last byte of its response.
        max_message_bytes: of a WebSocket client's message; None: no WebSockets are taken.
    """

    max_connections: int = 1000
    max_strangers_per_source: int = 200
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
        self.open_connections = OpenConnections(limits)
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

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._receiving: dict[LimitedHttp, None] = {}
        self._answering: dict[LimitedHttp, None] = {}
        self._known_receiving: dict[LimitedHttp, None] = {}
        self._states = (self._receiving, self._answering, self._known_receiving)
        self._strangers: dict[str, dict[LimitedHttp, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._states))

    def admit(self, connection: "LimitedHttp") -> bool:
        """Adds a stranger's connection whose request is to come; False when there is no room."""
        if not self._make_room_at(connection.source):
            return False
        size = self._limits.max_connections
        if len(self) >= size:
            strangers = (each for each in self._answering if not each.is_known)
            leaving = [chain(self._receiving, _unread(strangers)), self._known_receiving]
            if 2 * len(self._known_receiving) > size:
                leaving.reverse()
            if not _cut_first(chain(*leaving, _unread(self._answering))):
                return False
        self._add(connection)
        return True

    def vouch(self, connection: "LimitedHttp") -> None:
        """Notes that the client of a connection is no stranger any more."""
        if connection in self._receiving:
            del self._receiving[connection]
            self._known_receiving[connection] = None
        self._forget_stranger(connection)

    def answering(self, connection: "LimitedHttp") -> None:
        """Notes that the request of a connection is complete: it makes room if it does not read."""
        for waiting in (self._receiving, self._known_receiving):
            if connection in waiting:
                del waiting[connection]
                self._answering[connection] = None

    def receiving(self, connection: "LimitedHttp") -> None:
        """Notes that a connection waits for its next request, a stranger's or not."""
        if any(connection in state for state in self._states):
            self.forget(connection)
            if not connection.is_known:
                self._make_room_at(connection.source)
            self._add(connection)

    def forget(self, connection: "LimitedHttp") -> None:
        """Removes a connection."""
        for state in self._states:
            state.pop(connection, None)
        self._forget_stranger(connection)

    def _make_room_at(self, source: str) -> bool:
        """Makes room for one more stranger of a source; False when nobody can leave."""
        same = self._strangers.get(source, {})
        if len(same) < self._limits.max_strangers_per_source:
            return True
        idle = (each for each in same if each in self._receiving)
        return _cut_first(chain(idle, _unread(same)))

    def _add(self, connection: "LimitedHttp") -> None:
        if connection.is_known:
            self._known_receiving[connection] = None
        else:
            self._receiving[connection] = None
            self._strangers.setdefault(connection.source, {})[connection] = None

    def _forget_stranger(self, connection: "LimitedHttp") -> None:
        same = self._strangers.get(connection.source)
        if same is not None and connection in same:
            del same[connection]
            if not same:
                del self._strangers[connection.source]


def _unread(connections: Iterable["LimitedHttp"]) -> Iterator["LimitedHttp"]:
    return (each for each in connections if each.is_unread)


def _cut_first(connections: Iterator["LimitedHttp"]) -> bool:
    leaving = next(connections, None)
    if leaving is not None:
        leaving.cut()
    return leaving is not None


def vouch(scope: Mapping[str, Any]) -> None:
    """Notes that the client of a request has proved who it is; no error at another server.

    Args:
        scope: of the request, as ASGI gives it.
    """
    if _VOUCH in scope:
        scope[_VOUCH]()


class LimitedHttp(H11Protocol):
    """An HTTP connection with deadlines.

    Attributes:
        source: where it came from, as bounds count it.
        is_known: its client has proved who it is, with this request or the one before.
    """

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
        self._is_upgraded = self._is_vouched = False
        self.is_known = False
        self.source = ""

    @property
    def is_unread(self) -> bool:
        """Whether its client does not take what was written."""
        return self.flow.write_paused

    def cut(self) -> None:
        """Ends the connection at once."""
        self._open.forget(self)
        self.transport.abort()

    def vouch(self) -> None:
        """Learns that its client is no stranger any more."""
        self.is_known = self._is_vouched = True
        self._open.vouch(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Waits for the request's head, if there is room for one more."""
        super().connection_made(transport)
        self.source = "" if self.client is None else source_key(self.client[0])
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
            self._is_vouched = False
            # The application runs in the next turn of the loop.
            cast("dict[str, Any]", cycle.scope)[_VOUCH] = self.vouch
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
        # A token that was good once keeps no place.
        self.is_known = self._is_vouched
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
