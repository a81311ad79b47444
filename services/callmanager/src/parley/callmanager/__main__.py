"""Runs one call manager as a process of its own."""

import sys

from parley.backing.directory import TenantDirectory
from parley.backing.factory import create_backing
from parley.backing.media.grpc import GrpcMediaControl
from parley.backing.media.relay_view import RelayView
from parley.backing.settings import BackingSettings
from parley.callmanager.app import create_app, inside_of
from parley.callmanager.settings import CallManagerSettings
from parley.service.clock import SystemClock
from parley.service.health import HealthApp
from parley.service.http import HttpServer
from parley.service.ids import RandomIds
from parley.service.lifecycle import main, run
from parley.service.log import configure_logging
from parley.service.metrics import Metrics, Registry


async def _serve(settings: CallManagerSettings, backing_settings: BackingSettings) -> int:
    clock, ids, registry = SystemClock(), RandomIds(), Registry()
    backing = create_backing(backing_settings, clock, registry)
    await backing.start()
    directory = TenantDirectory(backing.db, backing.bus)
    media = GrpcMediaControl(
        settings.media_relays,
        ids.instance(settings.name),
        view=RelayView(backing.discovery, backing.state),
        zone=settings.zone,
        inside=inside_of(settings, clock),
    )
    media.traffic.show(Metrics(registry, "callmanager"))
    try:
        await directory.start()
        await media.start()
        manager = create_app(settings, backing, directory, media, clock, ids, registry=registry)
        health = HttpServer(
            HealthApp((manager,), registry),
            settings.host,
            settings.health_port,
            name="The call manager's health port",
        )
        return await run((manager, health), drain_timeout_s=settings.drain_timeout_s)
    finally:
        await media.aclose()
        await directory.aclose()
        await backing.aclose()


def _entry() -> int:
    settings = CallManagerSettings.load_or_exit()
    backing_settings = BackingSettings.load_or_exit()
    configure_logging(settings.log_level)
    return main(lambda: _serve(settings, backing_settings))


if __name__ == "__main__":
    sys.exit(_entry())
