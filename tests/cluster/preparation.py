"""What is made once in a cluster before its processes start: the schema and the demo tenant."""

from collections.abc import Callable
from pathlib import Path

from parley.allinone.demo import Addresses, Demo, prepare
from parley.backing.db.engine import Database
from parley.service.clock import Clock
from parley.service.tls import TlsFiles


class Preparation:
    """Migrates the database and sees to the demo tenant; a service that has done its work at start.

    Attributes:
        demo: the demo tenant, once started.
    """

    name = "preparation"

    def __init__(
        self,
        url: Callable[[], str],
        tls: TlsFiles,
        addresses: Addresses,
        path: Path,
        clock: Clock,
    ) -> None:
        """Takes the database's URL and TLS files, the addresses and the path of `demo.json`."""
        self.demo: Demo | None = None
        self._url = url
        self._tls = tls
        self._addresses = addresses
        self._path = path
        self._clock = clock

    async def start(self) -> None:
        """Migrates and prepares.

        Raises:
            StartError: the database cannot be opened or migrated.
        """
        database = Database(self._url(), self._clock, migrates=True, tls=self._tls)
        await database.start()
        try:
            self.demo = await prepare(database, self._path, self._addresses)
        finally:
            await database.aclose()

    async def drain(self, timeout_s: float) -> None:
        """Does nothing."""

    async def aclose(self) -> None:
        """Does nothing."""

    def is_ready(self) -> bool:
        """Says whether the tenant is there."""
        return self.demo is not None
