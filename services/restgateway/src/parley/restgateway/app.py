"""Wires the REST gateway."""

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from parley.backing.factory import Backing
from parley.restgateway import problems
from parley.restgateway.routes import calls, cdrs, extensions, registrations, tenants
from parley.restgateway.settings import RestGatewaySettings
from parley.restgateway.store import Store
from parley.service.clock import Clock
from parley.service.http import HttpServer
from parley.service.lifecycle import Service

_DESCRIPTION = "Tenants, extensions, registrations, live calls and call detail records."


def create_api(store: Store) -> FastAPI:
    """Makes the ASGI application; its pages under `/docs` need no other server."""
    api = FastAPIOffline(title="Parley", version="1", description=_DESCRIPTION)
    api.state.store = store
    problems.install(api)
    for resource in (tenants, extensions, registrations, calls, cdrs):
        api.include_router(resource.router, responses=problems.PROBLEM_RESPONSES)
    return api


def create_app(settings: RestGatewaySettings, backing: Backing, clock: Clock) -> Service:
    """Makes the service: the API on its port."""
    return HttpServer(
        create_api(Store(backing, clock)), settings.host, settings.port, name="The REST API"
    )
