"""An instance's entry in ZooKeeper: an ephemeral node that is kept what it should be.

The node's data name the process that wrote it (`writer`), so that a node which an earlier session
of ours left behind is replaced at once, while another's is never touched.
"""

import msgspec

from parley.backing.discovery.base import Instance, InstanceState
from parley.backing.discovery.zookeeper_session import NodeChanged, NodeExists, ZookeeperSession
from parley.backing.discovery.zookeeper_upkeep import Refused, Upkeep
from parley.backing.errors import BackingUnavailable


class Entry(msgspec.Struct, frozen=True):
    """What a node holds, as JSON.

    Attributes:
        instance: the instance.
        writer: random text of the process's discovery.
    """

    instance: Instance
    writer: str


def read_entry(data: bytes) -> Entry | None:
    """Decodes a node's data; None when nobody of ours wrote them."""
    try:
        return msgspec.json.decode(data, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class ZookeeperRegistration:
    """Implements `Registration`; a `SessionListener`."""

    def __init__(
        self, session: ZookeeperSession, path: str, instance: Instance, writer: str
    ) -> None:
        self.upkeep = Upkeep(session, self._work, f"register {instance.id}")
        self.instance = instance
        self.is_closed = False
        self._session = session
        self._path = path
        self._writer = writer

    async def update(
        self, *, state: InstanceState | None = None, address: str | None = None
    ) -> None:
        """Changes what others see; during an outage they see it afterwards."""
        if self.is_closed:
            raise BackingUnavailable(f"instance {self.instance.id} is not registered any more")
        self.instance = msgspec.structs.replace(
            self.instance,
            state=self.instance.state if state is None else state,
            address=self.instance.address if address is None else address,
        )
        await self._bring_about()

    async def aclose(self) -> None:
        """Removes the entry; during an outage it goes afterwards, or with the session."""
        if not self.is_closed:
            self.is_closed = True
            await self._bring_about()

    def missing(self) -> None:
        """Looks after the node, which others do not see."""
        if not self.is_closed:
            self.upkeep.wake()

    def connected(self) -> None:
        """Makes sure of the node: the session may be another one."""
        self.upkeep.wake()

    def suspended(self) -> None:
        """The node stays as long as the session."""

    def lost(self) -> None:
        """The next session makes the node again."""

    async def _bring_about(self) -> None:
        self.upkeep.wake()
        if self._session.is_connected:
            await self.upkeep.wait_done(self._session.session_s)

    async def _work(self) -> bool:
        session = self._session
        if not self.is_closed:
            data = msgspec.json.encode(Entry(self.instance, self._writer))
            try:
                await session.create(self._path, data, ephemeral=True)
            except NodeExists:
                await self._take_over(data)
            return False
        found = await session.get(self._path)
        if found is not None and self._is_mine(found.data):
            await session.delete(self._path, found.version)
        return True

    async def _take_over(self, data: bytes) -> None:
        found = await self._session.get(self._path)
        if found is None:
            raise NodeChanged("it went while it was looked at")
        if not self._is_mine(found.data):
            raise Refused(f"instance {self.instance.id} is registered already")
        if found.session != self._session.id:
            await self._session.replace(self._path, data, found.version)
        elif found.data != data:
            await self._session.set(self._path, data, found.version)

    def _is_mine(self, data: bytes) -> bool:
        entry = read_entry(data)
        return entry is not None and entry.writer == self._writer
