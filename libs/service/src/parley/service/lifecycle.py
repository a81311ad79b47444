"""The life of a process: start in order, serve, drain on a signal, close in reverse.

SIGTERM and SIGINT ask every service to drain at the same time, each within the time-out, and then
close them from the last to the first, all within `CLOSE_TIMEOUT_S`. A second signal skips what is
left of the draining. A stop thus takes the drain time-out, a second and the close time-out at most.
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import IntEnum
from typing import Any, Final, Protocol

import structlog
import uvloop

from parley.service.collector import collect_when_idle, collector_off
from parley.service.errors import StartError

DRAIN_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 10.0
"""How long all services together may take to close."""
_CLOSE_RESERVE_S = 0.5
_DRAIN_GRACE_S = 1.0
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_logger = structlog.stdlib.get_logger(__name__)


class Exit(IntEnum):
    """Exit statuses of every Parley process."""

    OK = 0
    FAILED = 1
    SETTINGS = 2
    INTERRUPTED = 130


class Service(Protocol):
    """A part of a process with a life of its own."""

    name: str

    async def start(self) -> None:
        """Acquires what it needs and takes work; releases everything again if it fails."""
        ...

    async def drain(self, timeout_s: float) -> None:
        """Takes no new work and returns when what it has is done, or after `timeout_s`."""
        ...

    async def aclose(self) -> None:
        """Releases everything; safe to call twice and after a failed start."""
        ...

    def is_ready(self) -> bool:
        """Says whether it takes work now."""
        ...


async def run(
    services: Sequence[Service],
    *,
    drain_timeout_s: float = DRAIN_TIMEOUT_S,
    on_ready: Callable[[], None] | None = None,
    on_drain: Callable[[float], None] | None = None,
    explain: Callable[[StartError], str] = str,
    stop: asyncio.Event | None = None,
) -> int:
    """Runs services until a signal (or `stop`) ends them.

    Args:
        services: in the order of their start; what others need comes first.
        drain_timeout_s: how long work in progress may take to end.
        on_ready: called once when all have started.
        on_drain: called once when the drain begins, with the seconds that it takes at most.
        explain: makes the sentence for the operator of an error that kept it from starting.
        stop: ends the run as a signal does when it is set.

    Returns:
        The process's exit status.
    """
    signals = _Signals(stop or asyncio.Event())
    signals.install()
    started: list[Service] = []
    try:
        if not await _start_all(services, started, signals):
            return Exit.INTERRUPTED
        if on_ready is not None:
            on_ready()
        _logger.info("ready", services=[service.name for service in services])
        with collector_off():
            await _until(collect_when_idle(), signals.first)
        _logger.info("draining", timeout_s=drain_timeout_s)
        if on_drain is not None:
            on_drain(drain_timeout_s)
        await _drain_all(started, drain_timeout_s, signals)
    except StartError as error:
        sentence = explain(error)
        _logger.error("start failed", reason=sentence)
        sys.stderr.write(f"{sentence}\n")
        return Exit.FAILED
    except Exception:
        _logger.exception("start failed")
        return Exit.FAILED
    finally:
        await _close_all(started)
        signals.remove()
    return Exit.INTERRUPTED if signals.second.is_set() else Exit.OK


def main(entry: Callable[[], Awaitable[int]]) -> int:
    """Runs a process's entry coroutine on uvloop and returns its exit status.

    A `StartError` that the entry lets through becomes its sentence on stderr and a status.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_entered(entry))


async def _entered(entry: Callable[[], Awaitable[int]]) -> int:
    try:
        return await entry()
    except StartError as error:
        _logger.error("start failed", reason=str(error))
        sys.stderr.write(f"{error}\n")
        return Exit.FAILED


class _Signals:
    """The first signal asks to drain, the second to stop at once."""

    def __init__(self, first: asyncio.Event) -> None:
        self.first = first
        self.second = asyncio.Event()

    def install(self) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._received)

    def remove(self) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    def _received(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


async def _start_all(
    services: Sequence[Service], started: list[Service], signals: _Signals
) -> bool:
    """Starts in order; False when a signal came before all were started."""
    for service in services:
        # Appended before it starts: a service that failed half-way is closed like the others.
        started.append(service)
        finished = await _until(service.start(), signals.first)
        if not finished or signals.first.is_set():
            return False
    return True


async def _drain_all(services: Sequence[Service], timeout_s: float, signals: _Signals) -> None:
    draining = asyncio.gather(*(_drain(service, timeout_s) for service in services))
    await _until(_awaited(draining), signals.second)


async def _drain(service: Service, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s + _DRAIN_GRACE_S):
            await service.drain(timeout_s)
    except TimeoutError:
        _logger.warning("drain timed out", service=service.name)
    except Exception:
        _logger.exception("drain failed", service=service.name)


async def _close_all(services: Sequence[Service]) -> None:
    deadline = asyncio.get_running_loop().time() + CLOSE_TIMEOUT_S
    for others, service in reversed(list(enumerate(services))):
        try:
            # Whoever hangs leaves time for those that come after it.
            async with asyncio.timeout_at(deadline - others * _CLOSE_RESERVE_S):
                await service.aclose()
        except TimeoutError:
            _logger.warning("close timed out", service=service.name)
        except Exception:
            _logger.exception("close failed", service=service.name)


async def _awaited(future: Awaitable[Any]) -> None:
    await future


async def _until(work: Coroutine[Any, Any, None], interrupt: asyncio.Event) -> bool:
    """Does work unless the interrupt comes first; True when the work was done."""
    task = asyncio.ensure_future(work)
    waiter = asyncio.ensure_future(interrupt.wait())
    try:
        await asyncio.wait([task, waiter], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            return False
        await task
        return True
    finally:
        for future in (task, waiter):
            future.cancel()
        await asyncio.gather(task, waiter, return_exceptions=True)
