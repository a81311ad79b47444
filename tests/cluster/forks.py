"""Processes that a nursery has forked for us, and the nursery itself."""

import ctypes
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import sleep
from typing import Final

from tests.cluster import nursery
from tests.cluster.servers.errors import ServerFailed

from parley.service.clock import Clock, SystemClock

_PR_SET_CHILD_SUBREAPER: Final = 36
_START_S: Final = 60.0
_FORK_S: Final = 10.0
_POLL_S: Final = 0.01


class Forked:
    """A process that became our child when its parent ended; stands in for `subprocess.Popen`.

    Attributes:
        pid: process id.
        returncode: exit status (negative: a signal) as far as it was asked for.
    """

    def __init__(self, pid: int, clock: Clock | None = None) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._clock = clock or SystemClock()

    def poll(self) -> int | None:
        """Returns the exit status; None while it runs."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                # Somebody else has reaped it: it has ended, nobody knows how.
                self.returncode = 0
            else:
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Waits for the end.

        Raises:
            subprocess.TimeoutExpired: it did not come in time.
        """
        until = self._clock.now() + timeout
        while (status := self.poll()) is None:
            if self._clock.now() > until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            sleep(_POLL_S)
        return status

    def send_signal(self, sig: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)


class Nursery:
    """The program that forks services, as a service; asked for one process at a time."""

    name = "nursery"

    def __init__(self, log: Path, modules: Sequence[str]) -> None:
        """Takes where its complaints go, and what it imports."""
        self._log = log
        self._modules = modules
        self._process: subprocess.Popen[str] | None = None

    async def start(self) -> None:
        """Begins to import, and does not wait: servers take as long to start as that."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        # Orphans of the nursery become our children; what it forks is orphaned at once.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - our own program
                [sys.executable, "-m", nursery.__name__, *self._modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                start_new_session=True,
            )

    def wait_imported(self) -> None:
        """Blocks until all is imported.

        Raises:
            ServerFailed: it did not come up.
        """
        self._answer(_START_S)

    async def drain(self, timeout_s: float) -> None:
        """Does nothing: what it has forked is others' business."""

    def is_ready(self) -> bool:
        """Says whether it runs."""
        return self._process is not None and self._process.poll() is None

    def fork(self, module: str, environment: Mapping[str, str], log: Path) -> Forked:
        """Runs a module in a process of its own.

        Raises:
            ServerFailed: the nursery does not answer.
        """
        process = self._process
        if process is None or process.stdin is None:
            raise ServerFailed("the nursery is not started")
        order = {"module": module, "environment": dict(environment), "log": str(log)}
        try:
            process.stdin.write(f"{json.dumps(order)}\n")
            process.stdin.flush()
        except OSError as error:
            raise ServerFailed(f"the nursery is gone; log {self._log}") from error
        return Forked(int(self._answer(_FORK_S)))

    async def aclose(self) -> None:
        """Ends it; what it has started goes on."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _answer(self, timeout_s: float) -> str:
        process = self._process
        if process is None or process.stdout is None:
            raise ServerFailed("the nursery is not started")
        readable, _, _ = select.select([process.stdout], [], [], timeout_s)
        line = process.stdout.readline() if readable else ""
        if not line:
            raise ServerFailed(f"the nursery does not answer; log {self._log}")
        return line
