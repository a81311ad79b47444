"""A process can be asked and stopped from its first moment to its last."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx2
import pytest

from parley.service.clock import SystemClock
from parley.service.health import HealthApp
from parley.service.http import HttpServer
from parley.service.ids import RandomIds
from parley.service.lifecycle import Exit, run
from parley.service.metrics import Registry
from parley.service.process import HealthServer, Process, Resources
from parley.testkit.contracts.arms import settled

_HOST = "127.0.0.1"
_WAIT_S = 20.0


class _Slow:
    """A service whose drain lasts until the test lets it end."""

    name = "slow"

    def __init__(self) -> None:
        self.drains = asyncio.Event()
        self.may_end = asyncio.Event()

    async def start(self) -> None:
        pass

    async def drain(self, timeout_s: float) -> None:
        self.drains.set()
        await self.may_end.wait()

    async def aclose(self) -> None:
        pass

    def is_ready(self) -> bool:
        return True


async def test_health_answers_until_everything_else_has_ended() -> None:
    slow, stop, started = _Slow(), asyncio.Event(), asyncio.Event()
    process = Process(SystemClock(), RandomIds(), Registry())
    health = HealthServer([slow], process, _HOST, 0)
    running = asyncio.ensure_future(run((health, slow), stop=stop, on_ready=started.set))
    await asyncio.wait_for(started.wait(), _WAIT_S)
    async with httpx2.AsyncClient(base_url=f"http://{_HOST}:{health.port}") as client:
        assert (await client.get("/readyz")).status_code == 200
        stop.set()
        await asyncio.wait_for(slow.drains.wait(), _WAIT_S)
        ready, alive = await client.get("/readyz"), await client.get("/healthz")
        assert (ready.status_code, ready.json()) == (503, {"slow": False})
        assert alive.status_code == 200
        assert "parley_process_loop_lag_seconds" in (await client.get("/metrics")).text
    slow.may_end.set()
    assert await asyncio.wait_for(running, _WAIT_S) == Exit.OK


async def test_a_lame_duck_serves_on_and_is_ready_no_more() -> None:
    server = HttpServer(HealthApp([], Registry()), _HOST, 0, name="duck", lame_duck_s=60.0)
    await server.start()
    draining = asyncio.ensure_future(server.drain(60.0))
    async with httpx2.AsyncClient(base_url=f"http://{_HOST}:{server.port}") as client:
        await settled(lambda: not server.is_ready(), _WAIT_S)
        assert (await client.get("/healthz")).status_code == 200
        assert not draining.done()
    draining.cancel()
    await server.aclose()


async def test_a_drained_server_listens_no_more() -> None:
    server = HttpServer(HealthApp([], Registry()), _HOST, 0, name="duck", lame_duck_s=0.01)
    await server.start()
    await server.drain(_WAIT_S)
    async with httpx2.AsyncClient() as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get(f"http://{_HOST}:{server.port}/healthz")
    await server.aclose()


async def test_closing_takes_one_sum_however_many_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(_Slow):
        async def aclose(self) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr("parley.service.lifecycle.CLOSE_TIMEOUT_S", 0.5)
    monkeypatch.setattr("parley.service.lifecycle._CLOSE_RESERVE_S", 0.1)
    stop = asyncio.Event()
    stop.set()
    hanging = [Hanging() for _ in range(4)]
    loop = asyncio.get_running_loop()
    began = loop.time()

    await run(hanging, stop=stop, drain_timeout_s=0.0)

    assert loop.time() - began < 4 * 0.5


async def test_resources_close_in_reverse_even_if_one_fails() -> None:
    journal: list[str] = []

    class Part:
        def __init__(self, name: str) -> None:
            self.name = name

        async def start(self) -> None:
            journal.append(f"+{self.name}")

        async def aclose(self) -> None:
            journal.append(f"-{self.name}")
            if self.name == "b":
                raise ValueError("stuck")

    both = Resources("both", Part("a"), Part("b"))
    assert not both.is_ready()
    await both.start()
    assert both.is_ready()
    with pytest.raises(ValueError, match="stuck"):
        await both.aclose()

    assert journal == ["+a", "+b", "-b", "-a"]


_PROGRAM = """
import os
import sys
import time
from pathlib import Path
from pydantic_settings import SettingsConfigDict
from parley.service.process import serve
from parley.service.settings import Settings

class Demo(Settings):
    model_config = SettingsConfigDict(env_prefix="PARLEY_DEMO_")
    health_host: str = "127.0.0.1"
    health_port: int = 0
    drain_timeout_s: float = 1.0
    log_level: str = "info"

def make(settings, process):
    Path(os.environ["MAKING"]).touch()
    while not Path(os.environ["SENT"]).exists():
        time.sleep(0.01)
    return ()

if __name__ == "__main__":
    sys.exit(serve(Demo, make))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_while_services_are_made_ends_the_start(
    tmp_path: Path, number: signal.Signals
) -> None:
    program, making, sent = tmp_path / "demo.py", tmp_path / "making", tmp_path / "sent"
    program.write_text(_PROGRAM)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(program)),
        env={**os.environ, "MAKING": str(making), "SENT": str(sent)},
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await settled(making.exists, _WAIT_S)
        process.send_signal(number)
        sent.touch()
        _, told = await asyncio.wait_for(process.communicate(), _WAIT_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert process.returncode == Exit.INTERRUPTED
    assert told == b""


@pytest.mark.parametrize(("argument", "status"), [("--help", 0), ("--port", 2), ("now", 2)])
async def test_arguments_start_nothing(tmp_path: Path, argument: str, status: int) -> None:
    program, making = tmp_path / "demo.py", tmp_path / "making"
    program.write_text(_PROGRAM)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(program), argument),
        env={**os.environ, "MAKING": str(making), "SENT": str(making)},
        stderr=asyncio.subprocess.STDOUT,
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await asyncio.wait_for(process.communicate(), _WAIT_S)
    assert process.returncode == status
    assert (b"PARLEY_DEMO_HEALTH_PORT" in told) == (status == 0)
    assert not making.exists()
