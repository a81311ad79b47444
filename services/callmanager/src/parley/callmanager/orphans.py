"""Calls whose call manager died: each is closed with a record, so that none goes without a CDR.

At its start a call manager reads the snapshots of all tenants. One whose owner discovery does not
know is claimed (its former owner, should it live after all, is fenced from then on), its kept
events go to the bus again under their old ids, then `call.ended` follows, and the snapshot is
deleted. Accounting lets a real record win over a lost one, whichever comes first.

The time of the end is the best that can be known: the dead owner's last load report, not later
than what the call waited for, not earlier than what is known to have happened.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec
import structlog
from msgspec.structs import replace

from parley.backing.db.tenants import TenantRepository
from parley.backing.errors import BackingError
from parley.backing.factory import Backing
from parley.callmanager.ending import Ending
from parley.callmanager.errors import MalformedSnapshot
from parley.callmanager.events import TOPIC
from parley.callmanager.load import LOAD_KEY
from parley.callmanager.outputs import Deadline
from parley.callmanager.snapshot import LegSnapshot, Snapshot, decode_snapshot
from parley.model.call import CallRecord, CallResult, EndedBy, LegRecord
from parley.model.errors import MalformedEvent
from parley.model.events import CallEnded, decode_event, encode_event
from parley.model.ids import CallId, InstanceId, TenantId
from parley.model.load import Load
from parley.service.clock import Clock

OWNER_LOST: Final = Ending(CallResult.LOST, "owner-lost", EndedBy.PLATFORM, 503)
STALE_REPORT_S: Final = 60.0
"""A load report so old is of no living instance, registered or about to be."""
ATTEMPTS: Final = 5
FIRST_PAUSE_S: Final = 0.5
TIMEOUT_S: Final = 5.0
_TENANTS_AT_ONCE: Final = 500

_logger = structlog.stdlib.get_logger(__name__)
_decode_load = msgspec.json.Decoder(Load).decode


class _Orphan(NamedTuple):
    """A claimed call, and who owned it before."""

    owner: InstanceId
    snapshot: Snapshot


class Orphans:
    """Closes what dead instances left.

    Args:
        backing: state, bus, discovery and the list of tenants.
        service: name under which call managers are known to discovery.
        instance: the one that claims.
        ttl_s: how long a claimed snapshot stays if we die as well.
        clock: of the records.
    """

    def __init__(
        self,
        backing: Backing,
        service: str,
        instance: InstanceId,
        ttl_s: float,
        clock: Clock,
    ) -> None:
        self._state = backing.state
        self._bus = backing.bus
        self._discovery = backing.discovery
        self._tenants = TenantRepository(backing.db)
        self._service = service
        self._instance = instance
        self._ttl_s = ttl_s
        self._clock = clock
        self._claimed: dict[CallId, _Orphan] = {}

    async def run(self) -> None:
        """Closes all orphans; tries again, a few times, while a backing service is away."""
        pause_s = FIRST_PAUSE_S
        for _ in range(ATTEMPTS):
            try:
                closed = await self.close_all()
            except (BackingError, TimeoutError) as error:
                _logger.warning("calls of dead instances wait to be closed", reason=repr(error))
                await asyncio.sleep(pause_s)
                pause_s *= 2
            else:
                if closed:
                    _logger.warning("calls of dead instances closed", calls=closed)
                return

    async def close_all(self) -> int:
        """Closes every orphan there is; returns how many.

        Raises:
            BackingError: a backing service did not answer; the rest is untouched.
            TimeoutError: nor did it within the time-out.
        """
        reports = await self._reports()
        closed = 0
        async for tenant_id in self._tenant_ids():
            async with asyncio.timeout(TIMEOUT_S):
                index = await self._state.set_range(f"calls:{{{tenant_id}}}")
            for call_id, _ in index:
                closed += await self._close(CallId(call_id), tenant_id, reports)
        await self._forget_reports(reports)
        return closed

    async def _tenant_ids(self) -> AsyncIterator[TenantId]:
        last: TenantId | None = None
        while True:
            async with asyncio.timeout(TIMEOUT_S):
                page = await self._tenants.list_all(_TENANTS_AT_ONCE, after=last)
            for tenant in page:
                yield tenant.id
            if len(page) < _TENANTS_AT_ONCE:
                return
            last = page[-1].id

    # --- one call --------------------------------------------------------------------------

    async def _close(self, call_id: CallId, tenant_id: TenantId, reports: dict[str, float]) -> bool:
        async with asyncio.timeout(TIMEOUT_S):
            orphan = self._claimed.get(call_id) or await self._claim(call_id)
            if orphan is None:
                return False
            # Kept until it is closed: to ourselves we are alive, so we would not claim it again.
            self._claimed[call_id] = orphan
            last_seen_s = reports.get(orphan.owner, self._clock.wall_s())
            for data in closing_events(orphan.snapshot, self._instance, last_seen_s):
                await self._bus.publish_and_wait(TOPIC, call_id, data)
            key = f"call:{{{call_id}}}"
            if await self._state.delete_owned(key, self._instance, orphan.snapshot.epoch):
                await self._state.set_remove(f"calls:{{{tenant_id}}}", call_id)
        del self._claimed[call_id]
        return True

    async def _claim(self, call_id: CallId) -> "_Orphan | None":
        """Takes a call over if its owner is dead; None: it is not ours to close."""
        key = f"call:{{{call_id}}}"
        data = await self._state.get(key)
        found = None if data is None else _decoded(call_id, data)
        if found is None or self._is_alive(found.progress.owner):
            return None
        claimed = await self._state.claim(key, self._instance, found.epoch)
        if claimed is None:
            return None
        # Written back at once: should we die too, our successor finds whose it is.
        progress = replace(found.progress, owner=self._instance)
        mine = replace(found, epoch=claimed.epoch, progress=progress)
        data = msgspec.msgpack.encode(mine)
        if not await self._state.put_owned(key, self._instance, mine.epoch, data, self._ttl_s):
            return None
        return _Orphan(found.progress.owner, mine)

    def _is_alive(self, owner: InstanceId) -> bool:
        if owner == self._instance:
            return True
        return any(each.id == owner for each in self._discovery.instances(self._service))

    # --- load reports of the dead ----------------------------------------------------------

    async def _reports(self) -> dict[str, float]:
        """When instances were last heard of, in Unix seconds."""
        async with asyncio.timeout(TIMEOUT_S):
            fields = await self._state.hash_get_all(LOAD_KEY)
        return {instance: _reported_at(data) for instance, data in fields.items()}

    async def _forget_reports(self, reports: dict[str, float]) -> None:
        stale_s = self._clock.wall_s() - STALE_REPORT_S
        stale = [
            instance
            for instance, at in reports.items()
            if at < stale_s and not self._is_alive(InstanceId(instance))
        ]
        if stale:
            async with asyncio.timeout(TIMEOUT_S):
                await self._state.hash_delete(LOAD_KEY, *stale)


def closing_events(snapshot: Snapshot, source: InstanceId, last_seen_s: float) -> Iterator[bytes]:
    """What the bus is told of an orphan, in order: what it may not have yet, then the end.

    Args:
        snapshot: of the call.
        source: the instance that closes it.
        last_seen_s: when its owner was last heard of, Unix seconds.
    """
    for event in snapshot.events:
        yield event.data
    if snapshot.events and _is_end(snapshot.events[-1].data):
        return
    record = lost_record(snapshot, last_seen_s)
    sequence = snapshot.sequence + 1
    yield encode_event(
        CallEnded(
            id=f"{record.call_id}-{sequence}",
            source=source,
            time=record.ended_at,
            subject=record.call_id,
            tenantid=record.tenant_id,
            sequence=sequence,
            data=record,
        )
    )


def lost_record(snapshot: Snapshot, last_seen_s: float) -> CallRecord:
    """Makes the CDR of a call from its snapshot; what the relay counted is not known."""
    progress = snapshot.progress
    answered_at = progress.answered_at
    ended_at = _ended_at(snapshot, last_seen_s)
    is_answered = answered_at is not None
    talked_s = 0.0 if answered_at is None else (ended_at - answered_at).total_seconds()
    return CallRecord(
        call_id=progress.call_id,
        tenant_id=snapshot.tenant_id,
        caller=progress.caller,
        callee=progress.callee,
        dialled=progress.dialled,
        started_at=progress.started_at,
        ringing_at=progress.ringing_at,
        answered_at=answered_at,
        ended_at=ended_at,
        duration_s=round(talked_s, 3),
        termination=snapshot.termination or OWNER_LOST.termination(is_answered=is_answered),
        legs=[_leg_record(snapshot, leg, ended_at) for leg in snapshot.legs],
    )


def _ended_at(snapshot: Snapshot, last_seen_s: float) -> datetime:
    progress = snapshot.progress
    waits_for = Deadline.RING if progress.answered_at is None else Deadline.DURATION
    end_s = min(last_seen_s, snapshot.deadlines.get(waits_for, last_seen_s))
    known = (progress.started_at, progress.ringing_at, progress.answered_at)
    return max(datetime.fromtimestamp(end_s, UTC), *(at for at in known if at is not None))


def _leg_record(snapshot: Snapshot, leg: LegSnapshot, ended_at: datetime) -> LegRecord:
    is_connected = leg.target is None or leg.id == snapshot.callee
    return LegRecord(
        leg=leg.id,
        party=leg.party,
        sip_call_id=leg.sip_call_id,
        contact="" if leg.target is None else leg.target.contact,
        started_at=snapshot.progress.started_at,
        answered_at=snapshot.progress.answered_at if is_connected else None,
        ended_at=ended_at,
    )


def _decoded(call_id: CallId, data: bytes) -> Snapshot | None:
    try:
        return decode_snapshot(data)
    except MalformedSnapshot as error:
        _logger.warning("snapshot cannot be read", call_id=call_id, reason=str(error))
        return None


def _is_end(data: bytes) -> bool:
    try:
        return isinstance(decode_event(data), CallEnded)
    except MalformedEvent:
        return False


def _reported_at(data: bytes) -> float:
    try:
        return _decode_load(data).at
    except msgspec.MsgspecError:
        return 0.0
