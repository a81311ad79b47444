"""Stores CDRs and announces each in the same transaction: one `cdr.created` per CDR, never without.

The event's id is derived from the `call.ended` it came of, so that whoever gets it twice can tell.
"""

from collections.abc import Sequence

from parley.backing.db.cdrs import CdrRepository
from parley.backing.db.engine import Database
from parley.backing.db.outbox import EVENT_SOURCE, OutboxRecord, add_to_outbox
from parley.model.call import CallRecord
from parley.model.events import CallEnded, CdrCreated, encode_event

CDR_TOPIC = "cdr"


class CdrStore:
    """Turns last events of calls into CDRs."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._cdrs = CdrRepository(db)

    async def store(self, events: Sequence[CallEnded]) -> list[CallRecord]:
        """Writes the CDRs of these calls in one transaction; returns those that are new.

        Raises:
            BackingUnavailable: the database does not answer; nothing was written.
            InvalidValue: one of them cannot be stored; nothing was written.
        """
        by_call = {(event.tenantid, event.data.call_id): event for event in reversed(events)}
        async with self._db.write() as connection:
            records = [event.data for event in events]
            written = await self._cdrs.upsert(connection, records)
            announced = [by_call[record.tenant_id, record.call_id] for record in written]
            await add_to_outbox(self._db, connection, [self._announce(e) for e in announced])
        return written

    def _announce(self, ended: CallEnded) -> OutboxRecord:
        created = CdrCreated(
            id=f"cdr-{ended.id}",
            source=EVENT_SOURCE,
            time=self._db.clock.wall(),
            subject=ended.data.call_id,
            tenantid=ended.tenantid,
            sequence=ended.sequence,
            data=ended.data,
        )
        return OutboxRecord(CDR_TOPIC, ended.data.call_id, encode_event(created))
