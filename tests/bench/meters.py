"""What a running platform has spent: CPU per process, Redis's own counts, exported series."""

import socket
import urllib.request
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import psutil
from tests.cluster.control import Control, ProcessEntry, ServerEntry

_TIMEOUT_S: Final = 5.0
_NUMBERS: Final = frozenset(("total_net_input_bytes", "total_net_output_bytes", "used_memory"))


@dataclass
class Reading:
    """The counts at one moment.

    Attributes:
        cpu_s: by process name.
        redis: numbers of `INFO`: `total_net_input_bytes`, `cmd_get`...
        series: exported counters, summed over a service's processes: `edgeproxy state_commands`.
    """

    cpu_s: dict[str, float]
    redis: dict[str, float]
    series: dict[str, float]

    def since(self, before: "Reading") -> "Reading":
        """What was added."""
        return Reading(
            _difference(self.cpu_s, before.cpu_s),
            _difference(self.redis, before.redis),
            _difference(self.series, before.series),
        )

    def cpu_of(self, service: str) -> float:
        """Seconds of CPU of a service's processes together."""
        return sum(spent for name, spent in self.cpu_s.items() if name.startswith(service))

    def redis_commands(self) -> dict[str, float]:
        """Commands by name."""
        return {
            name.removeprefix("cmd_"): number
            for name, number in self.redis.items()
            if name.startswith("cmd_") and number
        }


def cpu_s(pid: int) -> float:
    """CPU of a process, its threads and what it started, in seconds, as the scheduler counted."""
    process = psutil.Process(pid)
    spent = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system
    return spent


def read(control: Control) -> Reading:
    """Reads a cluster's counts."""
    entries: list[ProcessEntry | ServerEntry] = [*control.processes, *control.servers]
    spent = {each.name: cpu_s(each.pid) for each in entries if each.pid > 0}
    series: dict[str, float] = {}
    for process in control.processes:
        for name, number in scrape(process.health).items():
            key = f"{process.service} {name}"
            series[key] = series.get(key, 0.0) + number
    return Reading(spent, redis_info(control.backing["PARLEY_BACKING_STATE_URL"]), series)


def scrape(health: str) -> dict[str, float]:
    """Reads the unlabelled counters that a process exports, without prefix and `_total`."""
    with urllib.request.urlopen(f"{health}/metrics", timeout=_TIMEOUT_S) as answer:
        lines = answer.read().decode().splitlines()
    found = {}
    for line in lines:
        name, _, number = line.partition(" ")
        if name.startswith("parley_") and name.endswith("_total"):
            found[name.removesuffix("_total").partition("_")[2].partition("_")[2]] = float(number)
    return found


def redis_info(url: str) -> dict[str, float]:
    """Reads Redis's own counts."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname or "", place.port or 0), _TIMEOUT_S) as opened:
        opened.sendall(b"INFO everything\r\n")
        with opened.makefile("rb") as stream:
            size = int(stream.readline()[1:])
            lines = stream.read(size).decode().splitlines()
    numbers = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name.startswith("cmdstat_"):
            numbers[name.replace("cmdstat_", "cmd_")] = float(value.split(",")[0].split("=")[1])
        elif name in _NUMBERS:
            numbers[name] = float(value)
    return numbers


def rss(pid: int) -> int:
    """Resident memory of a process, bytes."""
    return int(psutil.Process(pid).memory_info().rss)


def _difference(after: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {name: number - before.get(name, 0.0) for name, number in after.items()}
