"""Runs accounting as a process of its own: `python -m parley.accounting`."""

import sys
from collections.abc import Sequence

from parley.accounting.app import create_app
from parley.accounting.settings import AccountingSettings
from parley.backing.factory import Port, create_backing
from parley.backing.settings import BackingSettings
from parley.service.lifecycle import Service
from parley.service.process import Process, serve


def _services(settings: AccountingSettings, process: Process) -> Sequence[Service]:
    backing = create_backing(
        Port.DATABASE | Port.BUS, BackingSettings.load(), process.clock, process.registry
    )
    return backing, create_app(settings, backing, process.clock, process.registry)


if __name__ == "__main__":
    sys.exit(serve(AccountingSettings, _services))
