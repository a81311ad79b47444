"""What all servers have in common: a folder, ports, a child, and a proof that it works."""

import shutil
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from time import sleep
from typing import ClassVar

from tests.cluster.child import Child
from tests.cluster.ports import free_port, is_free
from tests.cluster.servers.errors import ServerAbsent, ServerFailed
from tests.cluster.servers.startable import Startable

from parley.service.clock import Clock, SystemClock
from parley.service.tls import TlsFiles

HOST = "127.0.0.1"
_POLL_S = 0.02
_PORT_TRIES = 3


class Unready(Exception):
    """An operation did not go through yet."""


class Server(Startable):
    """A server on loopback; all methods block, with bounds.

    Port and data stay the same over restarts, also after `kill`. A context manager: entered it
    starts, left it stops.

    Attributes:
        name: for messages and the log's name.
        folder: of its data, configuration and log.
        port: its clients' TCP port.
        tls: files of a server that takes TLS alone, from clients with a certificate of the same CA
            alone; None for a plain one. Set before the first start.
    """

    tls: TlsFiles | None = None
    name: str
    start_timeout_s: ClassVar[float] = 30.0
    stop_timeout_s: ClassVar[float] = 10.0

    def __init__(self, folder: Path, port: int = 0, clock: Clock | None = None) -> None:
        """Starts nothing yet.

        Args:
            folder: made if absent.
            port: for clients; 0 picks a free one.
            clock: for time limits.
        """
        self.folder = folder
        self.port = port or free_port()
        self._is_port_given = bool(port)
        self._clock = clock or SystemClock()
        self._child: Child | None = None
        self._has_run = False

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it."""

    @property
    def pid(self) -> int:
        """Process id of the running server.

        Raises:
            ServerFailed: it does not run.
        """
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Says whether the process has not ended."""
        return self._child is not None and self._child.is_running

    def start(self) -> None:
        """Starts it and returns when a real operation has gone through.

        Raises:
            ServerAbsent: it cannot be had on this machine.
            ServerFailed: it ended, or does not answer in time.
        """
        if self.is_running:
            return
        tries = 1 if self._has_run or self._is_port_given else _PORT_TRIES
        for left in reversed(range(tries)):
            try:
                self._start_once()
                self._has_run = True
                return
            except ServerFailed:
                if not left or is_free(self.port):
                    raise
                # Somebody was quicker on this port.
                self._choose_ports()

    def stop(self) -> None:
        """Asks it to end; kills it when it does not within its time."""
        child, self._child = self._child, None
        if child is not None:
            self._stop_child(child)

    def kill(self) -> None:
        """Ends it at once, as a machine that loses power (but for the kernel's buffers)."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def freeze(self) -> None:
        """Halts it: connections stay open, nothing is answered."""
        self._running().freeze()

    def thaw(self) -> None:
        """Lets a halted server go on."""
        self._running().thaw()

    def restart(self) -> None:
        """Stops and starts it."""
        self.stop()
        self.start()

    @abstractmethod
    def _prepare(self) -> Sequence[str]:
        """Makes data folder and configuration ready and returns the command line."""

    @abstractmethod
    def _probe(self) -> None:
        """Does a real operation; raises `OSError` or `Unready` while that is not possible."""

    def _choose_ports(self) -> None:
        self.port = free_port()

    def _user(self) -> str | None:
        return None

    def _inherited(self) -> Sequence[int]:
        return ()

    def _stop_child(self, child: Child) -> None:
        child.stop(self.stop_timeout_s)

    def _running(self) -> Child:
        if self._child is None or not self._child.is_running:
            raise ServerFailed(f"{self.name} does not run.")
        return self._child

    def _start_once(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        argv = self._prepare()
        log = self.folder / f"{self.name}.log"
        child = Child(
            self.name,
            argv,
            log,
            user=self._user(),
            inherited=self._inherited(),
            clock=self._clock,
        )
        self._child = child
        try:
            self._wait_ready(child)
        except BaseException:
            self.kill()
            raise

    def _wait_ready(self, child: Child) -> None:
        until = self._clock.now() + self.start_timeout_s
        while True:
            try:
                self._probe()
                return
            except (OSError, Unready) as error:
                reason = str(error)
            if not child.is_running:
                raise ServerFailed(
                    f"{self.name} ended with status {child.status}; "
                    f"log {child.log}, its last lines:\n{child.tail()}"
                )
            if self._clock.now() > until:
                raise ServerFailed(
                    f"{self.name} was not ready in {self.start_timeout_s:g} s ({reason}); "
                    f"log {child.log}, its last lines:\n{child.tail()}"
                )
            sleep(_POLL_S)


def program(name: str, package: str) -> str:
    """Returns the path of an installed program.

    Raises:
        ServerAbsent: it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise ServerAbsent(f"{name} is not installed (Debian: {package}).")
    return path
