"""Brings a call's events to the bus: topic `call`, key call id, in order of their sequence.

What the bus does not take at once stays in the journal, thus in the snapshot, and goes with the
next events. Before the snapshot is deleted the last event must be durable there.
"""

import asyncio
from typing import Final

import structlog

from parley.backing.bus.base import Bus
from parley.backing.errors import BackingError
from parley.callmanager.journal import Journal
from parley.callmanager.metrics import CallManagerMetrics

TOPIC: Final = "call"
ATTEMPTS: Final = 5
FIRST_PAUSE_S: Final = 0.5
TIMEOUT_S: Final = 5.0

_logger = structlog.stdlib.get_logger(__name__)


class CallEvents:
    """Publishes the journals of calls."""

    def __init__(self, bus: Bus, metrics: CallManagerMetrics) -> None:
        self._bus = bus
        self._metrics = metrics

    def publish(self, journal: Journal) -> None:
        """Queues what the bus does not have; never waits."""
        key = journal.parties.call_id
        try:
            for event in journal.unpublished:
                self._bus.publish(TOPIC, key, event.data)
                journal.mark_published(event.sequence)
        except BackingError:
            self._metrics.unpublished.inc()

    async def publish_last(self, journal: Journal) -> bool:
        """Publishes what is left and waits until it is durable; False when the bus stays away."""
        pause_s = FIRST_PAUSE_S
        for _ in range(ATTEMPTS):
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    for event in journal.unpublished:
                        await self._bus.publish_and_wait(TOPIC, journal.parties.call_id, event.data)
                        journal.mark_published(event.sequence)
                return True
            except (BackingError, TimeoutError):
                self._metrics.unpublished.inc()
                await asyncio.sleep(pause_s)
                pause_s *= 2
        _logger.error("events not published", call_id=journal.parties.call_id)
        return False
