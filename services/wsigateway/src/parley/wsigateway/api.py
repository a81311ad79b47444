"""The WebSocket endpoint `/v1/events`.

A token comes in the `Authorization` header, as `?token=` (browsers cannot set headers) or in the
first message. A bad one is told by a close code after the handshake, because browsers hide the
status of a refused handshake.
"""

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from parley.service.clock import Clock
from parley.wsigateway.connection import CloseCode, Connection, Verify
from parley.wsigateway.hub import EventHub
from parley.wsigateway.metrics import WsiGatewayMetrics
from parley.wsigateway.settings import WsiGatewaySettings

PATH = "/v1/events"


class EventsEndpoint:
    """Accepts clients and runs each to its end."""

    def __init__(
        self,
        hub: EventHub,
        verify: Verify,
        settings: WsiGatewaySettings,
        clock: Clock,
        metrics: WsiGatewayMetrics,
    ) -> None:
        self._hub = hub
        self._verify = verify
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._is_draining = False

    def drain(self) -> None:
        """Refuses new clients and sends those that are there away."""
        self._is_draining = True
        self._hub.end_all(CloseCode.SERVICE_RESTART, "the service restarts")

    async def serve(self, socket: WebSocket) -> None:
        """Runs one client."""
        await socket.accept()
        connection = Connection(socket, self._verify, self._settings, self._clock)
        if len(self._hub) >= self._settings.max_connections:
            connection.end(CloseCode.TRY_AGAIN_LATER, "too many connections")
        elif self._is_draining:
            connection.end(CloseCode.SERVICE_RESTART, "the service restarts")
        self._hub.join(connection)
        try:
            code = await connection.serve(_token_of(socket))
        except WebSocketDisconnect:
            code = None
        finally:
            self._hub.leave(connection)
        if code is not None:
            self._metrics.closed.labels(str(int(code))).inc()


def create_api(endpoint: EventsEndpoint) -> Starlette:
    """Makes the ASGI application."""
    return Starlette(routes=[WebSocketRoute(PATH, endpoint.serve)])


def _token_of(socket: WebSocket) -> str | None:
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return socket.query_params.get("token")
