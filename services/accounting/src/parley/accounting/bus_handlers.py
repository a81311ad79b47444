"""What accounting does with the records of the topic `call`.

Policy. A batch's CDRs are written in one transaction. While the database is away the handler waits
and tries again: CDRs wait on the bus, and none may go to the dead letter topic for an outage. What
no try can ever store (no event, a value that fits no column) goes there at once, alone.

Calls end one by one, and a transaction costs more than all that one CDR does; so the handler keeps
its turn for a moment after each batch, and what ends meanwhile shares the next transaction.
"""

import asyncio
from collections.abc import Sequence

import structlog

from parley.accounting.metrics import AccountingMetrics
from parley.accounting.store import CdrStore
from parley.backing.bus.base import DEAD_LETTER_SUFFIX, Bus, Record
from parley.backing.errors import BackingUnavailable
from parley.model.call import CallRecord
from parley.model.errors import InvalidValue, MalformedEvent
from parley.model.events import CallEnded, decode_event
from parley.service.clock import Clock

_FIRST_PAUSE_S = 0.1
_PUBLISH_TIMEOUT_S = 10.0

_logger = structlog.stdlib.get_logger(__name__)

_Ended = tuple[Record, CallEnded]


class CallRecordsHandler:
    """Makes one CDR of each call's last event."""

    def __init__(
        self,
        store: CdrStore,
        bus: Bus,
        clock: Clock,
        metrics: AccountingMetrics,
        max_retry_s: float,
        gather_s: float,
    ) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._metrics = metrics
        self._max_retry_s = max_retry_s
        self._gather_s = gather_s

    async def __call__(self, records: Sequence[Record]) -> None:
        """Handles one batch; returns when its CDRs are durable."""
        ended: list[_Ended] = []
        for record in records:
            try:
                event = _last_event(record)
            except MalformedEvent as error:
                await self._put_aside(record, str(error))
                continue
            if event is not None:
                ended.append((record, event))
        if ended:
            await self._store_batch(ended)
            await asyncio.sleep(self._gather_s)

    async def _store_batch(self, batch: Sequence[_Ended]) -> None:
        try:
            await self._store_patiently([event for _, event in batch])
        except InvalidValue as error:
            if len(batch) == 1:
                await self._put_aside(batch[0][0], str(error))
                return
            # One bad record must not take the others along: each gets a transaction of its own.
            for item in batch:
                await self._store_batch([item])

    async def _store_patiently(self, events: Sequence[CallEnded]) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                written = await self._store.store(events)
            except BackingUnavailable as error:
                self._metrics.retried()
                _logger.warning("CDRs wait for the database", cdrs=len(events), reason=str(error))
                await asyncio.sleep(min(pause_s, self._max_retry_s))
                pause_s *= 2
            else:
                self._count(events, written)
                return

    def _count(self, events: Sequence[CallEnded], written: Sequence[CallRecord]) -> None:
        now = self._clock.wall()
        for record in written:
            self._metrics.stored(record, (now - record.ended_at).total_seconds())
        self._metrics.repeated(len(events) - len(written))

    async def _put_aside(self, record: Record, reason: str) -> None:
        _logger.error(
            "record cannot become a CDR",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason,
        )
        async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
            topic = record.topic + DEAD_LETTER_SUFFIX
            await self._bus.publish_and_wait(topic, record.key, record.value)
        self._metrics.refused()


def _last_event(record: Record) -> CallEnded | None:
    """Decodes a record; None when it is another event of a call."""
    event = decode_event(record.value)
    if not isinstance(event, CallEnded):
        return None
    call = event.data
    if event.tenantid != call.tenant_id or event.subject != call.call_id:
        raise MalformedEvent("malformed call.ended: its attributes name another call")
    return event
