"""Runs a media relay: `python -m parley.mediarelay`."""

import sys

import structlog

from parley.backing.factory import create_backing
from parley.backing.settings import BackingSettings
from parley.mediarelay.app import GrpcFront, create_app
from parley.mediarelay.settings import MediaRelaySettings
from parley.service.clock import SystemClock
from parley.service.errors import StartError
from parley.service.lifecycle import Exit, main, run
from parley.service.log import configure_logging
from parley.service.metrics import Registry

_logger = structlog.stdlib.get_logger(__name__)


async def _serve() -> int:
    settings = MediaRelaySettings.load_or_exit()
    backing_settings = BackingSettings.load_or_exit() if settings.announce else None
    configure_logging(settings.log_level)
    clock, registry = SystemClock(), Registry()
    backing = None
    if backing_settings is not None:
        backing = create_backing(backing_settings, clock, registry)
    try:
        services = create_app(settings, registry, clock, backing)
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.FAILED

    def announce() -> None:
        for service in services:
            if isinstance(service, GrpcFront):
                _logger.info("media relay listens", host=service.host, port=service.port)

    return await run(services, drain_timeout_s=settings.drain_timeout_s, on_ready=announce)


if __name__ == "__main__":
    sys.exit(main(_serve))
