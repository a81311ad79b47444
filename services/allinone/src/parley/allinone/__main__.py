"""Runs the whole platform in one process: `python -m parley.allinone`."""

import sys

from parley.allinone.app import Platform
from parley.allinone.demo import table
from parley.allinone.settings import AllInOneSettings
from parley.service.clock import SystemClock
from parley.service.errors import SettingsError, StartError
from parley.service.lifecycle import Exit, main, run
from parley.service.log import configure_logging
from parley.service.settings import refuse


async def _serve(settings: AllInOneSettings) -> int:
    try:
        platform = Platform(settings, SystemClock())
        services = platform.services()
    except SettingsError as error:
        refuse(error)
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.FAILED

    def announce() -> None:
        assert platform.demo is not None
        sys.stdout.write(f"\n{table(platform.demo)}\nParley is ready\n")
        sys.stdout.flush()

    return await run(services, drain_timeout_s=settings.drain_s, on_ready=announce)


def _entry() -> int:
    settings = AllInOneSettings.load_or_exit()
    configure_logging(settings.log_level)
    return main(lambda: _serve(settings))


if __name__ == "__main__":
    sys.exit(_entry())
