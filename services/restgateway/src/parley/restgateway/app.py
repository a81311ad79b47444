"""Wires the REST gateway."""

import asyncio
from importlib.metadata import version

import structlog
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from parley.backing.errors import BackingError
from parley.backing.factory import Backing
from parley.restgateway import description, problems
from parley.restgateway.body_limit import BodyLimit
from parley.restgateway.paths import PathChecks, Paths
from parley.restgateway.requests import REQUEST_ID_HEADER, RequestLog
from parley.restgateway.routes import calls, cdrs, extensions, registrations, root, tenants
from parley.restgateway.schemas import PlatformView
from parley.restgateway.settings import RestGatewaySettings
from parley.restgateway.store import Store
from parley.service.clock import Clock
from parley.service.http import HttpServer
from parley.service.http_connections import HttpLimits
from parley.service.metrics import Metrics, Registry
from parley.service.tasks import TaskOwner

_VERSION = version("parley-restgateway")
_PROBE_INTERVAL_S = 2.0

_logger = structlog.stdlib.get_logger(__name__)


class RestGateway:
    """Serves the API; ready while its database answers.

    Attributes:
        server: the listener; its port is known after `start`.
    """

    name = "restgateway"

    def __init__(
        self,
        settings: RestGatewaySettings,
        backing: Backing,
        clock: Clock,
        registry: Registry,
    ) -> None:
        self._store = Store(backing, clock)
        self._tasks = TaskOwner()
        self._has_database = True
        self.server = HttpServer(
            create_api(self._store, settings, clock, registry),
            settings.host,
            settings.port,
            name="The REST API",
            limits=HttpLimits(
                max_connections=settings.max_connections,
                max_strangers_per_source=settings.max_source_strangers,
                request_timeout_s=settings.request_timeout_s,
            ),
            lame_duck_s=settings.lame_duck_s,
        )
        Metrics(registry, self.name).gauge("connections", "Open HTTP connections.").read(
            lambda: self.server.connections
        )

    async def start(self) -> None:
        """Listens."""
        self._tasks = TaskOwner()
        self._tasks.spawn(self._watch_database(), name="rest database watch")
        await self.server.start()

    def is_ready(self) -> bool:
        """Says whether requests are served and can be answered."""
        return self._has_database and self.server.is_ready()

    async def drain(self, timeout_s: float) -> None:
        """Serves on for a while, unready, then lets requests end."""
        await self.server.drain(timeout_s)

    async def aclose(self) -> None:
        """Ends every connection and frees the port."""
        await self.server.aclose()
        await self._tasks.aclose()

    async def _watch_database(self) -> None:
        while True:
            try:
                await self._store.wait_answered()
            except BackingError as error:
                if self._has_database:
                    _logger.warning("database away", reason=repr(error))
                self._has_database = False
            else:
                self._has_database = True
            await asyncio.sleep(_PROBE_INTERVAL_S)


def create_api(
    store: Store, settings: RestGatewaySettings, clock: Clock, registry: Registry
) -> ASGIApp:
    """Makes the ASGI application; its pages under `/docs` need no other server.

    From the outside in: every request is noted and its path looked up, its origin judged, its body
    read within bounds, its method, query and media type checked; what is left reaches the routes.
    """
    api = FastAPIOffline(
        title="Parley",
        version=_VERSION,
        description=description.ABOUT,
        openapi_tags=description.TAGS,
        servers=[{"url": "/", "description": "This server."}],
        generate_unique_id_function=_operation_id,
    )
    problems.install(api)
    for resource in (tenants, extensions, registrations, calls, cdrs, root):
        api.include_router(resource.router, responses=problems.PROBLEM_RESPONSES)
    paths = Paths(description.complete(api))
    api.state.store = store
    api.state.platform = PlatformView(
        version=_VERSION, events=settings.events_url, health=settings.health_url
    )
    app: ASGIApp = BodyLimit(PathChecks(api), settings.max_body_bytes)
    if settings.cors_origins:
        app = CORSMiddleware(
            app,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "If-Match",
                "If-None-Match",
                REQUEST_ID_HEADER,
            ],
            expose_headers=["Location", "ETag", "Retry-After", "Allow", REQUEST_ID_HEADER],
        )
    return RequestLog(app, paths, clock, registry)


def _operation_id(route: APIRoute) -> str:
    return route.name


def create_app(
    settings: RestGatewaySettings,
    backing: Backing,
    clock: Clock,
    registry: Registry,
) -> RestGateway:
    """Makes the service: the API on its port."""
    return RestGateway(settings, backing, clock, registry)
