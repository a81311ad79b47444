"""What is started and stopped: a server, or several that belong together."""

from abc import ABC, abstractmethod
from typing import Self


class Startable(ABC):
    """Runs while it is entered as a context manager."""

    @abstractmethod
    def start(self) -> None:
        """Returns when it serves.

        Raises:
            ServerAbsent: it cannot be had on this machine.
            ServerFailed: it does not start.
        """

    @abstractmethod
    def stop(self) -> None:
        """Ends it; safe to call twice."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
