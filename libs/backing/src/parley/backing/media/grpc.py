"""Media control over gRPC: a stream per relay, relays named by hand or found by discovery.

A session stays where it was opened until it is closed, lost or moved. One that is opened again
while its relay is away, or drains, is opened at another; what is left at the first is closed there
as soon as that can be told, or by a `CloseSession` that names the relay.
"""

import asyncio
from collections.abc import Sequence

from parley.backing.media.base import MediaEventCallback, MediaUnavailable
from parley.backing.media.choice import Candidate, ranked
from parley.backing.media.link import RelayLink
from parley.backing.media.pacing import Paced
from parley.backing.media.relay_view import DEFAULT_CAPACITY, RelayView
from parley.backing.media.times import DEFAULT_TIMES, MediaTimes
from parley.backing.media.traffic import Traffic
from parley.backing.media.trust import Dialler
from parley.model.media import (
    CloseSession,
    Command,
    MediaEvent,
    OpenSession,
    RelayDraining,
    Reply,
    ReplyError,
    SessionLost,
    may_open,
)
from parley.service.inside import Inside
from parley.service.tasks import TaskOwner

# What one relay refuses another may take; only who drains is followed by one that comes.
_ELSEWHERE = frozenset({ReplyError.DRAINING, ReplyError.PORTS_EXHAUSTED, ReplyError.INTERNAL})


