"""Runs the REST gateway as a process of its own."""

import sys

from parley.backing.db.outbox import OutboxPublisher
from parley.backing.factory import create_backing
from parley.backing.settings import BackingSettings
from parley.restgateway.app import create_app
from parley.restgateway.settings import RestGatewaySettings
from parley.service.clock import SystemClock
from parley.service.health import HealthApp
from parley.service.http import HttpServer
from parley.service.lifecycle import main, run
from parley.service.log import configure_logging
from parley.service.metrics import Metrics, Registry


async def _serve(settings: RestGatewaySettings, backing_settings: BackingSettings) -> int:
    clock, registry = SystemClock(), Registry()
    backing = create_backing(backing_settings, clock, registry)
    outbox = OutboxPublisher(backing.db, backing.bus, Metrics(registry, "restgateway"))
    api = create_app(settings, backing, clock, registry)
    health = HttpServer(
        HealthApp((backing, api), registry),
        settings.health_host,
        settings.health_port,
        name="The REST gateway's health port",
    )
    return await run((backing, outbox, api, health), drain_timeout_s=settings.drain_timeout_s)


def _entry() -> int:
    settings = RestGatewaySettings.load_or_exit()
    backing_settings = BackingSettings.load_or_exit()
    configure_logging(settings.log_level)
    return main(lambda: _serve(settings, backing_settings))


if __name__ == "__main__":
    sys.exit(_entry())
