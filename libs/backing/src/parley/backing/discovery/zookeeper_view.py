"""The last-known view of all instances.

All instances lie in one folder, one node each. The folder and every node are watched; what changed
is read again. After an outage nobody leaves the view for `settle_s` seconds: sessions that ended
during it (a frozen ensemble ends all of them) come back within that time.
"""

import asyncio
from collections.abc import Callable, Collection

import structlog

from parley.backing.discovery.base import Instance
from parley.backing.discovery.zookeeper_registration import read_entry
from parley.backing.discovery.zookeeper_session import Node, Watcher, ZookeeperSession
from parley.backing.discovery.zookeeper_upkeep import Upkeep

_READS_AT_ONCE = 64

_logger = structlog.stdlib.get_logger(__name__)


class ZookeeperView:
    """Follows the folder of instances; a `SessionListener`.

    Args:
        session: reads it.
        folder: path of the folder.
        settle_s: how long nobody leaves after an outage.
        on_change: told the service whose view changed.
        on_read: told the names of all nodes after each reading.
    """

    def __init__(
        self,
        session: ZookeeperSession,
        folder: str,
        settle_s: float,
        on_change: Callable[[str], None],
        on_read: Callable[[Collection[str]], None],
    ) -> None:
        self.upkeep = Upkeep(session, self._work, "follow instances")
        self.is_settled = False
        self._session = session
        self._folder = folder
        self._settle_s = settle_s
        self._on_change = on_change
        self._on_read = on_read
        self._folder_watcher = session.watcher(self.upkeep.wake)
        self._watchers: dict[str, Watcher] = {}
        self._instances: dict[str, Instance | None] = {}  # None: nobody of ours wrote it
        self._stale: set[str] = set()
        self._held: set[str] = set()  # in view when the connection broke
        self._timer: asyncio.TimerHandle | None = None
        self._has_waited = False

    def of_service(self, service: str) -> list[Instance]:
        """Returns the instances of a service, ordered by id."""
        found = (one for one in self._instances.values() if one and one.service == service)
        return sorted(found, key=lambda one: one.id)

    def connected(self) -> None:
        """Reads everything again: no watch outlived the connection."""
        self._stale.update(self._instances)
        self._timer = asyncio.get_running_loop().call_later(self._settle_s, self._settle)
        self.upkeep.wake()

    def suspended(self) -> None:
        """Keeps the view."""
        self._unsettle()

    def lost(self) -> None:
        """Keeps the view."""
        self._unsettle()

    def close(self) -> None:
        """Stops the timer."""
        self._unsettle()

    def _unsettle(self) -> None:
        self.is_settled = self._has_waited = False
        self._held.update(self._instances)
        if self._timer is not None:
            self._timer.cancel()

    def _settle(self) -> None:
        self._has_waited = True
        self._held.clear()
        self.upkeep.wake()

    async def _work(self) -> bool:
        # Read before the names are: what happens meanwhile asks for another reading.
        has_waited = self._has_waited
        names = set(await self._session.children(self._folder, self._folder_watcher))
        changed = self._remove(self._instances.keys() - names - self._held)
        wanted = [name for name in names if name in self._stale or name not in self._instances]
        try:
            for first in range(0, len(wanted), _READS_AT_ONCE):
                changed |= await self._read(wanted[first : first + _READS_AT_ONCE])
        finally:
            for service in changed:
                self._on_change(service)
        self.is_settled = has_waited and self._has_waited
        self._on_read(names)
        return False

    def _remove(self, names: Collection[str]) -> set[str]:
        changed = set()
        for name in names:
            gone = self._instances.pop(name)
            self._stale.discard(name)
            self._watchers.pop(name, None)
            if gone is not None:
                changed.add(gone.service)
        return changed

    async def _read(self, names: list[str]) -> set[str]:
        """Reads nodes; returns the services whose view changed."""
        # A watch that fires from here on marks the name once more.
        self._stale.difference_update(names)
        results = await asyncio.gather(*map(self._get, names), return_exceptions=True)
        changed = set()
        failure: BaseException | None = None
        for name, result in zip(names, results, strict=True):
            if isinstance(result, BaseException):
                self._stale.add(name)
                failure = result
            elif result is not None:
                changed |= self._put(name, result)
        if failure is not None:
            raise failure
        return changed

    async def _get(self, name: str) -> Node | None:
        watcher = self._watchers.get(name)
        if watcher is None:
            watcher = self._session.watcher(lambda: self._touched(name))
            self._watchers[name] = watcher
        return await self._session.get(f"{self._folder}/{name}", watcher)

    def _touched(self, name: str) -> None:
        self._stale.add(name)
        self.upkeep.wake()

    def _put(self, name: str, node: Node) -> set[str]:
        entry = read_entry(node.data)
        if entry is None:
            _logger.warning("discovery entry not understood", name=name)
        old = self._instances.get(name)
        new = self._instances[name] = None if entry is None else entry.instance
        return set() if old == new else {one.service for one in (old, new) if one is not None}