class GrpcMediaControl:
    """`MediaControl` over relays in other processes.

    Attributes:
        traffic: what went over the streams so far.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        instance_id: str,
        *,
        view: RelayView | None = None,
        zone: str = "",
        times: MediaTimes = DEFAULT_TIMES,
        inside: Inside | None = None,
    ) -> None:
        """Prepares; `start` connects.

        Args:
            addresses: `host:port` of relays that are always there; may be empty with a `view`.
            instance_id: of this call manager's run; never reused.
            view: follows discovery and the relays' reports; None: only the addresses above.
            zone: ours; relays in it are preferred.
            times: how long to wait for what, and the pace of bad news.
            inside: proves us to the relays.
        """
        self._instance_id = instance_id
        self._static = tuple(addresses)
        self._view = view
        self._zone = zone
        self._times = times
        self._dialler = Dialler(inside)
        self._changed = asyncio.Event()
        self._changes = 0
        self._links: dict[str, RelayLink] = {}
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._homes: dict[str, RelayLink] = {}
        self._callback: MediaEventCallback | None = None
        self.traffic = Traffic()
        self._tasks = TaskOwner()
        self._news = Paced(self._tell, times.batch, times.batch_pause_s)
        self._is_open = False
        for address in self._static:
            self._add(address)

    async def start(self) -> None:
        """Begins to connect to every relay; commands fail until one is reached."""
        if self._is_open:
            return
        self._is_open = True
        for link in self._links.values():
            self._run(link)
        if self._view is not None:
            self._view.start(self._follow)
        self._tasks.spawn(self._keep_up(), name="load of the media relays")

    async def aclose(self) -> None:
        """Ends the streams; the sessions stay with their relays."""
        self._is_open = False
        if self._view is not None:
            self._view.close()
        self._news.close()
        await self._tasks.aclose()

    def on_event(self, callback: MediaEventCallback) -> None:
        """Names the one callback for media events."""
        self._callback = callback

    @property
    def relays(self) -> list[str]:
        """Addresses of the relays that a stream is kept to, or tried."""
        return list(self._links)

    @property
    def is_ready(self) -> bool:
        """Whether a relay is there that takes new sessions."""
        return any(self._takes_sessions(link) for link in self._links.values())

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

    # --- the relays ------------------------------------------------------------------------

    def _add(self, address: str) -> RelayLink:
        link = RelayLink(
            address,
            self._instance_id,
            self._pass_on,
            self._lose,
            self._on_change,
            self._times,
            self.traffic,
            self._dialler,
        )
        self._links[address] = link
        return link

    def _run(self, link: RelayLink) -> None:
        name = f"media relay {link.address}"
        self._runs[link.address] = self._tasks.spawn(link.run(), name=name)

    def _follow(self) -> None:
        """Discovery has changed: connects to relays that are new."""
        if self._view is not None and self._is_open:
            for address in self._view.addresses:
                if address not in self._links:
                    self._run(self._add(address))
        self._on_change()

    def _on_change(self) -> None:
        self._changed.set()
        self._changes += 1
        if self._is_open:
            self._drop_gone()
            self._ask_to_move()

    def _drop_gone(self) -> None:
        """Forgets relays that discovery does not name any more, once nothing is left there."""
        if self._view is None:
            return
        for address, link in list(self._links.items()):
            is_wanted = address in self._static or self._view.is_listed(address)
            if not is_wanted and link.is_settled:
                del self._links[address]
                self._runs.pop(address).cancel()

    async def _keep_up(self) -> None:
        while True:
            if self._view is not None:
                await self._view.refresh()
            self._ask_to_move()
            await asyncio.sleep(self._times.refresh_s)

    def _takes_sessions(self, link: RelayLink) -> bool:
        is_draining = self._view is not None and self._view.is_draining(link.address)
        return link.is_up and not link.is_draining and not is_draining

    def _ranked(self, session_id: str, besides: RelayLink | None) -> list[RelayLink]:
        usable = [
            self._candidate(link)
            for link in self._links.values()
            if link is not besides and self._takes_sessions(link)
        ]
        return [self._links[address] for address in ranked(session_id, usable)]

    def _candidate(self, link: RelayLink) -> Candidate:
        view, address = self._view, link.address
        if view is None:
            return Candidate(address, True, True, link.load / DEFAULT_CAPACITY)
        return Candidate(
            address,
            view.is_listed(address) or address in self._static,
            view.zone(address) == self._zone,
            max(link.load, view.sessions(address)) / view.capacity(address),
        )

    # --- commands --------------------------------------------------------------------------

    async def execute(self, command: Command) -> Reply:
        """Sends a command to the session's relay, or a new session to one that has room.

        Raises:
            MediaUnavailable: no answer from a relay.
        """
        if may_open(command):
            return await self._open(command)
        home = self._home(command)
        if home is not None:
            return await self._execute_at(home, command)
        detail = "no media relay is known to hold this session"
        return Reply(command.session_id, ok=False, error=ReplyError.UNKNOWN_SESSION, detail=detail)

    def _home(self, command: Command) -> RelayLink | None:
        known = self._homes.get(command.session_id)
        named = None if isinstance(command, OpenSession) else self._links.get(command.relay)
        if isinstance(command, CloseSession) and named is not None:
            return named
        if known is not None or named is not None:
            return known or named
        # A successor that was not told where: with one relay there is no doubt.
        return next(iter(self._links.values())) if len(self._links) == 1 else None

    async def _open(self, command: Command) -> Reply:
        home = self._homes.get(command.session_id)
        if home is None:
            return await self._open_anywhere(command, None)
        if self._takes_sessions(home):
            return await self._execute_at(home, command)
        reply = await self._open_anywhere(command, home)
        if reply.ok and not home.is_up:
            home.let_go(command.session_id)
        return reply

    async def _open_anywhere(self, command: Command, besides: RelayLink | None) -> Reply:
        """Asks every relay, and those too that are there a moment later.

        While relays are started again one after another, the next may drain before the stream to
        the last one stands.
        """
        until = asyncio.get_running_loop().time() + self._times.connecting_s
        error = MediaUnavailable("no media relay is reachable")
        while True:
            seen = self._changes
            try:
                reply = await self._ask_around(command, besides)
            except MediaUnavailable as gone:
                # Those that were asked went away; the next may be on its way.
                reply, error = None, gone
            if reply is not None:
                may_wait = reply.error is ReplyError.DRAINING or self._is_connecting(besides)
                if reply.error not in _ELSEWHERE or not may_wait:
                    return reply
            if not await self._another_comes(besides, seen, until):
                break
        if reply is None:
            raise error
        return reply

    def _is_connecting(self, besides: RelayLink | None) -> bool:
        return any(not link.is_up and link is not besides for link in self._links.values())

    async def _another_comes(self, besides: RelayLink | None, seen: int, until: float) -> bool:
        """Waits for a relay that takes sessions, while one is connected to or may be found.

        Args:
            besides: a relay that does not count.
            seen: changes when the relays were asked last.
            until: loop time at which the wait is over.
        """
        try:
            async with asyncio.timeout_at(until):
                while True:
                    if self._changes != seen and self._ranked("", besides):
                        return True
                    if self._view is None and not self._is_connecting(besides):
                        return False
                    await self.wait_changed()
        except TimeoutError:
            return False

    async def _ask_around(self, command: Command, besides: RelayLink | None) -> Reply | None:
        """Asks one relay after the other; None when there is none to be asked.

        Raises:
            MediaUnavailable: those that were asked went away before they answered.
        """
        reply: Reply | None = None
        error: MediaUnavailable | None = None
        for link in self._ranked(command.session_id, besides):
            try:
                reply = await self._execute_at(link, command)
            except MediaUnavailable as unavailable:
                error = unavailable
                continue
            if reply.error not in _ELSEWHERE:
                return reply
        if reply is None and error is not None:
            raise error
        return reply

    async def _execute_at(self, link: RelayLink, command: Command) -> Reply:
        is_close = isinstance(command, CloseSession)
        if is_close and self._homes.get(command.session_id) is link:
            del self._homes[command.session_id]
        reply = await link.request(command)
        if reply.ok and not is_close:
            if not link.holds(command.session_id):
                raise MediaUnavailable(f"the media relay {link.address} went away at once")
            self._homes[command.session_id] = link
        return reply

    # --- news ------------------------------------------------------------------------------

    def _pass_on(self, event: MediaEvent) -> None:
        if isinstance(event, SessionLost):
            self._news.add((event,))
        elif self._callback is not None:
            self._callback(event)

    def _lose(self, link: RelayLink, sessions: Sequence[str], reason: str) -> None:
        self._news.add(SessionLost(session_id, reason, link.address) for session_id in sessions)

    def _ask_to_move(self) -> None:
        """Asks the calls on relays that drain to move, once there is somewhere to move to."""
        if len(self._news):
            return
        for link in self._links.values():
            if link.is_up and not self._takes_sessions(link) and self._ranked("", link):
                self._news.add(RelayDraining(each, link.address) for each in link.sessions)

    def _tell(self, event: SessionLost | RelayDraining) -> None:
        """Tells what still holds: the session may have been closed or moved since."""
        home = self._homes.get(event.session_id)
        if home is None or home.address != event.relay:
            return
        if isinstance(event, SessionLost):
            del self._homes[event.session_id]
        if self._callback is not None:
            self._callback(event)
