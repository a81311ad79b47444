"""The tenant directory: a cache of tenants in memory, so that no call waits for the database.

Policy. `peek*` are synchronous and answer from memory only; `load*` read what is cold, many callers
at once costing one query. What does not exist is remembered for a few seconds, so that scanners
cannot make the database work. Memory is bounded (`tenant_cache.py`); a snapshot is replaced, never
edited, and follows its tenant by events and by reconciliation (`tenant_refresh.py`).
`look_again` reads one extension of a warm tenant before its event has come.
Callers check `enabled` of tenants and extensions: disabled ones are found like all others.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from parley.backing.bus.base import Bus, Subscription
from parley.backing.db.changes import CONFIG_TOPIC
from parley.backing.db.engine import Database
from parley.backing.db.extensions import ExtensionRepository
from parley.backing.db.tenants import TenantRepository
from parley.backing.errors import BackingError
from parley.backing.second_look import SecondLooks
from parley.backing.single_flight import SingleFlight
from parley.backing.tenant_cache import TenantCache
from parley.backing.tenant_refresh import Changes, TenantRefresh
from parley.model.ids import TenantId
from parley.model.tenant import Extension, TenantSnapshot
from parley.service.tasks import TaskOwner

NEGATIVE_TTL_S = 5.0
MAX_EXTENSIONS = 200_000
_MAX_NEGATIVE = 10_000
_MAX_AUTH_NAMES = 100_000
_LOOK_S = 1.0

# Name spaces of the keys of what is absent.
_DOMAIN = "domain "
_TENANT = "tenant "
_AUTH_NAME = "auth "

_logger = structlog.stdlib.get_logger(__name__)


class TenantDirectory:
    """Finds tenants by domain or id, and extensions by number or auth name."""

    def __init__(self, db: Database, bus: Bus, max_extensions: int = MAX_EXTENSIONS) -> None:
        """Takes where tenants are read, where changes are told, and how much stays in memory."""
        self._bus = bus
        self._tenants = TenantRepository(db)
        self._extensions = ExtensionRepository(db)
        self._cache = TenantCache(max_extensions)
        self._by_id = self._cache.by_id
        self._by_domain = self._cache.by_domain
        self._auth_names: dict[str, tuple[TenantId, str]] = {}
        self._absent = _Absent(db)
        self._looks = SecondLooks(db.clock.now)
        self._changes = Changes()
        self._refresh = TenantRefresh(db, self._cache, self._changes, self._forget)
        self._tasks = TaskOwner()
        self._by_id_flights: SingleFlight[TenantSnapshot | None] = SingleFlight(self._tasks)
        self._by_domain_flights: SingleFlight[TenantSnapshot | None] = SingleFlight(self._tasks)
        self._auth_flights: SingleFlight[Extension | None] = SingleFlight(self._tasks)
        self._look_flights: SingleFlight[None] = SingleFlight(self._tasks)
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begins to follow changes."""
        self._subscription = self._bus.tail(CONFIG_TOPIC, self._refresh.on_records)
        self._tasks.spawn(self._refresh.run(), name="tenant reconciliation")

    async def aclose(self) -> None:
        """Stops to follow changes and ends every load."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.aclose()
        await self._tasks.aclose()

    def peek(self, domain: str) -> TenantSnapshot | None:
        """Returns the tenant that owns a domain if it is warm."""
        entry = self._by_domain.get(domain) or self._by_domain.get(domain.lower())
        if entry is None:
            return None
        entry.is_used = True
        return entry.snapshot

    def peek_by_id(self, tenant_id: TenantId) -> TenantSnapshot | None:
        """Returns a tenant if it is warm."""
        entry = self._by_id.get(tenant_id)
        if entry is None:
            return None
        entry.is_used = True
        return entry.snapshot

    def peek_by_auth_name(self, auth_name: str) -> Extension | None:
        """Returns the one extension on the platform with this auth name if it is warm."""
        known = self._auth_names.get(auth_name)
        if known is None:
            return None
        tenant_id, number = known
        snapshot = self.peek_by_id(tenant_id)
        return None if snapshot is None else snapshot.extensions.get(number)

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
        warm = self.peek_by_id(tenant_id)
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
        return self.peek_by_id(tenant_id)

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
        old = self._cache.get(tenant_id)
        if old is not None and any(old.extensions.get(each.number) != each for each in found):
            self._cache.put(old.with_extensions(found))

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
                self._cache.put(snapshot)
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

    def _forget(self) -> None:
        """Drops what a change of any tenant may have made untrue."""
        self._absent.clear()
        self._auth_names.clear()


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
