"""Runs a media relay: `python -m parley.mediarelay`."""

import sys
from collections.abc import Sequence

from parley.backing.factory import Port, create_backing
from parley.backing.settings import BackingSettings
from parley.mediarelay.app import create_app
from parley.mediarelay.settings import MediaRelaySettings
from parley.service.lifecycle import Service
from parley.service.process import Process, serve


def _services(settings: MediaRelaySettings, process: Process) -> Sequence[Service]:
    clock, registry = process.clock, process.registry
    backing = None
    if settings.announce:
        backing = create_backing(
            Port.STATE | Port.DISCOVERY, BackingSettings.load(), clock, registry
        )
    return create_app(settings, registry, clock, backing)


if __name__ == "__main__":
    sys.exit(serve(MediaRelaySettings, _services))
