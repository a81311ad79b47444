"""Runs the WebSocket gateway as a process of its own: `python -m parley.wsigateway`."""

import sys
from collections.abc import Sequence

from parley.backing.factory import Port, create_backing
from parley.backing.settings import BackingSettings
from parley.service.lifecycle import Service
from parley.service.process import Process, serve
from parley.wsigateway.app import create_app
from parley.wsigateway.settings import WsiGatewaySettings


def _services(settings: WsiGatewaySettings, process: Process) -> Sequence[Service]:
    backing = create_backing(
        Port.DATABASE | Port.BUS, BackingSettings.load(), process.clock, process.registry
    )
    return backing, create_app(settings, backing, process.clock, process.registry)


if __name__ == "__main__":
    sys.exit(serve(WsiGatewaySettings, _services))
