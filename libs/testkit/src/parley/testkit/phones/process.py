"""Child processes of a test: owned, logged, always ended.

Output is read by a thread per child, so a child serves synchronous fixtures and, through
`asyncio.to_thread`, asynchronous tests alike; every wait is bounded and a failed one tells the
last lines the child wrote.
"""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

_TAIL_LINES = 40
_LINGER_S = 1.0


class ChildError(AssertionError):
    """A child did not do what a test needs; the text carries the end of its output."""


class Child:
    """A running child process.

    Attributes:
        name: for messages.
        log: file that receives everything the child writes, standard error included.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(  # noqa: S603 - test programs with arguments of the test
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"read {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """The process has not ended."""
        return self._process.poll() is None

    @property
    def lines(self) -> list[str]:
        """All lines written so far."""
        with self._changed:
            return self._lines.copy()

    def wait_for_line(self, pattern: str, timeout_s: float) -> str:
        """Returns the first line in which the regular expression is found.

        Raises:
            ChildError: the child ended or the time is over before it came.
        """
        search = re.compile(pattern).search
        found: list[str] = []

        def is_found(new: Sequence[str]) -> bool:
            found.extend(line for line in new if search(line))
            return bool(found)

        self.wait_until(is_found, f"wrote no line with {pattern!r}", timeout_s)
        return found[0]

    def wait_until(
        self, is_enough: Callable[[Sequence[str]], bool], complaint: str, timeout_s: float
    ) -> None:
        """Shows each line once to `is_enough`, in batches, until it is satisfied.

        Raises:
            ChildError: the child ended or the time is over before; it tells the complaint.
        """
        seen = 0
        enough = False

        def is_decided() -> bool:
            nonlocal seen, enough
            new = self._lines[seen:]
            seen += len(new)
            enough = enough or is_enough(new)
            return enough or self._ended

        with self._changed:
            self._changed.wait_for(is_decided, timeout_s)
        if not enough:
            raise self.failure(f"{complaint} in {timeout_s:g} s")

    def wait(self, timeout_s: float) -> int:
        """Waits for the end and returns the exit status (negative: a signal).

        Raises:
            ChildError: it still runs when the time is over.
        """
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise self.failure(f"still ran after {timeout_s:g} s") from None
        self._reader.join(timeout_s)
        return status

    def stop(self, timeout_s: float = 5.0) -> int:
        """Asks the child to end by SIGTERM, kills it when it does not; returns the exit status."""
        if self.is_running:
            self._process.terminate()
        try:
            return self.wait(timeout_s)
        except ChildError:
            self.kill()
            raise

    def kill(self) -> None:
        """Ends the child and what it started at once."""
        if self.is_running:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(1.0)

    def failure(self, what: str) -> ChildError:
        """An error that tells what went wrong and the last lines of output."""
        tail = "\n".join(self.lines[-_TAIL_LINES:])
        status = self._process.poll()
        state = "running" if status is None else f"ended with status {status}"
        return ChildError(f"{self.name} ({state}) {what}; log {self.log}, its last lines:\n{tail}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        with self.log.open("wb") as log, stream:
            for raw in stream:
                log.write(raw)
                log.flush()
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        # Output ends a moment before the process does; whoever is told of the end wants the status.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LINGER_S)
        with self._changed:
            self._ended = True
            self._changed.notify_all()
