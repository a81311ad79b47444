"""A platform that counts its function calls."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import IO, Final, Self

import psutil
from tests.bench.whole_platform import Places

from parley.testkit.phones.ports import reserve_ports

_STOP_S: Final = 10.0
_RTP_PORTS: Final = 64
_BATCHES: Final = 10
_BATCH_SIZE: Final = 50


class CountedPlatform:
    """The process; a context manager.

    Attributes:
        places: its ports.
    """

    def __init__(self) -> None:
        first = reserve_ports(_RTP_PORTS, align=2)
        ports = [*(reserve_ports() for _ in range(7)), first, first + _RTP_PORTS - 1]
        self.places = Places(*ports)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.budget.server", *map(str, ports)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._in, self._out = _pipe(self._process.stdin), _pipe(self._process.stdout)

    def __enter__(self) -> Self:
        if self._out.readline() != "ready\n":
            self.close()
            raise RuntimeError("the platform did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops the process."""
        self._process.terminate()
        self._process.wait(_STOP_S)
        self._in.close()
        self._out.close()

    def wake_ups_each(self, operate: Callable[[], None]) -> float:
        """Returns how often the process's main thread gave its core up, an operation."""
        thread = psutil.Process(self._process.pid)
        before = thread.num_ctx_switches().voluntary
        for _ in range(_BATCH_SIZE):
            operate()
        switches: float = thread.num_ctx_switches().voluntary - before
        return switches / _BATCH_SIZE

    def take(self) -> dict[str, int]:
        """Returns the calls since the last time, by function."""
        self._in.write("\n")
        self._in.flush()
        counts: dict[str, int] = json.loads(self._out.readline())
        return counts


def calls_each(
    platform: CountedPlatform, operate: Callable[[], None], but: tuple[str, ...] = ()
) -> dict[str, float]:
    """Returns the calls of one operation, by function, of 500 in ten batches.

    The batch that took least is returned, which no housekeeping met; one before them warms up.

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
    least = min(batches[1:], key=lambda counts: sum(counts.values()))
    return {name: number / _BATCH_SIZE for name, number in least.items()}


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
