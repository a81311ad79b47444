"""Runs accounting as a process: `python -m parley.accounting`."""

import sys

from parley.accounting.app import create_app
from parley.accounting.settings import AccountingSettings
from parley.backing.factory import Backing, create_backing
from parley.backing.settings import BackingSettings
from parley.service.clock import SystemClock
from parley.service.errors import StartError
from parley.service.health import HealthApp
from parley.service.http import HttpServer
from parley.service.lifecycle import Exit, main, run
from parley.service.log import configure_logging
from parley.service.metrics import Registry


class _BackingService:
    """The backing as the first service of the process."""

    name = "backing"

    def __init__(self, backing: Backing) -> None:
        self._backing = backing
        self._is_open = False

    async def start(self) -> None:
        await self._backing.start()
        self._is_open = True

    async def drain(self, timeout_s: float) -> None:
        """Nothing to do: the services that use it drain."""

    async def aclose(self) -> None:
        self._is_open = False
        await self._backing.aclose()

    def is_ready(self) -> bool:
        return self._is_open


async def _serve() -> int:
    settings = AccountingSettings.load_or_exit()
    backing_settings = BackingSettings.load_or_exit()
    configure_logging(settings.log_level)
    clock, registry = SystemClock(), Registry()
    try:
        backing = create_backing(backing_settings, clock, registry)
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.FAILED
    parts = (_BackingService(backing), create_app(settings, backing, clock, registry))
    health = HttpServer(
        HealthApp(parts, registry),
        settings.health_host,
        settings.health_port,
        name="The health port",
    )
    return await run((*parts, health), drain_timeout_s=settings.drain_timeout_s)


if __name__ == "__main__":
    sys.exit(main(_serve))
