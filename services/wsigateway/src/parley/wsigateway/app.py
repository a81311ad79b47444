"""Wires the WebSocket gateway."""

import asyncio

from parley.backing.factory import Backing
from parley.service.clock import Clock
from parley.service.http import HttpServer
from parley.service.http_connections import HttpLimits
from parley.service.metrics import Registry
from parley.wsigateway.api import EventsEndpoint, create_api
from parley.wsigateway.hub import EventHub
from parley.wsigateway.metrics import WsiGatewayMetrics
from parley.wsigateway.settings import WsiGatewaySettings
from parley.wsigateway.store import WsiStore

_LAST_CLOSES_S = 1.0


class WsiGateway:
    """Serves events to WebSocket clients.

    Attributes:
        server: the listener; its port is known after `start`.
    """

    name = "wsigateway"

    def __init__(
        self,
        settings: WsiGatewaySettings,
        backing: Backing,
        clock: Clock,
        registry: Registry,
    ) -> None:
        metrics = WsiGatewayMetrics(registry)
        self._hub = EventHub(backing.bus, metrics)
        self._store = WsiStore(backing.db)
        self._endpoint = EventsEndpoint(self._hub, self._store, settings, clock, metrics)
        self._lame_duck_s = settings.lame_duck_s
        self._close_timeout_s = settings.close_timeout_s
        self._is_leaving = False
        self.server = HttpServer(
            create_api(self._endpoint),
            settings.host,
            settings.port,
            name="The event stream",
            # Of those that have not become WebSockets yet.
            limits=HttpLimits(
                max_connections=settings.max_connections,
                max_strangers_per_source=settings.max_waiting_per_source,
                head_timeout_s=settings.auth_timeout_s,
                request_timeout_s=settings.auth_timeout_s,
                max_message_bytes=settings.max_message_bytes,
            ),
        )

    async def start(self) -> None:
        """Follows the bus and listens."""
        await self._hub.start()
        await self.server.start()

    def is_ready(self) -> bool:
        """Says whether clients are served."""
        return not self._is_leaving and self.server.is_ready()

    async def drain(self, timeout_s: float) -> None:
        """Tells clients to go, serves them for a while, and sends those away that are left."""
        self._is_leaving = True
        waited_s = min(self._lame_duck_s, timeout_s)
        self._endpoint.announce_end(waited_s)
        await asyncio.sleep(waited_s)
        # Half of what is left for clients that take long to be told, the rest for the server.
        left_s = timeout_s - waited_s
        await self._endpoint.close(min(self._close_timeout_s, left_s / 2))
        await self.server.drain(left_s / 2)

    async def aclose(self) -> None:
        """Ends every connection and frees the port."""
        await self._endpoint.close(min(self._close_timeout_s, _LAST_CLOSES_S))
        await self.server.aclose()
        await self._hub.aclose()
        await self._store.aclose()


def create_app(
    settings: WsiGatewaySettings,
    backing: Backing,
    clock: Clock,
    registry: Registry,
) -> WsiGateway:
    """Makes the service; it starts after the backing and closes before it."""
    return WsiGateway(settings, backing, clock, registry)
