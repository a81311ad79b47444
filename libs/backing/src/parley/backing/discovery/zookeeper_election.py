"""Election by ephemeral nodes in order of arrival; the first one leads.

Each candidate watches only the one before it. The epoch is the transaction that made the leader's
node: the ensemble counts transactions up for all time, so a later leader always has a higher one.

While the connection is broken a leader leads on for a quarter of the session's time at most: kazoo
notices a silence after two thirds of it, so it has stepped down before the ensemble elects another.
The process itself may stand still for longer than that; what a leader writes is therefore fenced by
its epoch.
"""

import asyncio

import structlog

from parley.backing.discovery.zookeeper_session import Watcher, ZookeeperSession
from parley.backing.discovery.zookeeper_upkeep import Upkeep
from parley.backing.errors import BackingUnavailable

_GRACE = 0.25  # of the session's time
_MAX_GRACE_S = 1.0
_SEQUENCE_DIGITS = 10

_logger = structlog.stdlib.get_logger(__name__)


class ZookeeperCandidacy:
    """One candidate; implements `Leadership`, a `SessionListener`.

    Args:
        session: holds the node.
        folder: path of the election.
        candidate: who stands, for people.
        token: random text that no other candidacy has.
    """

    def __init__(self, session: ZookeeperSession, folder: str, candidate: str, token: str) -> None:
        self.upkeep = Upkeep(session, self._work, f"elect {candidate}")
        self.epoch = 0
        self._session = session
        self._folder = folder
        self._candidate = candidate
        self._token = token
        self._watcher = Watcher(session, self.upkeep.wake)
        self._elected = asyncio.Event()
        self._over = asyncio.Event()
        self._grace: asyncio.TimerHandle | None = None

    @property
    def is_leader(self) -> bool:
        """True while this candidate leads."""
        return self._elected.is_set() and not self._over.is_set()

    @property
    def is_over(self) -> bool:
        """True once this candidate resigned or lost its leadership."""
        return self._over.is_set()

    async def wait_elected(self) -> None:
        """Returns when this candidate leads."""
        await self._elected.wait()
        if self.is_over:
            raise BackingUnavailable(f"{self._candidate} does not stand for election any more")

    async def wait_lost(self) -> None:
        """Returns when this candidate does not lead any more."""
        await self._over.wait()

    async def aclose(self) -> None:
        """Resigns; during an outage the next one leads when the session ends."""
        if self.is_over:
            return
        self.end()
        if self._session.is_connected:
            await self.upkeep.wait_done(self._session.session_s)

    def end(self) -> None:
        """Ends the candidacy and wakes who waits for anything."""
        self._stop_grace()
        self._over.set()
        self._elected.set()
        self.upkeep.wake()

    def connected(self) -> None:
        """Leads on if the session lived on; otherwise stands again, at the end."""
        self._stop_grace()
        self.upkeep.wake()

    def suspended(self) -> None:
        """Leads on for a moment only."""
        if self.is_leader:
            grace_s = min(self._session.session_s * _GRACE, _MAX_GRACE_S)
            self._grace = asyncio.get_running_loop().call_later(grace_s, self._lose)

    def lost(self) -> None:
        """Leads no more; one that still waits stands again with the next session."""
        if self.is_leader:
            self._lose()

    def _lose(self) -> None:
        _logger.warning("leadership lost", candidate=self._candidate, epoch=self.epoch)
        self.end()

    def _stop_grace(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    async def _work(self) -> bool:
        session = self._session
        names = sorted(await session.children(self._folder), key=_sequence)
        mine = [name for name in names if await self._is_mine(name)]
        # A creation whose answer was lost may have left a second one.
        for name in mine if self.is_over else mine[1:]:
            await session.delete(f"{self._folder}/{name}")
        if self.is_over:
            return True
        if mine:
            await self._see(mine[0], names)
        elif self.is_leader:
            # Somebody removed the node of a leader.
            self._lose()
        else:
            path = f"{self._folder}/{self._token}-"
            data = self._candidate.encode()
            await session.create(path, data, ephemeral=True, sequence=True)
            self.upkeep.wake()
        return False

    async def _is_mine(self, name: str) -> bool:
        """Says whether it is our node; one of a session before this is on its way out."""
        if not name.startswith(f"{self._token}-"):
            return False
        node = await self._session.get(f"{self._folder}/{name}")
        return node is not None and node.session == self._session.id

    async def _see(self, mine: str, names: list[str]) -> None:
        """Leads, or watches the candidate before."""
        place = names.index(mine)
        watched = mine if place == 0 else names[place - 1]
        node = await self._session.get(f"{self._folder}/{watched}", self._watcher)
        if node is None or (place == 0 and node.session != self._session.id):
            self.upkeep.wake()
        elif place == 0 and not self.is_over and self._session.is_connected:
            self.epoch = node.created
            self._elected.set()


def _sequence(name: str) -> int:
    digits = name[-_SEQUENCE_DIGITS:]
    return int(digits) if digits.isdecimal() else -1
