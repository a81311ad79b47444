"""Runs one edge proxy as a process of its own."""

import sys

from parley.backing.directory import TenantDirectory
from parley.backing.factory import create_backing
from parley.backing.settings import BackingSettings
from parley.edgeproxy.app import create_app
from parley.edgeproxy.settings import EdgeSettings
from parley.service.clock import SystemClock
from parley.service.health import HealthApp
from parley.service.http import HttpServer
from parley.service.ids import RandomIds
from parley.service.lifecycle import main, run
from parley.service.log import configure_logging
from parley.service.metrics import Registry


async def _serve(settings: EdgeSettings, backing_settings: BackingSettings) -> int:
    clock = SystemClock()
    registry = Registry()
    backing = create_backing(backing_settings, clock, registry)
    await backing.start()
    directory = TenantDirectory(backing.db, backing.bus)
    try:
        await directory.start()
        edge = create_app(settings, backing, directory, clock, RandomIds(), registry=registry)
        health = HttpServer(
            HealthApp((edge,), registry),
            settings.health_host,
            settings.health_port,
            name="The edge proxy's health port",
        )
        return await run((edge, health), drain_timeout_s=settings.drain_timeout_s)
    finally:
        await directory.aclose()
        await backing.aclose()


def _entry() -> int:
    settings = EdgeSettings.load_or_exit()
    backing_settings = BackingSettings.load_or_exit()
    configure_logging(settings.log_level)
    return main(lambda: _serve(settings, backing_settings))


if __name__ == "__main__":
    sys.exit(_entry())
