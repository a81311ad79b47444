"""The data folder: one process at a time, and the secrets in it.

It is locked before anything is written, so that a second process, which is about to be refused,
renews no certificate of the first. The kernel gives the lock back when a process dies.
"""

import fcntl
import os
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from parley.allinone.certificate import ensure_certificate
from parley.allinone.private_file import ensure_secret
from parley.service.errors import StartError


class Secrets(NamedTuple):
    """What the edges need: PEM files for TLS, and the key of tokens and nonces."""

    certificate: Path
    key: Path
    edge: SecretStr


class DataFolder:
    """The folder as a service: the last thing that is closed."""

    name = "data folder"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    def open(self, names: list[str], now: datetime) -> Secrets:
        """Locks the folder and returns its secrets, made if need be.

        Args:
            names: that the certificate covers.
            now: aware wall time.

        Raises:
            StartError: another process has it, or it cannot be written.
        """
        try:
            self._acquire()
            folder = self.path / "secrets"
            certificate, key = ensure_certificate(folder, names, now)
            return Secrets(certificate, key, SecretStr(ensure_secret(folder / "edge")))
        except OSError as error:
            self._release()
            reason = error.strerror or str(error)
            raise StartError(f"The data folder {self.path} cannot be used: {reason}.") from error

    async def start(self) -> None:
        """Does nothing: `open` came first."""

    async def drain(self, timeout_s: float) -> None:
        """Does nothing: the others need it to the end."""

    async def aclose(self) -> None:
        """Lets another process have it."""
        self._release()

    def is_ready(self) -> bool:
        """Says whether it is ours."""
        return self._lock >= 0

    def _acquire(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._release()
            raise StartError(
                f"Another process uses the data folder {self.path}: stop it, or choose another by "
                "PARLEY_DATA."
            ) from error

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
