"""A process starts in order, drains on a signal and always closes what it opened."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable

import pytest
import structlog.testing

from parley.service.errors import StartError
from parley.service.lifecycle import Exit, Service, main, run


class _Part:
    """A service that writes down what happens to it."""

    def __init__(self, name: str, journal: list[str]) -> None:
        self.name = name
        self.journal = journal
        self.on_start: Callable[[], None] | None = None
        self.drained = asyncio.Event()
        self.drained.set()
        self.drain_began = asyncio.Event()
        self.fails_to_close = False

    async def start(self) -> None:
        self.journal.append(f"start {self.name}")
        if self.on_start is not None:
            self.on_start()
            await asyncio.sleep(0)

    async def drain(self, timeout_s: float) -> None:
        self.journal.append(f"drain {self.name}")
        self.drain_began.set()
        await self.drained.wait()

    async def aclose(self) -> None:
        self.journal.append(f"close {self.name}")
        if self.fails_to_close:
            raise ValueError("stuck")

    def is_ready(self) -> bool:
        return True


def _raise_signal() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _refuse_to_start() -> None:
    raise StartError("The demo cannot start.")


async def test_services_start_in_order_and_close_in_reverse_after_a_signal() -> None:
    journal: list[str] = []
    parts = [_Part("a", journal), _Part("b", journal)]

    status = await run(parts, on_ready=_raise_signal)

    assert status == Exit.OK
    assert journal == ["start a", "start b", "drain a", "drain b", "close b", "close a"]


async def test_failed_start_closes_what_was_started_and_says_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    journal: list[str] = []
    parts = [_Part("a", journal), _Part("b", journal), _Part("c", journal)]
    parts[1].on_start = _refuse_to_start

    status = await run(parts)

    assert status == Exit.FAILED
    assert journal == ["start a", "start b", "close b", "close a"]
    assert capsys.readouterr().err == "The demo cannot start.\n"


async def test_signal_during_the_start_ends_it() -> None:
    journal: list[str] = []
    part = _Part("a", journal)
    stop = asyncio.Event()
    part.on_start = stop.set

    status = await run([part, _Part("b", journal)], stop=stop)

    assert status == Exit.INTERRUPTED
    assert "drain a" not in journal
    assert "start b" not in journal
    assert journal[-1] == "close a"


async def test_second_signal_skips_the_rest_of_the_draining() -> None:
    journal: list[str] = []
    part = _Part("a", journal)
    part.drained.clear()
    stop = asyncio.Event()
    running = asyncio.ensure_future(run([part], on_ready=stop.set, stop=stop))
    await part.drain_began.wait()

    _raise_signal()

    assert await running == Exit.INTERRUPTED
    assert journal == ["start a", "drain a", "close a"]


async def test_service_that_does_not_drain_in_time_is_closed() -> None:
    journal: list[str] = []
    part = _Part("a", journal)
    part.drained.clear()
    stop = asyncio.Event()

    with structlog.testing.capture_logs() as logs:
        status = await run([part], drain_timeout_s=-0.95, on_ready=stop.set, stop=stop)

    assert status == Exit.OK
    assert journal[-1] == "close a"
    assert ("drain timed out", "a") in [(line["event"], line.get("service")) for line in logs]


async def test_service_that_fails_to_close_does_not_keep_others_open() -> None:
    journal: list[str] = []
    parts: list[_Part] = [_Part("a", journal), _Part("b", journal)]
    parts[1].fails_to_close = True

    with structlog.testing.capture_logs() as logs:
        await run(parts, on_ready=_raise_signal)

    assert journal[-2:] == ["close b", "close a"]
    assert [line["service"] for line in logs if line["event"] == "close failed"] == ["b"]


async def test_signal_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)

    await run([], on_ready=_raise_signal)

    assert signal.getsignal(signal.SIGTERM) == before


def test_main_runs_on_uvloop_and_returns_the_status() -> None:
    loops: list[str] = []

    async def entry() -> int:
        loops.append(type(asyncio.get_running_loop()).__module__)
        services: list[Service] = []
        return await run(services, on_ready=_raise_signal)

    assert main(entry) == Exit.OK
    assert loops == ["uvloop"]


async def test_the_collector_rests_while_the_process_serves() -> None:
    stop = asyncio.Event()
    seen: list[bool] = []

    def look() -> None:
        seen.append(gc.isenabled())
        stop.set()

    def look_soon() -> None:
        asyncio.get_running_loop().call_soon(look)

    assert await run([_Part("a", [])], on_ready=look_soon, stop=stop) == Exit.OK

    assert seen == [False]
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_what_cannot_start_says_so_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    async def entry() -> int:
        raise StartError("The folder is another process's.")

    assert main(entry) == Exit.FAILED
    assert capsys.readouterr().err == "The folder is another process's.\n"
