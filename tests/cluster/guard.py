"""Kills the children of a process that died without stopping them; a program of its own.

It reads lines from the process that it guards: `+PID` when a child was started, `-PID` when that
one was reaped. The end of its input is the end of that process, however it came: what is still
registered is killed then. (The kernel's own signal to orphans is tied to the thread that started a
child, and so would kill a server when a worker thread ends.)

Run by path with an isolated interpreter: standard library alone.
"""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

_STATE, _START_TIME = 0, 19
_DEAD = "ZX"


def birth(pid: int) -> str:
    """Returns when a process was born, in clock ticks; empty when it is dead, reaped or not.

    Number and birth together name a process for good: numbers are used again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    # The program's name, in parentheses, may hold anything.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[_STATE] in _DEAD else fields[_START_TIME]


def main() -> None:
    """Follows the input to its end, then kills what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    children: dict[int, str] = {}
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "+":
            children[pid] = birth(pid)
        else:
            children.pop(pid, None)
    for pid, born in children.items():
        if born and birth(pid) == born:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
