"""CPU time of a process with its threads and children, to the nanosecond, as the scheduler counts.

`/proc/PID/task/TID/schedstat` begins with the nanoseconds that the thread has run and those that it
was ready to run while its core did something else. Work of the network stack that is done while a
thread sends or receives is in the first. A thread that has ended is in neither: `meters.cpu_s` has
those, too, but counts in ticks of ten milliseconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Nanoseconds that threads have run, and that they waited for a core."""

    ran_ns: int
    waited_ns: int

    def __add__(self, other: "CpuTime") -> "CpuTime":
        return CpuTime(self.ran_ns + other.ran_ns, self.waited_ns + other.waited_ns)

    def __sub__(self, other: "CpuTime") -> "CpuTime":
        return CpuTime(self.ran_ns - other.ran_ns, self.waited_ns - other.waited_ns)


def parse_schedstat(text: str) -> CpuTime:
    """Reads the account of a thread."""
    ran, waited, _ = text.split()
    return CpuTime(int(ran), int(waited))


def cpu_time(pid: int, proc: Path = _PROC) -> CpuTime:
    """What a process, its threads and its living children have used so far.

    Raises:
        ProcessLookupError: there is no such process, or the kernel keeps no such account.
    """
    threads = [parse_schedstat(text) for text in _read_all(pid, "schedstat", proc)]
    if not threads:
        raise ProcessLookupError(f"there is no account of the CPU time of process {pid}")
    children = {int(child) for text in _read_all(pid, "children", proc) for child in text.split()}
    total = sum(threads, start=CpuTime(0, 0))
    for child in children:
        try:
            total += cpu_time(child, proc)
        except ProcessLookupError:
            continue
    return total


def _read_all(pid: int, name: str, proc: Path) -> Iterator[str]:
    """Reads a file of each thread; a thread that ends meanwhile is left out."""
    try:
        threads = sorted((proc / str(pid) / "task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return
    for thread in threads:
        try:
            yield (thread / name).read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
