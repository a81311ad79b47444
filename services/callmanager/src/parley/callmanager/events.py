"""Brings a call's events to the bus: topic `call`, key call id, in order of their sequence.

Only what is written leaves (`Journal.unpublished`): the next owner tells the rest, which may be
something else. What the bus does not take at once stays in the journal, thus in the snapshot, and
goes with the next events or a little later. Before the snapshot is deleted the last event must be
durable there; a call that ended while the bus was away keeps its snapshot until then.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from parley.backing.bus.base import Bus
from parley.backing.errors import BackingError
from parley.callmanager.journal import Journal
from parley.callmanager.metrics import CallManagerMetrics
from parley.model.ids import CallId

TOPIC: Final = "call"
ATTEMPTS: Final = 5
FIRST_PAUSE_S: Final = 0.5
TIMEOUT_S: Final = 5.0
LATE_PAUSE_S: Final = 1.0
MAX_LATE: Final = 20_000

_logger = structlog.stdlib.get_logger(__name__)


class CallEvents:
    """Publishes the journals of calls."""

    def __init__(self, bus: Bus, metrics: CallManagerMetrics) -> None:
        self._bus = bus
        self._metrics = metrics
        self._late: dict[CallId, Journal] = {}
        self._ended: deque[tuple[Journal, Callable[[], Awaitable[None]]]] = deque()

    def publish(self, journal: Journal) -> None:
        """Queues what the bus does not have; never waits."""
        key = journal.parties.call_id
        try:
            for event in journal.unpublished:
                self._bus.publish(TOPIC, key, event.data)
                journal.mark_published(event.sequence)
        except BackingError:
            self._metrics.unpublished.inc()
            if len(self._late) < MAX_LATE:
                self._late[key] = journal

    def finish_later(self, journal: Journal, delete: Callable[[], Awaitable[None]]) -> None:
        """Takes over an ended call whose last events the bus did not take; it is deleted then.

        What does not fit stays in state, for the sweepers after this instance.
        """
        if len(self._ended) < MAX_LATE:
            self._ended.append((journal, delete))

    async def run(self) -> None:
        """Brings what is late to the bus, for ever."""
        while True:
            await asyncio.sleep(LATE_PAUSE_S)
            await self.catch_up()

    async def catch_up(self) -> None:
        """Tries once."""
        late, self._late = self._late, {}
        for journal in late.values():
            self.publish(journal)
        while self._ended and await self._try(self._ended[0][0]):
            _, delete = self._ended.popleft()
            await delete()

    async def publish_last(self, journal: Journal) -> bool:
        """Publishes what is left and waits until it is durable; False when the bus stays away."""
        pause_s = FIRST_PAUSE_S
        for _ in range(ATTEMPTS):
            if await self._try(journal):
                return True
            await asyncio.sleep(pause_s)
            pause_s *= 2
        _logger.error("last events of a call wait for the bus", call_id=journal.parties.call_id)
        return False

    async def _try(self, journal: Journal) -> bool:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while unpublished := journal.unpublished:
                    event = unpublished[0]
                    await self._bus.publish_and_wait(TOPIC, journal.parties.call_id, event.data)
                    journal.mark_published(event.sequence)
        except (BackingError, TimeoutError):
            self._metrics.unpublished.inc()
            return False
        return True
