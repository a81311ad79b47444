"""A whole process: every `__main__` is one call of `serve`.

The order is the same everywhere: settings, logs, signals and health port first, so that a process
can be asked and stopped from its first moment; then its services, what others need first; at the
end the reverse, so that the health port closes last.

A stop takes `drain_timeout_s` of the process, one second, and `CLOSE_TIMEOUT_S`: no less belongs
into Kubernetes' `terminationGracePeriodSeconds`.
"""

import argparse
import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import ClassVar, Protocol, Self, TextIO, TypeVar

from msgspec import Struct
from pydantic_settings import SettingsConfigDict

from parley.service.clock import Clock, SystemClock
from parley.service.errors import PortInUse, SettingsError, StartError
from parley.service.health import HealthApp
from parley.service.http import HttpServer
from parley.service.ids import RandomIds
from parley.service.lifecycle import SIGNALS, Service, main, run
from parley.service.log import configure_logging
from parley.service.metrics import LoopLag, Metrics, Registry
from parley.service.settings import Settings, refuse


class ProcessSettings(Protocol):
    """What the settings of every process have: a `Settings` with these fields."""

    model_config: ClassVar[SettingsConfigDict]

    @classmethod
    def load_or_exit(cls) -> Self:
        """Reads the environment, or ends the process with one sentence."""
        ...

    @classmethod
    def keys(cls) -> Iterable[str]:
        """Names the variables that are read, of the classes within as well."""
        ...

    @property
    def health_host(self) -> str:
        """Address of the health port."""
        ...

    @property
    def health_port(self) -> int:
        """TCP port of /healthz, /readyz and /metrics; 0 picks one."""
        ...

    @property
    def drain_timeout_s(self) -> float:
        """How long work in progress may take to end."""
        ...

    @property
    def log_level(self) -> str:
        """A key of `parley.service.log.LEVELS`."""
        ...


S = TypeVar("S", bound=ProcessSettings)


class Process(Struct, frozen=True):
    """What the services of one process share.

    Attributes:
        registry: of all its metrics.
    """

    clock: Clock
    ids: RandomIds
    registry: Registry


class Resources:
    """Things that are opened before the work and closed after it, as one service."""

    def __init__(self, name: str, *parts: "Resource") -> None:
        """Takes parts in the order of their start."""
        self.name = name
        self._parts = parts
        self._is_open = False

    async def start(self) -> None:
        """Opens all of them."""
        for part in self._parts:
            await part.start()
        self._is_open = True

    async def drain(self, timeout_s: float) -> None:
        """Does nothing: the others need them to the end."""

    async def aclose(self) -> None:
        """Closes all of them, the last first, whatever one says to it."""
        self._is_open = False
        async with AsyncExitStack() as closing:
            for part in self._parts:
                closing.push_async_callback(part.aclose)

    def is_ready(self) -> bool:
        """Says whether all are open."""
        return self._is_open


class Resource(Protocol):
    """Something that is opened and closed."""

    async def start(self) -> None:
        """Opens it."""
        ...

    async def aclose(self) -> None:
        """Closes it; safe to call twice and before a start."""
        ...


class HealthServer(HttpServer):
    """The health port: it answers to the last moment, and says no from the first of a drain.

    It shows how late the event loop is, too.
    """

    def __init__(self, services: Sequence[Service], process: Process, host: str, port: int) -> None:
        self._health = HealthApp(services, process.registry)
        self._lag = LoopLag(Metrics(process.registry, "process"), process.clock)
        super().__init__(self._health, host, port, name="The health port")

    async def start(self) -> None:
        """Listens and begins to measure."""
        await super().start()
        self._lag.start()

    async def drain(self, timeout_s: float) -> None:
        """Answers on; not ready any more, whatever the services say."""
        self._health.is_draining = True

    async def aclose(self) -> None:
        """Ends every connection and frees the port."""
        self._lag.close()
        await super().aclose()


def serve(
    settings_class: type[S],
    make: Callable[[S, Process], Sequence[Service]],
    *,
    open_log: Callable[[S], TextIO | None] = lambda _: None,
    on_ready: Callable[[S], None] = lambda _: None,
    on_drain: Callable[[float], None] = lambda _: None,
) -> int:
    """Runs a process to its end and returns its exit status.

    Args:
        settings_class: of the process, read from the environment.
        make: makes its services, in the order of their start, inside the running loop.
        open_log: opens where the log goes; None: stdout.
        on_ready: called when everything has started.
        on_drain: called when the drain begins, with the seconds that it takes at most.
    """
    _take_no_arguments(settings_class)
    settings = settings_class.load_or_exit()
    configure_logging(settings.log_level, open_log(settings))

    async def run_all() -> int:
        # A signal that comes while the services are made is heard when they would start.
        stop = asyncio.Event()
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        process = Process(SystemClock(), RandomIds(), Registry())
        try:
            services = make(settings, process)
        except SettingsError as error:
            refuse(error)
        health = HealthServer(services, process, settings.health_host, settings.health_port)
        return await run(
            (health, *services),
            drain_timeout_s=settings.drain_timeout_s,
            on_ready=lambda: on_ready(settings),
            on_drain=on_drain,
            explain=lambda error: _explained(settings, error),
            stop=stop,
        )

    return main(run_all)


def _take_no_arguments(settings_class: type[ProcessSettings]) -> None:
    """Ends the process when there are any: with its settings for `--help`, else with status 2."""
    keys = sorted(settings_class.keys())
    parser = argparse.ArgumentParser(
        prog=f"python -m {settings_class.__module__.rpartition('.')[0]}",
        description="Takes no arguments. Settings are variables of the environment, told in\n"
        "docs/operations/settings.md. Its own:",
        epilog="\n".join(keys),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()


def _explained(settings: ProcessSettings, error: StartError) -> str:
    """Adds to a taken port the settings that choose another one."""
    if not isinstance(error, PortInUse) or not isinstance(settings, Settings):
        return str(error)
    prefix = settings.model_config.get("env_prefix", "")
    keys = [
        f"{prefix}{name}".upper()
        for name in type(settings).model_fields
        if name.endswith("port") and getattr(settings, name) == error.port
    ]
    remedy = f"; {' or '.join(keys)} chooses another" if keys else ""
    return f"{str(error).rstrip('.')}{remedy}."
