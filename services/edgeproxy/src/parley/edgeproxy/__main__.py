"""Runs one edge proxy as a process of its own: `python -m parley.edgeproxy`."""

import sys
from collections.abc import Sequence

from parley.backing.directory import TenantDirectory
from parley.backing.factory import Port, create_backing
from parley.backing.settings import BackingSettings
from parley.edgeproxy.app import create_app
from parley.edgeproxy.settings import EdgeSettings
from parley.service.lifecycle import Service
from parley.service.process import Process, Resources, serve


def _services(settings: EdgeSettings, process: Process) -> Sequence[Service]:
    clock, ids, registry = process.clock, process.ids, process.registry
    backing_settings = BackingSettings.load()
    backing = create_backing(
        Port.DATABASE | Port.STATE | Port.DISCOVERY | Port.BUS, backing_settings, clock, registry
    )
    directory = TenantDirectory(backing.db, backing.bus, backing_settings.tenant_cache_extensions)
    edge = create_app(settings, backing, directory, clock, ids, None, registry)
    return backing, Resources("tenant directory", directory), edge


if __name__ == "__main__":
    sys.exit(serve(EdgeSettings, _services))
