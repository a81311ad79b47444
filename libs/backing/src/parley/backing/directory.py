"""The tenant directory: snapshots of tenants in memory, so that no call waits for the database.

Policy. `peek*` are synchronous and answer from memory only; `load*` read what is cold, many callers
at once costing one query. What does not exist is remembered for a few seconds, so that scanners
cannot make the database work. Changes arrive as `config.changed` events on the bus and are applied
by reading what they name again; a snapshot is replaced, never edited, and one whose new state
cannot be read now (the database is away) stays in use and is read again until that works.
`look_again` reads one extension of a warm tenant before its event has come.
Callers check `enabled` of tenants and extensions: disabled ones are found like all others.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

import structlog

from parley.backing.bus.base import Bus, Record, Subscription
from parley.backing.db.changes import CONFIG_TOPIC
from parley.backing.db.engine import Database
from parley.backing.db.extensions import ExtensionRepository
from parley.backing.db.tenants import TenantRepository
from parley.backing.errors import BackingError
from parley.backing.second_look import SecondLooks
from parley.backing.single_flight import SingleFlight
from parley.model.errors import MalformedEvent
from parley.model.events import ConfigChanged, ConfigKind, decode_event
from parley.model.ids import ExtensionId, TenantId
from parley.model.tenant import Extension, TenantSnapshot
from parley.service.tasks import TaskOwner

NEGATIVE_TTL_S = 5.0
_MAX_NEGATIVE = 10_000
_MAX_AUTH_NAMES = 100_000
_RETRY_S = 1.0
_MAX_RETRY_S = 30.0
_LOOK_S = 1.0

# Name spaces of the keys of what is absent.
_DOMAIN = "domain "
_TENANT = "tenant "
_AUTH_NAME = "auth "

_logger = structlog.stdlib.get_logger(__name__)


class TenantDirectory:
    """Finds tenants by domain or id, and extensions by number or auth name."""

    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._bus = bus
        self._tenants = TenantRepository(db)
        self._extensions = ExtensionRepository(db)
        self._by_id: dict[str, TenantSnapshot] = {}
        self._by_domain: dict[str, TenantSnapshot] = {}
        self._auth_names: dict[str, tuple[TenantId, str]] = {}
        self._absent = _Absent(db)
        self._looks = SecondLooks(db.clock.now)
        self._changes = _Changes()
        self._tasks = TaskOwner()
        self._by_id_flights: SingleFlight[TenantSnapshot | None] = SingleFlight(self._tasks)
        self._by_domain_flights: SingleFlight[TenantSnapshot | None] = SingleFlight(self._tasks)
        self._auth_flights: SingleFlight[Extension | None] = SingleFlight(self._tasks)
        self._look_flights: SingleFlight[None] = SingleFlight(self._tasks)
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begins to follow changes."""
        self._subscription = self._bus.tail(CONFIG_TOPIC, self._on_records)

    async def aclose(self) -> None:
        """Stops to follow changes and ends every load."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.aclose()
        await self._tasks.aclose()

    def peek(self, domain: str) -> TenantSnapshot | None:
        """Returns the tenant that owns a domain if it is warm."""
        return self._by_domain.get(domain) or self._by_domain.get(domain.lower())

    def peek_by_id(self, tenant_id: TenantId) -> TenantSnapshot | None:
        """Returns a tenant if it is warm."""
        return self._by_id.get(tenant_id)

    def peek_by_auth_name(self, auth_name: str) -> Extension | None:
        """Returns the one extension on the platform with this auth name if it is warm."""
        known = self._auth_names.get(auth_name)
        if known is None:
            return None
        tenant_id, number = known
        snapshot = self._by_id.get(tenant_id)
        return None if snapshot is None else snapshot.extensions.get(number)

    def is_known_absent(self, domain: str) -> bool:
        """Says whether the domain was looked up a moment ago and belongs to nobody."""
        return self._absent.has(_DOMAIN + domain.lower())

    async def load(self, domain: str) -> TenantSnapshot | None:
        """Returns the tenant that owns a domain, reading it when it is cold.

        Raises:
            BackingUnavailable: it is cold and the database does not answer.
        """
        warm = self.peek(domain)
        key = domain.lower()
        if warm is not None or self._absent.has(_DOMAIN + key):
            return warm

        async def read() -> TenantSnapshot | None:
            return await self._tenants.load_snapshot_by_domain(key)

        return await self._by_domain_flights.do(key, lambda: self._admit(read, _DOMAIN + key))

    async def load_by_id(self, tenant_id: TenantId) -> TenantSnapshot | None:
        """Returns a tenant, reading it when it is cold.

        Raises:
            BackingUnavailable: it is cold and the database does not answer.
        """
        warm = self._by_id.get(tenant_id)
        if warm is not None or self._absent.has(_TENANT + tenant_id):
            return warm

        async def read() -> TenantSnapshot | None:
            return await self._tenants.load_snapshot(tenant_id)

        return await self._by_id_flights.do(
            tenant_id, lambda: self._admit(read, _TENANT + tenant_id)
        )

    async def load_by_auth_name(self, auth_name: str) -> Extension | None:
        """Finds the extension of a phone that cannot send its domain.

        Returns:
            The extension if exactly one on the platform has this auth name.

        Raises:
            BackingUnavailable: it is cold and the database does not answer.
        """
        warm = self.peek_by_auth_name(auth_name)
        if warm is not None or self._absent.has(_AUTH_NAME + auth_name):
            return warm
        return await self._auth_flights.do(auth_name, lambda: self._read_auth_name(auth_name))

    async def resolve_extension(self, tenant_id: TenantId, number: str) -> Extension | None:
        """Returns an extension of a tenant by number, reading the tenant when it is cold."""
        snapshot = await self.load_by_id(tenant_id)
        return None if snapshot is None else snapshot.extensions.get(number)

    def may_look_again(self, tenant_id: TenantId, name: str) -> bool:
        """Says whether `look_again` would have to wait for the database."""
        if tenant_id not in self._by_id:
            return False
        return self._look_flights.is_flying(_look_key(tenant_id, name)) or self._looks.is_open(
            tenant_id, name
        )

    async def look_again(self, tenant_id: TenantId, name: str) -> TenantSnapshot | None:
        """Reads one extension of a warm tenant again, by number or auth name.

        For those that memory does not know or whose secret does not fit: they may have been
        created or changed a moment ago. It is rationed, and what cannot be read now is no error.

        Returns:
            The tenant as it is known now; None when it is not warm.
        """
        key = _look_key(tenant_id, name)
        if self._look_flights.is_flying(key) or (
            tenant_id in self._by_id and self._looks.take(tenant_id, name)
        ):
            await self._look_flights.do(key, lambda: self._look(tenant_id, name))
        return self._by_id.get(tenant_id)

    async def _look(self, tenant_id: TenantId, name: str) -> None:
        try:
            async with asyncio.timeout(_LOOK_S):
                while True:
                    mark = self._changes.mark()
                    found = await self._extensions.find_named(tenant_id, name)
                    # What a change that came meanwhile brings may be newer.
                    if not self._changes.since(mark, tenant_id):
                        break
        except (BackingError, TimeoutError) as error:
            _logger.warning("no second look", tenant_id=tenant_id, reason=str(error))
            return
        old = self._by_id.get(tenant_id)
        if old is not None and any(old.extensions.get(each.number) != each for each in found):
            self._put(old.with_extensions(found))

    async def _admit(
        self, read: Callable[[], Awaitable[TenantSnapshot | None]], absent_key: str
    ) -> TenantSnapshot | None:
        while True:
            mark = self._changes.mark()
            snapshot = await read()
            # A change that came while we read may be missing from what we read.
            if snapshot is None:
                if self._changes.any_since(mark):
                    continue
                self._absent.add(absent_key)
                return None
            if not self._changes.since(mark, snapshot.id):
                self._put(snapshot)
                return snapshot

    async def _read_auth_name(self, auth_name: str) -> Extension | None:
        mark = self._changes.mark()
        found = await self._extensions.find_by_auth_name(auth_name)
        if found is None:
            if not self._changes.any_since(mark):
                self._absent.add(_AUTH_NAME + auth_name)
            return None
        snapshot = await self.load_by_id(found.tenant_id)
        if snapshot is None:
            return None
        if not self._changes.any_since(mark):
            if len(self._auth_names) >= _MAX_AUTH_NAMES:
                self._auth_names.clear()
            self._auth_names[auth_name] = (found.tenant_id, found.number)
        return snapshot.find_auth_name(auth_name)

    def _put(self, snapshot: TenantSnapshot) -> None:
        self._drop(snapshot.id)
        self._by_id[snapshot.id] = snapshot
        for domain in snapshot.domains:
            self._by_domain[domain] = snapshot

    def _drop(self, tenant_id: TenantId) -> None:
        old = self._by_id.pop(tenant_id, None)
        if old is None:
            return
        for domain in old.domains:
            # The domain may have moved to another tenant meanwhile.
            holder = self._by_domain.get(domain)
            if holder is not None and holder.id == tenant_id:
                del self._by_domain[domain]

    async def _on_records(self, records: Sequence[Record]) -> None:
        """Applies a batch of changes: one read per tenant, however many events name it."""
        stale: defaultdict[TenantId, set[ExtensionId] | None] = defaultdict(set)
        for record in records:
            try:
                event = decode_event(record.value)
            except MalformedEvent as error:
                _logger.warning("malformed config event", reason=str(error))
                continue
            if isinstance(event, ConfigChanged):
                self._changes.add(event.tenantid)
                known = stale[event.tenantid]
                is_whole = event.data.kind is not ConfigKind.EXTENSION or not event.data.ids
                if is_whole or known is None:
                    stale[event.tenantid] = None
                else:
                    known.update(map(ExtensionId, event.data.ids))
        if stale:
            self._absent.clear()
            self._auth_names.clear()
        for tenant_id, extension_ids in stale.items():
            if tenant_id in self._by_id:
                await self._refresh_or_retry(tenant_id, extension_ids)

    async def _refresh_or_retry(
        self, tenant_id: TenantId, extension_ids: set[ExtensionId] | None
    ) -> None:
        try:
            await self._refresh(tenant_id, extension_ids)
        except BackingError as error:
            _logger.warning("tenant not refreshed", tenant_id=tenant_id, reason=str(error))
            self._tasks.spawn(self._refresh_later(tenant_id), name=f"refresh tenant {tenant_id}")

    async def _refresh(self, tenant_id: TenantId, extension_ids: set[ExtensionId] | None) -> None:
        if extension_ids is None:
            await self._refresh_whole(tenant_id)
            return
        changed = await self._extensions.get_many(tenant_id, sorted(extension_ids))
        # Looked up after the read: another refresh may have replaced it meanwhile.
        old = self._by_id.get(tenant_id)
        if old is not None:
            gone = extension_ids.difference(extension.id for extension in changed)
            self._put(old.with_extensions(changed, gone))

    async def _refresh_whole(self, tenant_id: TenantId) -> None:
        while True:
            mark = self._changes.mark()
            snapshot = await self._tenants.load_snapshot(tenant_id)
            if self._changes.since(mark, tenant_id):
                continue
            if snapshot is None:
                self._drop(tenant_id)
            else:
                self._put(snapshot)
            return

    async def _refresh_later(self, tenant_id: TenantId) -> None:
        pause_s = _RETRY_S
        while tenant_id in self._by_id:
            await asyncio.sleep(pause_s)
            pause_s = min(_MAX_RETRY_S, pause_s * 2)
            try:
                await self._refresh(tenant_id, None)
            except BackingError as error:
                _logger.warning("tenant still stale", tenant_id=tenant_id, reason=str(error))
            else:
                return


def _look_key(tenant_id: TenantId, name: str) -> str:
    return f"{tenant_id} {name}"


class _Absent:
    """What was looked up a moment ago and does not exist; bounded."""

    def __init__(self, db: Database) -> None:
        self._now = db.clock.now
        self._until: dict[str, float] = {}

    def add(self, key: str) -> None:
        if len(self._until) >= _MAX_NEGATIVE:
            self._until.clear()
        self._until[key] = self._now() + NEGATIVE_TTL_S

    def has(self, key: str) -> bool:
        until = self._until.get(key)
        if until is None:
            return False
        if until > self._now():
            return True
        del self._until[key]
        return False

    def clear(self) -> None:
        self._until.clear()


class _Changes:
    """Counts changes, so that a read can tell whether one came while it was under way."""

    def __init__(self) -> None:
        self._count = 0
        self._last: dict[TenantId, int] = {}

    def mark(self) -> int:
        return self._count

    def add(self, tenant_id: TenantId) -> None:
        self._count += 1
        self._last[tenant_id] = self._count

    def since(self, mark: int, tenant_id: TenantId) -> bool:
        return self._last.get(tenant_id, 0) > mark

    def any_since(self, mark: int) -> bool:
        return self._count > mark
