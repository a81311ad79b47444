"""The database contract: one CDR per call, read by pages."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from parley.backing.db.cdrs import CdrFilter, CdrPosition, CdrRepository, page_query
from parley.backing.db.engine import Database
from parley.backing.db.extensions import ExtensionRepository
from parley.backing.db.tenants import TenantRepository
from parley.backing.db.tokens import TokenRepository
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

MakeTenant = Callable[[str], Awaitable[TenantId]]


_START = datetime(2026, 5, 4, 10, 0, 0, 250_000, tzinfo=UTC)
_T1 = TenantId("t1")


def _record(
    call_id: str,
    *,
    tenant_id: TenantId = _T1,
    offset_s: float = 0,
    caller: str = "1001",
    callee: str = "1002",
    dialled: str = "1002",
) -> CallRecord:
    started_at = _START + timedelta(seconds=offset_s)
    ended_at = started_at + timedelta(seconds=12.5)
    return CallRecord(
        call_id=CallId(call_id),
        tenant_id=tenant_id,
        caller=caller,
        callee=callee,
        dialled=dialled,
        started_at=started_at,
        ringing_at=started_at + timedelta(milliseconds=50),
        answered_at=started_at + timedelta(seconds=2),
        ended_at=ended_at,
        duration_s=10.5,
        termination=Termination(
            result=CallResult.ANSWERED, reason="hangup", sip_status=200, by=EndedBy.CALLEE
        ),
        legs=[
            LegRecord(
                leg="a", party="1001", sip_call_id="x@y", started_at=started_at, ended_at=ended_at
            )
        ],
        media=[MediaRecord(leg="a", packets_received=500, jitter_ms=0.5)],
    )


def _lost(real: CallRecord) -> CallRecord:
    """Makes what a sweeper writes of a call that it believes lost."""
    end = Termination(
        result=CallResult.LOST, reason="owner-gone", sip_status=0, by=EndedBy.PLATFORM
    )
    return CallRecord(
        call_id=real.call_id,
        tenant_id=real.tenant_id,
        caller="1001",
        callee="",
        dialled="1002",
        started_at=real.started_at,
        ended_at=real.ended_at,
        termination=end,
    )


async def _store(db: Database, *records: CallRecord) -> list[CallRecord]:
    async with db.write() as connection:
        return await CdrRepository(db).upsert(connection, records)


async def test_cdr_comes_back_as_it_was_written(db: Database) -> None:
    record = _record("c1")

    assert await _store(db, record) == [record]

    assert await CdrRepository(db).get(_T1, CallId("c1")) == record


async def test_cdr_written_twice_is_stored_once(db: Database) -> None:
    await _store(db, _record("c1"))

    assert await _store(db, _record("c1"), _record("c2"), _record("c2")) == [_record("c2")]
    assert len((await CdrRepository(db).list_page(_T1)).records) == 2


async def test_record_of_a_lost_call_gives_way_to_the_real_one_but_never_back(
    db: Database,
) -> None:
    real = _record("c1")
    lost = _lost(real)

    assert await _store(db, lost) == [lost]
    assert await _store(db, real) == [real]
    assert await _store(db, lost) == []

    assert await CdrRepository(db).get(_T1, CallId("c1")) == real


@pytest.mark.parametrize("lost_is_first", [True, False])
async def test_real_record_stays_whoever_of_two_writers_at_a_time_commits_first(
    db: Database, lost_is_first: bool
) -> None:
    real, lost = _record("c1"), _lost(_record("c1"))
    first, second = (lost, real) if lost_is_first else (real, lost)
    cdrs = CdrRepository(db)

    async with db.write() as connection:
        await cdrs.upsert(connection, [_record("c2"), first])
        other = asyncio.ensure_future(_store(db, second, _record("c2")))
        await asyncio.wait([other], timeout=0.1)
        assert not other.done()
    assert await other == ([real] if lost_is_first else [])

    assert await cdrs.get(_T1, CallId("c1")) == real


async def test_same_call_id_of_two_tenants_is_two_calls(db: Database) -> None:
    other = TenantId("t2")
    await _store(db, _record("c1"), _record("c1", tenant_id=other))

    assert (await CdrRepository(db).get(other, CallId("c1"))).tenant_id == other
    assert len((await CdrRepository(db).list_page(_T1)).records) == 1
    with pytest.raises(NotFound):
        await CdrRepository(db).get(TenantId("t3"), CallId("c1"))


async def test_pages_run_from_the_newest_and_stay_stable_while_calls_end(db: Database) -> None:
    cdrs = CdrRepository(db)
    # Two calls share a start time: the row's id decides.
    await _store(db, *(_record(f"c{i}", offset_s=i // 2) for i in range(7)))

    seen: list[CallRecord] = []
    end: CdrPosition | None = None
    while True:
        page = await cdrs.list_page(_T1, limit=3, after=end)
        seen += page.records
        await _store(db, _record(f"new{len(seen)}", offset_s=100))
        end = page.end
        if end is None:
            break

    assert sorted(record.call_id for record in seen) == [f"c{i}" for i in range(7)]
    assert all(one.started_at >= two.started_at for one, two in pairwise(seen))


async def test_cdrs_are_filtered(db: Database) -> None:
    await _store(db, *(_record(f"c{i}", offset_s=i) for i in range(5)))

    async def found(**criteria: Any) -> list[str]:
        page = await CdrRepository(db).list_page(_T1, criteria=CdrFilter(**criteria))
        return [record.call_id for record in page.records]

    second = timedelta(seconds=1)
    assert await found(since=_START + second, until=_START + 3 * second) == ["c2", "c1"]
    assert len(await found(party="1002")) == 5
    assert await found(party="1003") == []
    assert len(await found(result=CallResult.ANSWERED)) == 5
    assert await found(result=CallResult.BUSY) == []


async def test_party_is_found_by_any_of_its_sides_page_by_page(db: Database) -> None:
    long = "x" * 3000
    await _store(
        db,
        *(_record(f"c{i}", offset_s=i, caller="ann") for i in range(3)),
        *(_record(f"d{i}", offset_s=10 + i, callee="ann", dialled="ann") for i in range(3)),
        _record("e", offset_s=20, dialled="ann"),
        _record("long", offset_s=30, caller=long),
        _record("longer", offset_s=31, caller=long + "y"),
    )
    cdrs, found, end = CdrRepository(db), [], None
    while True:
        page = await cdrs.list_page(_T1, 2, end, CdrFilter(party="ann"))
        found += [record.call_id for record in page.records]
        end = page.end
        if end is None:
            break

    assert found == ["e", "d2", "d1", "d0", "c2", "c1", "c0"]
    [record] = (await cdrs.list_page(_T1, criteria=CdrFilter(party=long))).records
    assert (record.call_id, record.caller) == ("long", long)


async def test_party_is_found_by_an_index(db: Database) -> None:
    await _store(db, *(_record(f"c{i}", offset_s=i, caller=f"u{i}") for i in range(2000)))
    query = page_query(_T1, 101, None, CdrFilter(party="u7"))
    dialect: Dialect = sqlite.dialect() if db.is_sqlite else postgresql.dialect()  # type: ignore[no-untyped-call]
    words = "EXPLAIN QUERY PLAN" if db.is_sqlite else "EXPLAIN"
    statement = query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})

    async with db.write() as connection:
        await connection.execute(text("ANALYZE cdrs"))
        rows = (await connection.execute(text(f"{words} {statement}"))).all()

    plan = str(rows)
    assert all(f"ix_cdrs_{party}" in plan for party in ("caller", "callee", "dialled")), plan


async def test_deleting_a_tenant_takes_all_but_its_cdrs(
    db: Database, make_tenant: MakeTenant
) -> None:
    tenants = TenantRepository(db)
    tenant_id = await make_tenant("demo")
    await TokenRepository(db).create("key", tenant_id)
    await _store(db, _record("c1", tenant_id=tenant_id))

    assert await tenants.delete(tenant_id)
    assert not await tenants.delete(tenant_id)

    assert await tenants.load_snapshot(tenant_id) is None
    assert await ExtensionRepository(db).list_page(tenant_id) == []
    assert await TokenRepository(db).list_all(tenant_id) == []
    assert (await CdrRepository(db).get(tenant_id, CallId("c1"))).caller == "1001"
