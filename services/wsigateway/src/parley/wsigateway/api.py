"""The WebSocket endpoint `/v1/events`.

A token comes in the `Authorization` header or in the first message, never in the URL, which every
proxy on the way writes into its log. A bad one is told by a close code after the handshake,
because browsers hide the status of a refused handshake.

Web pages may connect from this very host and from the origins that are configured. Without an
`Origin` a client is no browser, and whatever it sends it was told by itself.
"""

import asyncio
from contextlib import suppress

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from parley.backing.db.tokens import ApiToken
from parley.service.clock import Clock
from parley.wsigateway.connection import CloseCode, Connection
from parley.wsigateway.hub import EventHub
from parley.wsigateway.metrics import WsiGatewayMetrics
from parley.wsigateway.settings import WsiGatewaySettings
from parley.wsigateway.store import WsiStore
from parley.wsigateway.subscriptions import Subscription
from parley.wsigateway.waiting import Waiting

PATH = "/v1/events"
_ANY = "*"


class EventsEndpoint:
    """Accepts clients and runs each to its end; their way to everything else."""

    def __init__(
        self,
        hub: EventHub,
        store: WsiStore,
        settings: WsiGatewaySettings,
        clock: Clock,
        metrics: WsiGatewayMetrics,
    ) -> None:
        self._hub = hub
        self._store = store
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._waiting = Waiting(
            settings.max_waiting, settings.max_waiting_per_source, CloseCode.TRY_AGAIN_LATER
        )
        self._closes_at: float | None = None
        self._is_closed = False
        self._served = 0
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    def announce_end(self, closes_in_s: float) -> None:
        """Tells clients, those to come too, that they will be sent away."""
        self._closes_at = self._clock.now() + closes_in_s
        for connection in self._hub:
            connection.tell_end(closes_in_s)

    async def close(self, timeout_s: float) -> None:
        """Refuses new clients, sends those that are there away and waits until they are told."""
        self._is_closed = True
        for connection in (*self._hub, *self._waiting):
            connection.end(CloseCode.GOING_AWAY, "this instance stops; connect again")
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._is_empty.wait()

    async def serve(self, socket: WebSocket) -> None:
        """Runs one client."""
        if not self._is_welcome(socket):
            await socket.close()
            return
        await socket.accept()
        connection = Connection(socket, self, self._settings, self._clock)
        if self._is_closed:
            connection.end(CloseCode.GOING_AWAY, "this instance stops; connect again")
        self._join_waiting(connection, socket)
        self._served += 1
        self._is_empty.clear()
        try:
            code = await connection.serve(_token_of(socket))
        except WebSocketDisconnect:
            code = None
        finally:
            self._leave_waiting(connection)
            self._hub.leave(connection)
            self._served -= 1
            if not self._served:
                self._is_empty.set()
        if code is not None:
            self._metrics.closed.labels(str(int(code))).inc()

    # -- what a connection asks of us ----------------------------------------------------------

    async def verify(self, token: str) -> ApiToken | None:
        """Returns the token with this secret, unless it is unknown or has expired.

        Raises:
            BackingUnavailable: the database does not answer.
        """
        return await self._store.verify(token)

    async def check_tenant(self, tenant_id: str) -> None:
        """Lets pass who names a tenant that there is.

        Raises:
            NotFound: there is none.
            BackingUnavailable: the database does not answer.
        """
        await self._store.check_tenant(tenant_id)

    def authenticated(self, connection: Connection) -> bool:
        """Counts a client among the known ones; False when there are too many."""
        self._leave_waiting(connection)
        tenant, settings = connection.subscriptions.own_tenant, self._settings
        if len(self._hub) >= settings.max_connections:
            return False
        if tenant and self._hub.count_of(tenant) >= settings.max_connections_per_tenant:
            return False
        self._hub.join(connection)
        if self._closes_at is not None:
            connection.tell_end(max(0.0, self._closes_at - self._clock.now()))
        return True

    def subscribed(self, connection: Connection, wanted: set[Subscription]) -> None:
        """Sends events of these to a client from now on."""
        self._hub.follow(connection, wanted)

    def unsubscribed(self, connection: Connection, unwanted: set[Subscription]) -> None:
        """Sends events of these no more."""
        self._hub.unfollow(connection, unwanted)

    # -- inside --------------------------------------------------------------------------------

    def _join_waiting(self, connection: Connection, socket: WebSocket) -> None:
        source = "" if socket.client is None else socket.client.host
        self._waiting.join(connection, source)
        self._metrics.waiting.set(len(self._waiting))

    def _leave_waiting(self, connection: Connection) -> None:
        self._waiting.leave(connection)
        self._metrics.waiting.set(len(self._waiting))

    def _is_welcome(self, socket: WebSocket) -> bool:
        origin = socket.headers.get("origin")
        if origin is None or origin in self._settings.origins or _ANY in self._settings.origins:
            return True
        return origin.partition("://")[2] == socket.headers.get("host")


def create_api(endpoint: EventsEndpoint) -> Starlette:
    """Makes the ASGI application."""
    told = [Route(path, _tell_what_is_here) for path in ("/", PATH)]
    return Starlette(routes=[WebSocketRoute(PATH, endpoint.serve), *told])


async def _tell_what_is_here(_: Request) -> PlainTextResponse:
    """For whoever opens the address in a browser (RFC 9110 15.5.22)."""
    return PlainTextResponse(
        f"Parley's event stream: a WebSocket at {PATH}\n", 426, {"Upgrade": "websocket"}
    )


def _token_of(socket: WebSocket) -> str | None:
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
