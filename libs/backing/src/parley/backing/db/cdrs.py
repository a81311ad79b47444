"""CDRs: written once per call, read by pages from the newest to the oldest."""

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import (
    Executable,
    Row,
    Select,
    and_,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from parley.backing.db.engine import Database
from parley.backing.db.models import CdrRow
from parley.model.call import (
    CallRecord,
    CallResult,
    EndedBy,
    LegRecord,
    MediaRecord,
    Termination,
)
from parley.model.errors import NotFound
from parley.model.ids import CallId, TenantId

MAX_PAGE = 1000
_INDEXED_CHARS = 64  # as the indexes of `CdrRow` say


class CdrFilter(Struct, frozen=True, kw_only=True):
    """Which CDRs to list; what is None does not matter.

    Attributes:
        since: calls that started at this time or later.
        until: calls that started before this time.
        party: caller, callee or dialled number.
    """

    since: datetime | None = None
    until: datetime | None = None
    party: str | None = None
    result: CallResult | None = None


class CdrPosition(NamedTuple):
    """Where a page ended: start and row of its last call. Calls that end meanwhile leave it."""

    started_at: datetime
    id: int


class CdrPage(NamedTuple):
    """One page; `end` is None on the last one."""

    records: list[CallRecord]
    end: CdrPosition | None


class CdrRepository:
    """Stores and lists call detail records."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def upsert(
        self, connection: AsyncConnection, records: Sequence[CallRecord]
    ) -> list[CallRecord]:
        """Writes records in the caller's transaction and returns those that changed anything.

        The first record of a call stays: delivering it again writes nothing. The one exception is
        a record that a sweeper made of a call it believed lost, which gives way to the real one.
        """
        unique = {(record.tenant_id, record.call_id): record for record in reversed(records)}
        if not unique:
            return []
        # In one order everywhere: two processes that write the same calls never wait in a circle.
        rows = [_row(unique[key]) for key in sorted(unique)]
        written = (await connection.execute(self._upsert, rows)).all()
        return [unique[TenantId(tenant_id), CallId(call_id)] for tenant_id, call_id in written]

    @cached_property
    def _upsert(self) -> Executable:
        insert = self._db.insert(CdrRow)
        fresh = insert.excluded
        return insert.on_conflict_do_update(
            index_elements=[CdrRow.tenant_id, CdrRow.call_id],
            set_={name: fresh[name] for name in _UPDATED},
            where=and_(
                CdrRow.result == CallResult.LOST.value, fresh.result != CallResult.LOST.value
            ),
        ).returning(CdrRow.tenant_id, CdrRow.call_id)

    async def delete_ended(self, before: datetime, limit: int) -> int:
        """Deletes CDRs of calls that ended before a time, of the `limit` that were written first.

        Returns:
            How many; 0 when the first ones are all younger.
        """
        first = select(CdrRow.id, CdrRow.ended_at).order_by(CdrRow.id).limit(limit).subquery()
        old = select(first.c.id).where(first.c.ended_at < before)
        async with self._db.write() as connection:
            result = await connection.execute(delete(CdrRow).where(CdrRow.id.in_(old)))
        return result.rowcount

    async def get(self, tenant_id: TenantId, call_id: CallId) -> CallRecord:
        """Returns the CDR of a call.

        Raises:
            NotFound: the tenant has none for this call.
        """
        query = select(CdrRow).where(CdrRow.tenant_id == tenant_id, CdrRow.call_id == call_id)
        async with self._db.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            raise NotFound(f"no CDR of call {call_id}", error_id="cdr-not-found")
        return _record(row)

    async def list_page(
        self,
        tenant_id: TenantId,
        limit: int = 100,
        after: CdrPosition | None = None,
        criteria: CdrFilter | None = None,
    ) -> CdrPage:
        """Lists a tenant's CDRs, the newest first.

        Args:
            tenant_id: whose calls.
            limit: how many at most.
            after: `end` of the page before; pages stay stable while calls end.
            criteria: which of them.
        """
        limit = max(1, min(limit, MAX_PAGE))
        query = page_query(tenant_id, limit + 1, after, criteria or CdrFilter())
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).all()
        shown = rows[:limit]
        is_last = len(rows) == len(shown)
        end = None if is_last else CdrPosition(shown[-1].started_at, shown[-1].id)
        return CdrPage([_record(row) for row in shown], end)


def page_query(
    tenant_id: TenantId, limit: int, after: CdrPosition | None, criteria: CdrFilter
) -> Select[Any]:
    """Makes the query of a page: every part of it ends after `limit` rows of an index."""
    conditions = [CdrRow.tenant_id == tenant_id, *_conditions(criteria)]
    if after is not None:
        conditions.append(tuple_(CdrRow.started_at, CdrRow.id) < tuple_(*after))
    if criteria.party is None:
        return _newest(select(CdrRow).where(*conditions), limit)
    # An OR over three columns would read all calls of the tenant.
    found = (
        _newest(select(CdrRow.id).where(*conditions, *_is_party(column, criteria.party)), limit)
        for column in (CdrRow.caller, CdrRow.callee, CdrRow.dialled)
    )
    ids = union_all(*(select(each.subquery().c.id) for each in found))
    return _newest(select(CdrRow).where(CdrRow.id.in_(ids)), limit)


def _newest(query: Select[Any], limit: int) -> Select[Any]:
    return query.order_by(CdrRow.started_at.desc(), CdrRow.id.desc()).limit(limit)


def _is_party(column: Any, party: str) -> list[Any]:
    # Written out, not bound: PostgreSQL must see that it is the expression of the index.
    start: Any = literal_column("1")
    length: Any = literal_column(str(_INDEXED_CHARS))
    conditions: list[Any] = [func.substr(column, start, length) == party[:_INDEXED_CHARS]]
    if len(party) >= _INDEXED_CHARS:
        # Only here, for SQLite would put the party into the expression and miss the index.
        conditions.append(column == party)
    return conditions


def _conditions(criteria: CdrFilter) -> list[Any]:
    conditions: list[Any] = []
    if criteria.since is not None:
        conditions.append(CdrRow.started_at >= criteria.since)
    if criteria.until is not None:
        conditions.append(CdrRow.started_at < criteria.until)
    if criteria.result is not None:
        conditions.append(CdrRow.result == criteria.result.value)
    return conditions


def _row(record: CallRecord) -> dict[str, Any]:
    termination = record.termination
    return {
        "tenant_id": record.tenant_id,
        "call_id": record.call_id,
        "caller": record.caller,
        "callee": record.callee,
        "dialled": record.dialled,
        "started_at": record.started_at,
        "ringing_at": record.ringing_at,
        "answered_at": record.answered_at,
        "ended_at": record.ended_at,
        "duration_s": record.duration_s,
        "result": termination.result.value,
        "reason": termination.reason,
        "sip_status": termination.sip_status,
        "ended_by": termination.by.value,
        "legs": record.legs,
        "media": record.media,
    }


_UPDATED = tuple(
    column.name
    for column in CdrRow.__table__.columns
    if column.name not in {"id", "tenant_id", "call_id"}
)


def _record(row: Row[Any]) -> CallRecord:
    return CallRecord(
        call_id=CallId(row.call_id),
        tenant_id=TenantId(row.tenant_id),
        caller=row.caller,
        callee=row.callee,
        dialled=row.dialled,
        started_at=row.started_at,
        ringing_at=row.ringing_at,
        answered_at=row.answered_at,
        ended_at=row.ended_at,
        duration_s=row.duration_s,
        termination=Termination(
            result=CallResult(row.result),
            reason=row.reason,
            sip_status=row.sip_status,
            by=EndedBy(row.ended_by),
        ),
        legs=msgspec.convert(row.legs, list[LegRecord]),
        media=msgspec.convert(row.media, list[MediaRecord]),
    )
