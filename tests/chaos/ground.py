"""A running cluster with phones on it, and the ways to break it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx2
from tests.cluster.control import Control, ProcessEntry, ServerEntry, read_control

from parley.testkit.farm.load import Load
from parley.testkit.phones.line import Line
from parley.testkit.phones.ports import reserve_ports
from parley.testkit.phones.process import Child
from parley.testkit.platform.api import ApiClient
from parley.testkit.platform.running import Demo

_ARGV: Final = [sys.executable, "-m", "tests.cluster", "up"]
_START_S: Final = 90.0
_STOP_S: Final = 45.0
_RESTART_S: Final = 60.0
_RTP_PORTS: Final = 800
_FIRST_NUMBER: Final = 3000
_PARALLEL: Final = 8
FOLDER: Final = "{folder}"
"""Stands for the folder of the run in the settings of a scenario."""


class Ground:
    """One cluster of processes.

    Attributes:
        data: its folder.
        folder: of this run.
        demo: the demo tenant.
        api: a client of its REST API.
    """

    def __init__(
        self, spawn: Callable[[], Child], child: Child, data: Path, demo: Demo, api: ApiClient
    ) -> None:
        self.child = child
        self._spawn = spawn
        self.data = data
        self.folder = data.parent
        self.demo = demo
        self.api = api
        self._numbers = _FIRST_NUMBER

    # --- what there is ---------------------------------------------------------------------

    @property
    def control(self) -> Control:
        """Where everything is, at this moment."""
        control = read_control(self.data)
        assert control is not None, "the cluster is gone"
        return control

    def processes(self, service: str) -> list[ProcessEntry]:
        """The processes of a service."""
        return [each for each in self.control.processes if each.service == service]

    def find(self, name: str) -> ProcessEntry | ServerEntry:
        """A process (`edgeproxy-1`) or server (`redis`) by name."""
        control = self.control
        entries: list[ProcessEntry | ServerEntry] = [*control.processes, *control.servers]
        for each in entries:
            if each.name == name:
                return each
        raise AssertionError(f"there is no {name} in this cluster")

    # --- faults ----------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """Ends it as a crash would, descendants included."""
        self._signal(name, signal.SIGKILL)

    def terminate(self, name: str) -> None:
        """Asks it to end, as a rolling restart does."""
        self._signal(name, signal.SIGTERM)

    def freeze(self, name: str) -> None:
        """Halts it: its sockets stay open and nothing is answered."""
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Lets it go on."""
        self._signal(name, signal.SIGCONT)

    async def restart(self, name: str) -> None:
        """Starts it again (stops it first when it runs) and waits until it is ready."""
        control = self.control
        async with httpx2.AsyncClient(timeout=_RESTART_S) as http:
            answer = await http.post(
                f"{control.url}/restart/{quote(name, safe='')}",
                headers={"Authorization": f"Bearer {control.token}"},
            )
        assert answer.is_success, f"{name} did not start again: {answer.text}"

    async def power_off(self) -> None:
        """Kills the supervisor, and thereby everything else, at once."""
        control = self.control
        self.child.kill()
        entries: list[ProcessEntry | ServerEntry] = [*control.processes, *control.servers]
        pids = [each.pid for each in entries if each.pid > 0]
        async with asyncio.timeout(_STOP_S):
            while any(_is_there(pid) for pid in pids):  # noqa: ASYNC110 - not our children
                await asyncio.sleep(0.02)

    async def power_on(self) -> None:
        """Starts the cluster again on what is left in its folder."""
        self.child = self._spawn()
        await asyncio.to_thread(self.child.wait_for_line, "^Parley is ready$", _START_S)

    def _signal(self, name: str, number: signal.Signals) -> None:
        pid = self.find(name).pid
        assert pid > 0, f"{name} does not run"
        # Each leads a process group of its own.
        os.killpg(pid, number)

    # --- phones ----------------------------------------------------------------------------

    async def lines(self, wanted: int) -> list[Line]:
        """New extensions for that many phones."""
        gate = asyncio.Semaphore(_PARALLEL)

        async def one(number: str) -> Line:
            async with gate:
                body = {"number": number, "password": f"secret-{number}"}
                await self.api.post(f"{self.api.tenant_path}/extensions", body)
                return Line(number, f"secret-{number}", self.demo.domain)

        first, self._numbers = self._numbers, self._numbers + wanted
        numbers = [str(number) for number in range(first, first + wanted)]
        return list(await asyncio.gather(*map(one, numbers)))

    @asynccontextmanager
    async def load(self, phones: int, transport: str = "udp") -> AsyncIterator[Load]:
        """Registered phones, ready to call."""
        async with Load(await self.lines(phones), self.demo.sip, transport) as load:
            yield load

    def complaints(self) -> Sequence[str]:
        """Tracebacks and errors in the logs of the processes."""
        found: list[str] = []
        for entry in self.control.processes:
            text = Path(entry.log).read_text(errors="replace")
            found += [
                f"{entry.name}: {line[:300]}"
                for line in text.splitlines()
                if line.startswith("Traceback") or '"level":"error"' in line
            ]
        return found


@cache
def _rtp_ports() -> int:
    """The first media port: one block for all clusters of a run, which follow each other."""
    return reserve_ports(_RTP_PORTS, align=2)


@asynccontextmanager
async def cluster(folder: Path, settings: Mapping[str, str] = {}) -> AsyncIterator[Ground]:
    """A cluster of its own; stopped at the end, whatever was broken."""
    data = folder / "cluster"
    rtp = _rtp_ports()
    environment = {
        "PARLEY_CLUSTER_DATA": str(data),
        "PARLEY_CLUSTER_RTP_PORTS": f"{rtp}-{rtp + _RTP_PORTS - 1}",
        "PARLEY_CLUSTER_LOG_LEVEL": "info",
        **{f"PARLEY_CLUSTER_{name}_PORT": str(reserve_ports()) for name in ("SIP", "SIP_TLS")},
        **{f"PARLEY_CLUSTER_{name}_PORT": str(reserve_ports()) for name in ("API", "WSI")},
        **{name: value.replace(FOLDER, str(folder)) for name, value in settings.items()},
    }
    starts = count(1)

    def spawn() -> Child:
        log = folder / f"cluster-{next(starts)}.log"
        return Child("cluster", _ARGV, log, environment)

    child = spawn()
    ground = None
    try:
        await asyncio.to_thread(child.wait_for_line, "^Parley is ready$", _START_S)
        demo = Demo.read(data / "demo.json")
        async with ApiClient(demo) as api:
            ground = Ground(spawn, child, data, demo, api)
            yield ground
    finally:
        await asyncio.to_thread(_stop, child if ground is None else ground.child, data)


def _stop(child: Child, data: Path) -> None:
    control = read_control(data)
    entries: list[ProcessEntry | ServerEntry] = []
    if control is not None:
        entries = [*control.processes, *control.servers]
    for each in entries:
        if each.pid > 0:
            # What a broken-off test left frozen could not stop.
            _send(each.pid, signal.SIGCONT)
    _send(child.pid, signal.SIGTERM)
    try:
        child.wait(_STOP_S)
    finally:
        child.kill()


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _send(pid: int, number: signal.Signals) -> None:
    """Signals a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
