"""Runs the WebSocket gateway as a process: `python -m parley.wsigateway`."""

import sys

from parley.backing.factory import create_backing
from parley.backing.settings import BackingSettings
from parley.service.clock import SystemClock
from parley.service.health import HealthApp
from parley.service.http import HttpServer
from parley.service.lifecycle import main, run
from parley.service.log import configure_logging
from parley.service.metrics import Registry
from parley.wsigateway.app import create_app
from parley.wsigateway.settings import WsiGatewaySettings


async def _serve() -> int:
    settings = WsiGatewaySettings.load_or_exit()
    backing_settings = BackingSettings.load_or_exit()
    configure_logging(settings.log_level)
    clock, registry = SystemClock(), Registry()
    backing = create_backing(backing_settings, clock, registry)
    parts = (backing, create_app(settings, backing, clock, registry))
    health = HttpServer(
        HealthApp(parts, registry),
        settings.health_host,
        settings.health_port,
        name="The health port",
    )
    return await run((*parts, health), drain_timeout_s=settings.drain_timeout_s)


if __name__ == "__main__":
    sys.exit(main(_serve))
