"""Runs one call manager as a process of its own: `python -m parley.callmanager`."""

import sys
from collections.abc import Sequence

from parley.backing.directory import TenantDirectory
from parley.backing.factory import Port, create_backing
from parley.backing.media.grpc import GrpcMediaControl
from parley.backing.media.relay_view import RelayView
from parley.backing.settings import BackingSettings
from parley.callmanager.app import create_app, inside_of
from parley.callmanager.settings import CallManagerSettings
from parley.service.lifecycle import Service
from parley.service.metrics import Metrics
from parley.service.process import Process, Resources, serve


def _services(settings: CallManagerSettings, process: Process) -> Sequence[Service]:
    clock, ids, registry = process.clock, process.ids, process.registry
    backing_settings = BackingSettings.load()
    backing = create_backing(
        Port.DATABASE | Port.STATE | Port.DISCOVERY | Port.BUS, backing_settings, clock, registry
    )
    directory = TenantDirectory(backing.db, backing.bus, backing_settings.tenant_cache_extensions)
    media = GrpcMediaControl(
        settings.media_relays,
        ids.instance(settings.name),
        view=RelayView(backing.discovery, backing.state),
        zone=settings.zone,
        inside=inside_of(settings, clock),
    )
    media.traffic.show(Metrics(registry, "callmanager"))
    manager = create_app(settings, backing, directory, media, clock, ids, None, registry)
    return (
        backing,
        Resources("tenant directory", directory),
        Resources("media relays", media),
        manager,
    )


if __name__ == "__main__":
    sys.exit(serve(CallManagerSettings, _services))
