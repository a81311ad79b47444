"""A program that has imported every service and forks them: a start without two seconds of imports.

It reads one JSON object per line, `{"module", "environment", "log"}`, and answers each with the
number of the process that runs the module now. The process is nobody's child here: it goes to the
nearest ancestor that asked for orphans (`PR_SET_CHILD_SUBREAPER`), which is the supervisor. The end
of the input is the end of the nursery; what it has started goes on.

Nothing may have threads, sockets or random state before a fork: imports only.
"""

import importlib
import json
import os
import runpy
import sys
from typing import TypedDict

_LOG_MODE = 0o644


class Order(TypedDict):
    """What to run."""

    module: str
    environment: dict[str, str]
    log: str


def serve() -> str | None:
    """Forks for every order; returns the module's name in a new process, None at the end."""
    for line in sys.stdin:
        order: Order = json.loads(line)
        here, there = os.pipe()
        first = os.fork()
        if first == 0:
            # The second fork makes the new process an orphan at once.
            pid = os.fork()
            if pid:
                os.write(there, str(pid).encode())
                os._exit(0)
            os.close(here)
            os.close(there)
            _enter(order)
            return order["module"]
        os.close(there)
        os.waitpid(first, 0)
        with os.fdopen(here) as answer:
            sys.stdout.write(f"{answer.read()}\n")
            sys.stdout.flush()
    return None


def _enter(order: Order) -> None:
    """Makes this process what a shell would have started."""
    os.setsid()
    output = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, _LOG_MODE)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(output)
    os.close(nothing)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the process's own, to its end
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(order["environment"])


def main() -> None:
    """Imports what is to be forked, says so by an empty line, and serves."""
    for module in sys.argv[1:]:
        importlib.import_module(f"{module}.__main__")
    sys.stdout.write("\n")
    sys.stdout.flush()
    chosen = serve()
    if chosen is not None:
        sys.argv = [chosen]
        # Executed anew: it was only imported so far.
        sys.modules.pop(f"{chosen}.__main__", None)
        runpy.run_module(chosen, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
