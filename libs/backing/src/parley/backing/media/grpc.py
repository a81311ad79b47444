"""Media control over gRPC: one stream per relay, new sessions go to the relay with the fewest."""

import asyncio
from collections.abc import Sequence

from parley.backing.media.base import MediaEventCallback, MediaUnavailable
from parley.backing.media.link import RelayLink
from parley.model.media import (
    CloseSession,
    Command,
    MediaEvent,
    OpenSession,
    Reply,
    ReplyError,
    SessionLost,
)
from parley.service.tasks import TaskOwner

COMMAND_TIMEOUT_S = 2.0
RELAY_LOST_AFTER_S = 3.0
_ELSEWHERE = frozenset({ReplyError.DRAINING, ReplyError.PORTS_EXHAUSTED})


class GrpcMediaControl:
    """`MediaControl` over relays in other processes."""

    def __init__(
        self,
        addresses: Sequence[str],
        instance_id: str,
        *,
        timeout_s: float = COMMAND_TIMEOUT_S,
        lost_after_s: float = RELAY_LOST_AFTER_S,
    ) -> None:
        """Prepares; `start` connects.

        Args:
            addresses: `host:port` of each relay.
            instance_id: of this call manager's run; never reused.
            timeout_s: how long a command may wait for its reply.
            lost_after_s: how long a relay may be away before its sessions count as lost.
        """
        self._changed = asyncio.Event()
        self._links = {
            address: RelayLink(
                address,
                instance_id,
                self._tell,
                self._changed.set,
                timeout_s=timeout_s,
                lost_after_s=lost_after_s,
            )
            for address in addresses
        }
        self._homes: dict[str, RelayLink] = {}
        self._callback: MediaEventCallback | None = None
        self._tasks = TaskOwner()

    async def start(self) -> None:
        """Begins to connect to every relay; commands fail until one is reached."""
        if not len(self._tasks):
            for link in self._links.values():
                self._tasks.spawn(link.run(), name=f"media relay {link.address}")

    async def aclose(self) -> None:
        """Ends the streams; the sessions stay with their relays."""
        await self._tasks.aclose()

    def on_event(self, callback: MediaEventCallback) -> None:
        """Names the one callback for media events."""
        self._callback = callback

    @property
    def is_ready(self) -> bool:
        """Whether a relay is there that takes new sessions."""
        return any(link.is_up and not link.is_draining for link in self._links.values())

    async def wait_ready(self) -> None:
        """Returns when a relay is there that takes new sessions."""
        while not self.is_ready:
            await self.wait_changed()

    async def wait_all_up(self) -> None:
        """Returns when every relay is there."""
        while not all(link.is_up for link in self._links.values()):
            await self.wait_changed()

    async def wait_changed(self) -> None:
        """Returns when a relay comes, goes, or begins or ends to drain."""
        self._changed.clear()
        await self._changed.wait()

    async def execute(self, command: Command) -> Reply:
        """Sends a command to the session's relay, or a new session to the least loaded."""
        home = self._home(command)
        if home is not None:
            return await self._execute_at(home, command)
        if isinstance(command, OpenSession):
            return await self._open_anywhere(command)
        detail = "no media relay is known to hold this session"
        return Reply(command.session_id, ok=False, error=ReplyError.UNKNOWN_SESSION, detail=detail)

    def _home(self, command: Command) -> RelayLink | None:
        known = self._homes.get(command.session_id)
        if known is not None or isinstance(command, OpenSession):
            return known
        if command.relay:
            return self._links.get(command.relay)
        # A successor that was not told where: with one relay there is no doubt.
        return next(iter(self._links.values())) if len(self._links) == 1 else None

    async def _open_anywhere(self, command: OpenSession) -> Reply:
        reply: Reply | None = None
        for link in sorted(self._links.values(), key=lambda link: link.load):
            if link.is_up and not link.is_draining:
                reply = await self._execute_at(link, command)
                if reply.error not in _ELSEWHERE:
                    return reply
        if reply is None:
            raise MediaUnavailable("no media relay is reachable")
        return reply

    async def _execute_at(self, link: RelayLink, command: Command) -> Reply:
        is_close = isinstance(command, CloseSession)
        if is_close:
            self._homes.pop(command.session_id, None)
        reply = await link.request(command)
        if reply.ok and not is_close:
            self._homes[command.session_id] = link
        return reply

    def _tell(self, event: MediaEvent) -> None:
        if isinstance(event, SessionLost):
            self._homes.pop(event.session_id, None)
        if self._callback is not None:
            self._callback(event)
