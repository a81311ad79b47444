"""Runs the REST gateway as a process of its own: `python -m parley.restgateway`."""

import sys
from collections.abc import Sequence

from parley.backing.db.outbox import OutboxPublisher
from parley.backing.factory import Port, create_backing
from parley.backing.settings import BackingSettings
from parley.restgateway.app import create_app
from parley.restgateway.settings import RestGatewaySettings
from parley.service.lifecycle import Service
from parley.service.metrics import Metrics
from parley.service.process import Process, serve


def _services(settings: RestGatewaySettings, process: Process) -> Sequence[Service]:
    backing = create_backing(
        Port.DATABASE | Port.STATE | Port.BUS,
        BackingSettings.load(),
        process.clock,
        process.registry,
    )
    outbox = OutboxPublisher(backing.db, backing.bus, Metrics(process.registry, "restgateway"))
    return backing, outbox, create_app(settings, backing, process.clock, process.registry)


if __name__ == "__main__":
    sys.exit(serve(RestGatewaySettings, _services))
