"""Calls that are not here, but are asked for: found, taken over, or left to their owner.

One takeover per call at a time; what comes for the call meanwhile waits in order and then goes its
normal way, as if the call had always been here (`ownership.py` decides, `restorer.py` does it).
"""

import asyncio
from collections import deque
from collections.abc import Set
from enum import Enum
from typing import Final

import structlog
from msgspec import Struct, structs

from parley.backing.errors import BackingError
from parley.backing.state.leases import Leases
from parley.callmanager.call_services import CallServices
from parley.callmanager.calls import Calls
from parley.callmanager.ownership import (
    Answer,
    Claim,
    Gone,
    Probe,
    Redirect,
    Restore,
    Sight,
    next_step,
)
from parley.callmanager.peers import Peers
from parley.callmanager.restorer import NEVER, Restorer
from parley.callmanager.store import TIMEOUT_S
from parley.callmanager.visitors import Visitor
from parley.model.ids import CallId, InstanceId

MAX_WAITING: Final = 50
"""Messages that may wait for one call."""
MAX_TAKEOVERS: Final = 5000
"""Calls that may be looked for at a time; a flood of made-up calls ends here."""
_ATTEMPTS: Final = 4

_logger = structlog.stdlib.get_logger(__name__)


class Where(Enum):
    """Where a call is."""

    HERE = "here"
    ELSEWHERE = "elsewhere"
    NOWHERE = "nowhere"
    UNKNOWN = "unknown"


class Found(Struct, frozen=True):
    """What became of looking for a call; `owner` for one that is elsewhere."""

    where: Where
    owner: str = ""


_HERE = Found(Where.HERE)
_NOWHERE = Found(Where.NOWHERE)
_UNKNOWN = Found(Where.UNKNOWN)


