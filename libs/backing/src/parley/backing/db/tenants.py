"""Tenants and their domains, and the snapshot that the call path works with."""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from parley.backing.db.changes import (
    announce_config,
    check_version,
    lock_tenant,
    settings_from_row,
)
from parley.backing.db.engine import Database
from parley.backing.db.extensions import extension_from_row
from parley.backing.db.models import ExtensionRow, TenantDomainRow, TenantRow
from parley.model.errors import Conflict, InvalidValue, NotFound
from parley.model.events import ConfigAction, ConfigChange, ConfigKind
from parley.model.ids import TenantId
from parley.model.tenant import Extension, TenantSettings, TenantSnapshot

_IDS_PER_QUERY = 1000


class Tenant(NamedTuple):
    """A tenant without its extensions.

    Attributes:
        domains: the first one is the primary one.
        version: grows with each change of what is shown here.
    """

    id: TenantId
    name: str
    domains: tuple[str, ...]
    settings: TenantSettings
    enabled: bool
    version: int = 1


class TenantVersions(NamedTuple):
    """Versions of tenants by id, and a pair of numbers that any change of any tenant changes."""

    of: dict[TenantId, int]
    fingerprint: tuple[int, int]


class TenantRepository:
    """Reads and changes tenants; every change is announced on the config topic."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(
        self,
        name: str,
        domains: Sequence[str],
        settings: TenantSettings | None = None,
        tenant_id: TenantId | None = None,
    ) -> Tenant:
        """Creates a tenant without extensions.

        Raises:
            Conflict: a domain or the id is taken.
            InvalidValue: no domain, or one that is no host name.
        """
        async with self._db.write() as connection:
            tenant = await self.insert(connection, name, domains, settings, tenant_id)
            await self._announce(connection, tenant.id, ConfigAction.CREATED)
        return tenant

    async def insert(
        self,
        connection: AsyncConnection,
        name: str,
        domains: Sequence[str],
        settings: TenantSettings | None = None,
        tenant_id: TenantId | None = None,
    ) -> Tenant:
        """Writes a tenant in the caller's transaction and announces nothing."""
        tenant = Tenant(
            id=tenant_id or TenantId(self._db.ids.token(8)),
            name=name,
            domains=_checked_domains(domains),
            settings=settings or TenantSettings(),
            enabled=True,
        )
        now = self._db.clock.wall()
        row = {
            "id": tenant.id,
            "name": tenant.name,
            "enabled": tenant.enabled,
            "settings": tenant.settings,
            "created_at": now,
            "updated_at": now,
            "config_version": 0,  # the announcement makes it 1
        }
        try:
            await connection.execute(insert(TenantRow), [row])
        except IntegrityError as error:
            raise Conflict(f"tenant {tenant.id} exists", error_id="tenant-exists") from error
        await _insert_domains(connection, tenant)
        return tenant

    async def get(self, tenant_id: TenantId) -> Tenant:
        """Returns a tenant.

        Raises:
            NotFound: there is none with this id.
        """
        async with self._db.read() as connection:
            row = await _row(connection, TenantRow.id == tenant_id)
            if row is None:
                raise _no_tenant(tenant_id)
            return await _with_domains(connection, row)

    async def check(self, tenant_id: TenantId) -> None:
        """Lets pass who names a tenant that there is.

        Raises:
            NotFound: there is none with this id.
        """
        query = select(TenantRow.id).where(TenantRow.id == tenant_id)
        async with self._db.read() as connection:
            if await connection.scalar(query) is None:
                raise _no_tenant(tenant_id)

    async def find_by_domain(self, domain: str) -> Tenant | None:
        """Returns the tenant that owns a domain."""
        async with self._db.read() as connection:
            row = await _row(connection, _owns(domain))
            return None if row is None else await _with_domains(connection, row)

    async def list_all(self, limit: int = 100, after: TenantId | None = None) -> list[Tenant]:
        """Lists tenants by id, for the platform's administrator.

        Args:
            limit: how many at most.
            after: the last id of the page before.
        """
        query = select(TenantRow).order_by(TenantRow.id).limit(limit)
        if after is not None:
            query = query.where(TenantRow.id > after)
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).all()
            domains = await _domains(connection, [row.id for row in rows])
        return [_tenant(row, domains.get(row.id, ())) for row in rows]

    async def update(
        self,
        tenant_id: TenantId,
        *,
        name: str | None = None,
        settings: Callable[[TenantSettings], TenantSettings] | None = None,
        enabled: bool | None = None,
        further_domains: Sequence[str] | None = None,
        expected_versions: Container[int] | None = None,
    ) -> Tenant:
        """Changes what is given; nothing else is written.

        The primary domain stays: every HA1 of the tenant contains it. `settings` makes the new
        settings of those that are there when nobody else can change them.

        Raises:
            NotFound: there is no such tenant.
            VersionMismatch: it is at none of the expected versions.
            Conflict: a domain is taken, or an extension has a new service number.
        """
        given: dict[str, Any] = {"name": name, "enabled": enabled}
        values = {column: value for column, value in given.items() if value is not None}
        async with self._db.write() as connection:
            old = await _with_domains(connection, await lock_tenant(connection, tenant_id))
            check_version(old.version, expected_versions)
            if settings is not None:
                values["settings"] = new = settings(old.settings)
                added = new.service_numbers - old.settings.service_numbers
                await _check_no_extension(connection, tenant_id, added)
            domains = old.domains
            if further_domains is not None:
                domains = _checked_domains([old.domains[0], *further_domains])
            if not values and domains == old.domains:
                return old
            tenant = old._replace(**values, domains=domains, version=old.version + 1)
            await self._write(connection, old, tenant, values)
            await self._announce(connection, tenant_id, ConfigAction.UPDATED)
        return tenant

    async def delete(
        self, tenant_id: TenantId, expected_versions: Container[int] | None = None
    ) -> bool:
        """Removes a tenant with its domains, extensions and tokens; its CDRs stay.

        Raises:
            VersionMismatch: it is at none of the expected versions.
        """
        async with self._db.write() as connection:
            try:
                row = await lock_tenant(connection, tenant_id)
            except NotFound:
                return False
            check_version(row.version, expected_versions)
            await connection.execute(delete(TenantRow).where(TenantRow.id == tenant_id))
            await self._announce(connection, tenant_id, ConfigAction.DELETED)
        return True

    async def load_snapshot(self, tenant_id: TenantId) -> TenantSnapshot | None:
        """Reads everything that the call path needs of a tenant, in one transaction."""
        async with self._db.read() as connection:
            return await _snapshot(connection, TenantRow.id == tenant_id)

    async def load_snapshot_by_domain(self, domain: str) -> TenantSnapshot | None:
        """Reads the snapshot of the tenant that owns a domain."""
        async with self._db.read() as connection:
            return await _snapshot(connection, _owns(domain))

    async def load_versions(self, tenant_ids: Sequence[TenantId]) -> TenantVersions:
        """Reads at which `TenantSnapshot.version` tenants are, and whether any tenant changed."""
        found: dict[TenantId, int] = {}
        columns = select(TenantRow.id, TenantRow.config_version)
        total = select(func.count(), func.coalesce(func.sum(TenantRow.config_version), 0))
        async with self._db.read() as connection:
            count, changes = (await connection.execute(total.select_from(TenantRow))).one()
            for start in range(0, len(tenant_ids), _IDS_PER_QUERY):
                query = columns.where(TenantRow.id.in_(tenant_ids[start : start + _IDS_PER_QUERY]))
                rows = (await connection.execute(query)).all()
                found.update((TenantId(row.id), row.config_version) for row in rows)
        return TenantVersions(found, (count, int(changes)))

    async def _write(
        self, connection: AsyncConnection, old: Tenant, new: Tenant, values: dict[str, Any]
    ) -> None:
        now = self._db.clock.wall()
        await connection.execute(
            update(TenantRow)
            .where(TenantRow.id == new.id)
            .values(**values, version=TenantRow.version + 1, updated_at=now)
        )
        if new.domains != old.domains:
            await connection.execute(
                delete(TenantDomainRow).where(TenantDomainRow.tenant_id == new.id)
            )
            await _insert_domains(connection, new)

    async def _announce(
        self, connection: AsyncConnection, tenant_id: TenantId, action: ConfigAction
    ) -> None:
        change = ConfigChange(kind=ConfigKind.TENANT, action=action, ids=[tenant_id])
        await announce_config(self._db, connection, tenant_id, change)


