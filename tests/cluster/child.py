"""Child processes of a cluster: logged, signalled with all their descendants, never orphaned."""

import atexit
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Protocol, Self

from tests.cluster import guard

from parley.service.clock import Clock, SystemClock

_POLL_S = 0.01
_GONE_S = 5.0
_STOPPED_S = 2.0
_STOPPED = "TtZX"
_TAIL_BYTES = 4096


class Handle(Protocol):
    """What `subprocess.Popen` has and a child needs."""

    @property
    def pid(self) -> int:
        """Process id."""
        ...

    @property
    def returncode(self) -> int | None:
        """Exit status as far as it was asked for."""
        ...

    def poll(self) -> int | None:
        """Exit status; None while it runs."""
        ...

    def wait(self, timeout: float) -> int:
        """Waits for the end. Raises `subprocess.TimeoutExpired`."""
        ...

    def send_signal(self, sig: int) -> None:
        """Sends a signal."""
        ...


class Child:
    """A running process in a session of its own; it dies when this process does.

    Attributes:
        name: for messages.
        pid: process id, that of its process group too.
        log: file to which its output is appended.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        inherited: Sequence[int] = (),
        clock: Clock | None = None,
    ) -> None:
        """Starts the process.

        Args:
            name: for messages.
            argv: program and arguments.
            log: its folder exists.
            env: the whole environment; that of this process unless given.
            user: as whom it runs, in the root folder, when this process is root's.
            inherited: open file descriptors that it gets.
            clock: for time limits.
        """
        group = pwd.getpwnam(user).pw_gid if user else None
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd="/" if user else None,
                pass_fds=inherited,
                user=user,
                group=group,
                extra_groups=[] if user else None,
                start_new_session=True,
            )
        self._adopt(name, process, log, clock)

    def _adopt(self, name: str, process: "Handle", log: Path, clock: Clock | None) -> None:
        self.name = name
        self.log = log
        self._clock = clock or SystemClock()
        self._process = process
        self.pid = process.pid
        _guard.tell(f"+{self.pid}")

    @classmethod
    def of(cls, name: str, process: "Handle", log: Path, clock: Clock | None = None) -> Self:
        """Takes charge of a process that somebody else has started for us, as our child."""
        child = cls.__new__(cls)
        child._adopt(name, process, log, clock)
        return child

    @property
    def status(self) -> int | None:
        """Exit status (negative: a signal); None while it runs."""
        before = self._process.returncode
        status = self._process.poll()
        if before is None and status is not None:
            _guard.tell(f"-{self.pid}")
        return status

    @property
    def is_running(self) -> bool:
        """Says whether it has not ended."""
        return self.status is None

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process alone; does nothing when it has ended."""
        if self.is_running:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> bool:
        """Waits for the end; says whether it came in time."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
            _guard.tell(f"-{self.pid}")
            return True
        return False

    def stop(self, timeout_s: float, number: signal.Signals = signal.SIGTERM) -> bool:
        """Asks it to end and kills it when it does not; says whether it ended by itself."""
        self.thaw()
        self.send(number)
        if self.wait(timeout_s):
            return True
        self.kill()
        return False

    def kill(self) -> None:
        """Ends the process and all its descendants at once; returns when they are gone."""
        if not self.is_running:
            return
        family = [(pid, guard.birth(pid)) for pid in self._family()]
        for pid, _ in family:
            _send(pid, signal.SIGKILL)
        self.wait(_GONE_S)
        until = self._clock.now() + _GONE_S
        # Not our children, so nobody tells us when they have let go of ports and memory.
        while any(born and guard.birth(pid) == born for pid, born in family[1:]):
            if self._clock.now() > until:
                return
            sleep(_POLL_S)

    def freeze(self) -> None:
        """Stops process and descendants without their noticing (SIGSTOP); returns when they are."""
        family = self._family()
        for pid in family:
            _send(pid, signal.SIGSTOP)
        until = self._clock.now() + _STOPPED_S
        while any(map(_runs, family)) and self._clock.now() < until:
            sleep(_POLL_S)

    def thaw(self) -> None:
        """Lets them go on (SIGCONT)."""
        for pid in self._family():
            _send(pid, signal.SIGCONT)

    def tail(self) -> str:
        """Returns the end of the log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                return log.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def _family(self) -> list[int]:
        return [self.pid, *_descendants(self.pid)] if self.is_running else []


def _descendants(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _descendants(child)


def _children(pid: int) -> list[int]:
    """Children of all threads; any of them, and the process itself, may end meanwhile."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                listing = Path(f"/proc/{pid}/task/{thread}/children")
                found += map(int, listing.read_text(encoding="ascii").split())
    return found


def _runs(pid: int) -> bool:
    """Whether a thread of it is neither stopped nor dead; the signal reaches them one by one."""
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                stat = Path(f"/proc/{pid}/task/{thread}/stat").read_text("ascii", "replace")
                if stat.rpartition(")")[2].split()[0] not in _STOPPED:
                    return True
    return False


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


class _Guard:
    """The way to the program that kills our children if we cannot."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def tell(self, line: str) -> None:
        with self._lock:
            if self._process is None or self._owner != os.getpid():
                self._start()
            assert self._process is not None and self._process.stdin is not None
            with suppress(BrokenPipeError):
                self._process.stdin.write(f"{line}\n")
                self._process.stdin.flush()

    def _start(self) -> None:
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        atexit.register(self._close, self._process)

    def _close(self, process: subprocess.Popen[str]) -> None:
        if self._owner == os.getpid() and process.stdin is not None:
            process.stdin.close()
            process.wait(_GONE_S)


_guard = _Guard()
