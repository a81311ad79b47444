"""Runs the whole platform in one process: `python -m parley.allinone`."""

import sys
from collections.abc import Sequence

from parley.allinone.app import Platform
from parley.allinone.console import farewell, open_log, welcome
from parley.allinone.settings import AllInOneSettings
from parley.service.lifecycle import Service
from parley.service.process import Process, serve


def _services(settings: AllInOneSettings, process: Process) -> Sequence[Service]:
    return Platform(settings, process.clock, process.registry).services()


if __name__ == "__main__":
    sys.exit(
        serve(AllInOneSettings, _services, open_log=open_log, on_ready=welcome, on_drain=farewell)
    )
