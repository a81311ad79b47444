"""What all services of the process stand on: backing services and the tenant directory."""

from parley.backing.directory import TenantDirectory
from parley.backing.factory import Backing


class Foundation:
    """Backing and directory as the first service to start and the last to close."""

    name = "backing"

    def __init__(self, backing: Backing, directory: TenantDirectory) -> None:
        self._backing = backing
        self._directory = directory
        self._is_started = False

    async def start(self) -> None:
        """Opens what is kept in the data folder.

        Raises:
            StartError: another process has it, or it cannot be opened.
        """
        await self._backing.start()
        await self._directory.start()
        self._is_started = True

    async def drain(self, timeout_s: float) -> None:
        """Does nothing: the others need it to the end."""

    async def aclose(self) -> None:
        """Writes what is queued and closes everything."""
        self._is_started = False
        await self._directory.aclose()
        await self._backing.aclose()

    def is_ready(self) -> bool:
        """Says whether everything is open."""
        return self._is_started