class Takeovers:
    """Looks for calls.

    Attributes:
        is_leaving: our calls are being handed over; none is taken any more.
    """

    def __init__(
        self,
        services: CallServices,
        calls: Calls,
        leases: Leases,
        peers: Peers,
        restorer: Restorer,
        instance: InstanceId,
    ) -> None:
        self._services = services
        self._calls = calls
        self._leases = leases
        self._peers = peers
        self._restorer = restorer
        self._me = instance
        self._waiting: dict[CallId, deque[Visitor]] = {}
        self.is_leaving = False

    def bring(self, call_id: CallId, visitor: Visitor, unreachable: str = "") -> None:
        """Finds the call that a message is for; the message waits for that.

        Args:
            call_id: the call.
            visitor: the message.
            unreachable: an instance that the edge was sent to and does not reach. If that is the
                owner, the call is taken from it, however well we reach it ourselves.
        """
        queue = self._waiting.get(call_id)
        if queue is None:
            if len(self._waiting) >= MAX_TAKEOVERS:
                self._services.metrics.overflows.inc()
                visitor.put_off()
                return
            self._waiting[call_id] = deque((visitor,))
            self._services.tasks.spawn(
                self._run(call_id, unreachable), name=f"takeover of {call_id}"
            )
        elif len(queue) >= MAX_WAITING:
            self._services.metrics.overflows.inc()
            visitor.put_off()
        else:
            queue.append(visitor)

    def doubt_all_but(self, call_ids: Set[str]) -> None:
        """Calls here that our index does not name look whose they are."""
        for mailbox in self._calls:
            if mailbox.call_id not in call_ids:
                mailbox.doubt()

    async def doubt_all(self) -> None:
        """All calls here look whose they are, some at a time."""
        await self._calls.look_at_all(is_doubted=True)

    def is_for_others(self, call_id: CallId) -> bool:
        """Whether a call has to be taken by somebody else: its snapshot cannot be read here."""
        return self._restorer.is_unreadable(call_id)

    def is_known(self, call_id: CallId) -> bool:
        """Whether a call is here, was, or is being looked for."""
        calls = self._calls
        return (
            calls.get(call_id) is not None
            or call_id in self._waiting
            or calls.is_pending(call_id)
            or calls.has_ended(call_id)
        )

    async def take_dead(
        self, call_id: CallId, owner: str, started_s: float, last_seen_s: float = NEVER
    ) -> bool:
        """Takes one call of a dead instance, or one of our own that is not here; for the sweeper.

        Returns:
            Whether the dead instance's index may forget it: it is ours now, another's, or over.

        Raises:
            BackingError: state did not answer.
            TimeoutError: nor did it within the time-out.
        """
        if call_id in self._waiting:
            return False
        self._waiting[call_id] = deque()
        found = _UNKNOWN
        try:
            owned = await self._services.store.owner_of(call_id)
            if owned is None or owned.has_ended:
                found = _NOWHERE
                return True
            if owned.owner != owner:
                found = Found(Where.ELSEWHERE, owned.owner)
                return True
            is_taken = await self._restorer.take(
                call_id, owned.epoch, owner, started_s=started_s, last_seen_s=last_seen_s
            )
            found = self._here_or_over(call_id) if is_taken else _UNKNOWN
        finally:
            self._settle(call_id, found)
        return is_taken

    # --- inside ----------------------------------------------------------------------------

    async def _run(self, call_id: CallId, unreachable: str) -> None:
        found = _UNKNOWN
        try:
            found = await self._find(call_id, unreachable)
        except (BackingError, TimeoutError) as error:
            _logger.info("a call cannot be looked for", call_id=call_id, reason=repr(error))
            found = self._left_to_others(call_id)
        finally:
            self._settle(call_id, found)

    def _settle(self, call_id: CallId, found: Found) -> None:
        for visitor in self._waiting.pop(call_id, ()):
            if found.where is Where.HERE:
                visitor.enter()
            elif found.where is Where.ELSEWHERE:
                visitor.redirect(found.owner)
            elif found.where is Where.NOWHERE:
                visitor.turn_away()
            else:
                visitor.put_off()

    async def _find(self, call_id: CallId, unreachable: str) -> Found:
        services = self._services
        for _ in range(_ATTEMPTS):
            if self._calls.get(call_id) is not None:
                return _HERE
            if services.keeper.is_isolated:
                return self._left_to_others(call_id)
            if self.is_leaving:
                await services.keeper.wait_given_up()
                return self._left_to_others(call_id)
            found = await self._try(call_id, unreachable)
            if found is not None:
                return found
        return _UNKNOWN

    async def _try(self, call_id: CallId, unreachable: str) -> Found | None:
        """Looks once; None when things changed meanwhile."""
        sight = await self._look(call_id)
        if unreachable and sight.owner == unreachable:
            sight = structs.replace(sight, answer=Answer.SILENT)
        step = next_step(self._me, sight)
        if isinstance(step, Probe):
            answer = await self._peers.ask(step.owner)
            step = next_step(self._me, structs.replace(sight, answer=answer))
        if isinstance(step, Gone):
            return _NOWHERE
        if isinstance(step, Redirect):
            return Found(Where.ELSEWHERE, step.owner)
        if not isinstance(step, Restore | Claim) or self.is_leaving:
            return None
        is_ours = await self._restorer.take(call_id, step.epoch, sight.owner)
        if is_ours:
            return self._here_or_over(call_id)
        return _UNKNOWN if self.is_for_others(call_id) else None

    async def _look(self, call_id: CallId) -> Sight:
        owned = await self._services.store.owner_of(call_id)
        if owned is None or owned.has_ended:
            return Sight("")
        if owned.owner == self._me:
            return Sight(owned.owner, owned.epoch)
        async with asyncio.timeout(TIMEOUT_S):
            lease = await self._leases.read(owned.owner)
        return Sight(owned.owner, owned.epoch, has_lease=lease is not None)

    def _here_or_over(self, call_id: CallId) -> Found:
        return _NOWHERE if self._calls.get(call_id) is None else _HERE

    def _left_to_others(self, call_id: CallId) -> Found:
        """While we may not own calls: to whoever takes them from us."""
        keeper = self._services.keeper
        if self.is_leaving or keeper.is_isolated:
            successor = self._peers.successor(call_id)
            if successor is not None:
                return Found(Where.ELSEWHERE, successor)
        return _UNKNOWN
