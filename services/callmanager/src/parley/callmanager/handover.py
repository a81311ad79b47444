"""Draining: an instance that is asked to stop leaves all its calls to the others.

Each call finishes its present step, is written and forgotten; then the lease is deleted, which is
the sign for the others. What still comes here is redirected until nothing of ours is left.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from parley.backing.errors import BackingError
from parley.callmanager.calls import Calls
from parley.callmanager.lease_keeper import LeaseKeeper
from parley.callmanager.mailbox import Mailbox
from parley.callmanager.peers import Peers
from parley.callmanager.store import CallStore
from parley.callmanager.takeover import Takeovers
from parley.model.ids import InstanceId
from parley.service.clock import Clock

STEP_S: Final = 1.0
"""How long a call may take for its present step; afterwards it is cut off, and fenced."""
TAKEN_S: Final = 10.0
BATCH: Final = 200
_PAUSE_S: Final = 0.05

_logger = structlog.stdlib.get_logger(__name__)


class Handover:
    """Hands over the calls of one instance."""

    def __init__(  # noqa: PLR0913 - wiring
        self,
        store: CallStore,
        calls: Calls,
        keeper: LeaseKeeper,
        takeovers: Takeovers,
        peers: Peers,
        clock: Clock,
        instance: InstanceId,
    ) -> None:
        self._store = store
        self._calls = calls
        self._keeper = keeper
        self._takeovers = takeovers
        self._peers = peers
        self._clock = clock
        self._me = instance

    def is_possible(self) -> bool:
        """Whether somebody is there to take the calls, and state to give them through."""
        return bool(self._peers.takers()) and self._keeper.is_valid

    async def run(self, timeout_s: float) -> bool:
        """Hands everything over.

        Returns:
            Whether all calls were taken within the time; the others' sweepers go on otherwise.
        """
        self._takeovers.is_leaving = True
        count = len(self._calls)
        await self._leave_all()
        await self._keeper.give_up()
        is_empty = await self._wait_taken(min(TAKEN_S, timeout_s))
        if is_empty:
            await self._keeper.leave()
        _logger.info("calls handed over", calls=count, all_taken=is_empty)
        return is_empty

    async def _leave_all(self) -> None:
        """Stops all calls, some at a time, so that state and the loop keep breathing."""
        await self._until(lambda: not self._calls.pending_count, STEP_S)
        while mailboxes := list(self._calls)[:BATCH]:
            for mailbox in mailboxes:
                mailbox.leave()
            await self._until(partial(_are_over, mailboxes), STEP_S)
            for mailbox in mailboxes:
                # One that waits for a relay that does not answer: its successor asks another.
                mailbox.drop()

    async def _until(self, is_done: Callable[[], bool], timeout_s: float) -> None:
        pause_s = _PAUSE_S / 5
        for _ in range(round(timeout_s / pause_s)):
            if is_done():
                return
            await asyncio.sleep(pause_s)

    async def _wait_taken(self, timeout_s: float) -> bool:
        until = self._clock.now() + timeout_s
        while await self._is_left():
            if self._clock.now() >= until:
                return False
            await asyncio.sleep(_PAUSE_S)
        return True

    async def _is_left(self) -> bool:
        try:
            return bool(await self._store.owned_by(self._me, limit=1))
        except (BackingError, TimeoutError):
            return True


def _are_over(mailboxes: Sequence[Mailbox]) -> bool:
    return all(mailbox.is_over for mailbox in mailboxes)
