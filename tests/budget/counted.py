"""A platform that counts its function calls."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Final, TextIO

import psutil
from tests.bench.whole_platform import Places

from parley.testkit.phones.ports import reserve_ports

_ANSWER_S: Final = 30.0
_STOP_S: Final = 10.0
_RTP_PORTS: Final = 64
_BATCHES: Final = 10
_BATCH_SIZE: Final = 50


@dataclass(frozen=True, slots=True)
class CountedPlatform:
    """The process.

    Attributes:
        places: its ports.
        pid: its process id.
        wire: one line there asks it for one line.
    """

    places: Places
    pid: int
    wire: TextIO

    def wake_ups_each(self, operate: Callable[[], None]) -> float:
        """Returns how often the process's main thread gave its core up, an operation."""
        thread = psutil.Process(self.pid)
        before = thread.num_ctx_switches().voluntary
        for _ in range(_BATCH_SIZE):
            operate()
        switches: float = thread.num_ctx_switches().voluntary - before
        return switches / _BATCH_SIZE

    def take(self) -> dict[str, int]:
        """Returns the calls since the last time, by function."""
        self.wire.write("\n")
        self.wire.flush()
        counts: dict[str, int] = json.loads(self.wire.readline())
        return counts


@contextmanager
def counted_platform() -> Iterator[CountedPlatform]:
    """Runs one until the block ends.

    Raises:
        RuntimeError: it did not start.
        TimeoutError: it did not answer in time.
        subprocess.TimeoutExpired: it did not end in time, and was killed.
    """
    places = _free_places()
    ours, its = socket.socketpair()
    with ours, its:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.budget.server", json.dumps(asdict(places))],
            stdin=its.fileno(),
            stdout=its.fileno(),
        )
        its.close()
        ours.settimeout(_ANSWER_S)
        try:
            with ours.makefile("rw") as wire:
                if wire.readline() != "ready\n":
                    raise RuntimeError("the platform did not start")
                yield CountedPlatform(places, process.pid, wire)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            finally:
                process.kill()
                process.wait()


def calls_each(
    platform: CountedPlatform, operate: Callable[[], None], but: tuple[str, ...] = ()
) -> dict[str, float]:
    """Returns the calls of one operation, by function, of 500 in ten batches.

    Housekeeping comes by time, so the batches differ; the one in the middle is returned. One before
    them warms up.

    Args:
        platform: that counts.
        operate: does it once.
        but: parts of the names of functions that are left out.
    """
    batches = []
    for _ in range(_BATCHES + 1):
        platform.take()
        for _ in range(_BATCH_SIZE):
            operate()
        taken = platform.take().items()
        batches.append({name: n for name, n in taken if not any(map(name.__contains__, but))})
    batches = sorted(batches[1:], key=lambda counts: sum(counts.values()))
    return {name: number / _BATCH_SIZE for name, number in batches[_BATCHES // 2].items()}


def _free_places() -> Places:
    rtp = reserve_ports(_RTP_PORTS, align=2)
    return Places(
        sip=reserve_ports(),
        callee=reserve_ports(),
        caller=reserve_ports(),
        tls=reserve_ports(),
        api=reserve_ports(),
        wsi=reserve_ports(),
        health=reserve_ports(),
        rtp_first=rtp,
        rtp_last=rtp + _RTP_PORTS - 1,
    )