def _checked_domains(domains: Sequence[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(domain.strip().rstrip(".").lower() for domain in domains))
    if not names:
        raise InvalidValue("a tenant needs a domain", error_id="domain-missing")
    for name in names:
        if not _is_host_name(name):
            raise InvalidValue(f"{name!r} is no domain name", error_id="domain-invalid")
    return names


def _is_host_name(name: str) -> bool:
    labels = name.split(".")
    return len(name) <= 253 and all(
        0 < len(label) <= 63
        and label.isascii()
        and label.replace("-", "").replace("_", "").isalnum()
        and not label.startswith("-")
        and not label.endswith("-")
        for label in labels
    )


async def _insert_domains(connection: AsyncConnection, tenant: Tenant) -> None:
    rows = [
        {"domain": domain, "tenant_id": tenant.id, "position": position}
        for position, domain in enumerate(tenant.domains)
    ]
    try:
        await connection.execute(insert(TenantDomainRow), rows)
    except IntegrityError as error:
        taken = ", ".join(tenant.domains)
        raise Conflict(f"a domain of {taken} is taken", error_id="domain-taken") from error


async def _check_no_extension(
    connection: AsyncConnection, tenant_id: TenantId, numbers: Iterable[str]
) -> None:
    query = select(ExtensionRow.number).where(
        ExtensionRow.tenant_id == tenant_id, ExtensionRow.number.in_(numbers)
    )
    number = await connection.scalar(query.limit(1))
    if number is not None:
        raise Conflict(f"{number} is an extension", error_id="echo-number-taken")


def _no_tenant(tenant_id: TenantId) -> NotFound:
    return NotFound(f"no tenant {tenant_id}", error_id="tenant-not-found")


def _owns(domain: str) -> ColumnElement[bool]:
    owner = select(TenantDomainRow.tenant_id).where(TenantDomainRow.domain == domain.lower())
    return TenantRow.id == owner.scalar_subquery()


async def _row(connection: AsyncConnection, is_wanted: ColumnElement[bool]) -> Row[Any] | None:
    return (await connection.execute(select(TenantRow).where(is_wanted))).first()


async def _with_domains(connection: AsyncConnection, row: Row[Any]) -> Tenant:
    return _tenant(row, (await _domains(connection, [row.id])).get(row.id, ()))


async def _domains(
    connection: AsyncConnection, tenant_ids: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    query = (
        select(TenantDomainRow.tenant_id, TenantDomainRow.domain)
        .where(TenantDomainRow.tenant_id.in_(tenant_ids))
        .order_by(TenantDomainRow.tenant_id, TenantDomainRow.position)
    )
    found: dict[str, tuple[str, ...]] = {}
    for tenant_id, domain in (await connection.execute(query)).all():
        found[tenant_id] = (*found.get(tenant_id, ()), domain)
    return found


def _tenant(row: Row[Any], domains: tuple[str, ...]) -> Tenant:
    return Tenant(
        id=TenantId(row.id),
        name=row.name,
        domains=domains,
        settings=settings_from_row(row),
        enabled=row.enabled,
        version=row.version,
    )


async def _snapshot(
    connection: AsyncConnection, is_wanted: ColumnElement[bool]
) -> TenantSnapshot | None:
    row = await _row(connection, is_wanted)
    if row is None:
        return None
    tenant = await _with_domains(connection, row)
    query = select(ExtensionRow).where(ExtensionRow.tenant_id == tenant.id)
    extensions = map(extension_from_row, (await connection.execute(query)).all())
    return snapshot_of(tenant, extensions, row.config_version)


def snapshot_of(
    tenant: Tenant, extensions: Iterable[Extension], config_version: int
) -> TenantSnapshot:
    """Makes the snapshot of a tenant with these extensions."""
    return TenantSnapshot(
        id=tenant.id,
        name=tenant.name,
        domain=tenant.domains[0],
        domains=tenant.domains,
        settings=tenant.settings,
        enabled=tenant.enabled,
        extensions={extension.number: extension for extension in extensions},
        version=config_version,
    )
