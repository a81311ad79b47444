"""Keeps the cache of tenants in step with the database: by events, and by reconciliation.

A `config.changed` event names what changed, which is read again. Its `sequence` is the tenant's
version: one that the cache has already is passed over, and behind a gap the whole tenant is read.
Every half minute one query reads the versions of all warm tenants, so that an event nobody heard is
made up for. What cannot be read now (the database is away) stays in use, and is tried again with
growing pauses.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from parley.backing.bus.base import Record
from parley.backing.db.engine import Database
from parley.backing.db.extensions import ExtensionRepository
from parley.backing.db.tenants import TenantRepository
from parley.backing.errors import BackingError
from parley.backing.tenant_cache import TenantCache
from parley.model.errors import MalformedEvent
from parley.model.events import ConfigChanged, ConfigKind, decode_event
from parley.model.ids import ExtensionId, TenantId

_FIRST_S = 5.0  # the bus may have begun to tell later than we began to read
_RECONCILE_S = 30.0
_RETRY_S = 1.0
_MAX_RETRY_S = 30.0
_MAX_COUNTED = 10_000

_logger = structlog.stdlib.get_logger(__name__)


class Changes:
    """Counts changes, so that a read can tell whether one came while it was under way."""

    def __init__(self) -> None:
        self._count = 0
        self._last: dict[TenantId, int] = {}
        self._forgotten = 0

    def mark(self) -> int:
        """Returns the present count."""
        return self._count

    def add(self, tenant_id: TenantId) -> None:
        """Counts a change of a tenant."""
        if len(self._last) >= _MAX_COUNTED:
            self._last.clear()
            self._forgotten = self._count
        self._count += 1
        self._last[tenant_id] = self._count

    def since(self, mark: int, tenant_id: TenantId) -> bool:
        """Says whether this tenant has changed, or may have."""
        return self._last.get(tenant_id, self._forgotten) > mark

    def any_since(self, mark: int) -> bool:
        """Says whether any tenant has changed."""
        return self._count > mark


class TenantRefresh:
    """Replaces snapshots whose tenant has changed.

    Args:
        forget: drops what was concluded from all tenants together (absences, unique names).
    """

    def __init__(
        self, db: Database, cache: TenantCache, changes: Changes, forget: Callable[[], None]
    ) -> None:
        self._tenants = TenantRepository(db)
        self._extensions = ExtensionRepository(db)
        self._cache = cache
        self._changes = changes
        self._forget = forget
        self._stale: set[TenantId] = set()
        self._has_stale = asyncio.Event()
        self._fingerprint: tuple[int, int] | None = None

    async def on_records(self, records: Sequence[Record]) -> None:
        """Applies a batch of events: one read per tenant, however many name it."""
        told: dict[TenantId, list[ConfigChanged]] = {}
        for record in records:
            try:
                event = decode_event(record.value)
            except MalformedEvent as error:
                _logger.warning("malformed config event", reason=str(error))
                continue
            if isinstance(event, ConfigChanged):
                self._changes.add(event.tenantid)
                told.setdefault(event.tenantid, []).append(event)
        if told:
            self._forget()
        for tenant_id, events in told.items():
            try:
                await self._follow(tenant_id, events)
            except BackingError as error:
                _logger.warning("tenant not refreshed", tenant_id=tenant_id, reason=str(error))
                self._mark_stale(tenant_id)
            except Exception:
                _logger.exception("tenant not refreshed", tenant_id=tenant_id)
                self._mark_stale(tenant_id)

    async def run(self) -> None:
        """Reconciles until it is cancelled."""
        pause_s = 0.0
        await self._wait(_FIRST_S)
        while True:
            try:
                is_done = await self._reconcile()
            except BackingError as error:
                _logger.warning("tenants not reconciled", reason=str(error))
                is_done = False
            except Exception:
                _logger.exception("tenants not reconciled")
                is_done = False
            if is_done:
                pause_s = 0.0
                await self._wait(_RECONCILE_S)
            else:
                pause_s = min(_MAX_RETRY_S, max(_RETRY_S, pause_s * 2))
                await asyncio.sleep(pause_s)

    async def _wait(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._has_stale.wait()
        except TimeoutError:
            return
        # What could not be read a moment ago cannot be read now.
        await asyncio.sleep(_RETRY_S)

    def _mark_stale(self, tenant_id: TenantId) -> None:
        self._stale.add(tenant_id)
        self._has_stale.set()

    async def _reconcile(self) -> bool:
        self._has_stale.clear()
        warm = dict(self._cache.versions())
        found = await self._tenants.load_versions(list(warm))
        if self._fingerprint not in {None, found.fingerprint}:
            self._forget()
        self._fingerprint = found.fingerprint
        self._stale.update(each for each in warm if found.of.get(each) != warm[each])
        is_done = True
        for tenant_id in tuple(self._stale):
            try:
                await self._refresh_whole(tenant_id)
                self._stale.discard(tenant_id)
            except BackingError:
                raise
            except Exception:
                _logger.exception("tenant still stale", tenant_id=tenant_id)
                is_done = False
        return is_done

    async def _follow(self, tenant_id: TenantId, events: Sequence[ConfigChanged]) -> None:
        while True:
            old = self._cache.get(tenant_id)
            if old is None:
                return
            ids, version = _due(old.version, events)
            if ids is None:
                await self._refresh_whole(tenant_id)
                return
            if not ids:
                return
            changed = await self._extensions.get_many(tenant_id, sorted(ids))
            # Another read may have replaced it meanwhile.
            if self._cache.get(tenant_id) is old:
                gone = ids.difference(extension.id for extension in changed)
                self._cache.put(old.with_extensions(changed, gone, version))
                return

    async def _refresh_whole(self, tenant_id: TenantId) -> None:
        while tenant_id in self._cache:
            mark = self._changes.mark()
            snapshot = await self._tenants.load_snapshot(tenant_id)
            if self._changes.since(mark, tenant_id):
                continue
            if snapshot is None:
                self._cache.drop(tenant_id)
            elif tenant_id in self._cache:
                self._cache.put(snapshot)
            return


def _due(version: int, events: Sequence[ConfigChanged]) -> tuple[set[ExtensionId] | None, int]:
    """Says which extensions to read, None for the whole tenant, and which version that makes."""
    ids: set[ExtensionId] = set()
    for event in events:
        if 0 < event.sequence <= version:
            continue
        # Where nothing is counted (0) nothing can be missed.
        is_next = event.sequence in {0, version + 1}
        if not is_next or event.data.kind is not ConfigKind.EXTENSION or not event.data.ids:
            return None, event.sequence
        ids.update(map(ExtensionId, event.data.ids))
        version = max(version, event.sequence)
    return ids, version
