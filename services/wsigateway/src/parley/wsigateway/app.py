"""Wires the WebSocket gateway."""

from parley.backing.factory import Backing
from parley.service.clock import Clock
from parley.service.http import HttpServer
from parley.service.metrics import Registry
from parley.wsigateway.api import EventsEndpoint, create_api
from parley.wsigateway.hub import EventHub
from parley.wsigateway.metrics import WsiGatewayMetrics
from parley.wsigateway.settings import WsiGatewaySettings
from parley.wsigateway.store import TokenStore


class WsiGateway:
    """Serves events to WebSocket clients.

    Attributes:
        server: the listener; its port is known after `start`.
    """

    name = "wsigateway"

    def __init__(
        self, settings: WsiGatewaySettings, backing: Backing, clock: Clock, registry: Registry
    ) -> None:
        metrics = WsiGatewayMetrics(registry)
        self._hub = EventHub(backing.bus, metrics)
        self._store = TokenStore(backing.db)
        self._endpoint = EventsEndpoint(self._hub, self._store.verify, settings, clock, metrics)
        self.server = HttpServer(
            create_api(self._endpoint), settings.host, settings.port, name="The event stream"
        )

    async def start(self) -> None:
        """Follows the bus and listens."""
        await self._hub.start()
        await self.server.start()

    def is_ready(self) -> bool:
        """Says whether clients are served."""
        return self.server.is_ready()

    async def drain(self, timeout_s: float) -> None:
        """Sends clients away; they find another instance."""
        self._endpoint.drain()
        await self.server.drain(timeout_s)

    async def aclose(self) -> None:
        """Ends every connection and frees the port."""
        self._endpoint.drain()
        await self.server.aclose()
        await self._hub.aclose()
        await self._store.aclose()


def create_app(
    settings: WsiGatewaySettings,
    backing: Backing,
    clock: Clock,
    registry: Registry | None = None,
) -> WsiGateway:
    """Makes the service; it starts after the backing and closes before it."""
    return WsiGateway(settings, backing, clock, registry or Registry())
