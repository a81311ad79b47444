"""Extensions and the secrets of their phones; passwords become HA1 and are forgotten."""

import asyncio
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Row, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from parley.backing.db.changes import (
    announce_config,
    check_version,
    lock_tenant,
    settings_from_row,
)
from parley.backing.db.engine import Database, names_unknown_row
from parley.backing.db.models import ExtensionRow, TenantDomainRow
from parley.model.errors import Conflict, InvalidValue, NotFound
from parley.model.events import ConfigAction, ConfigChange, ConfigKind
from parley.model.ids import ExtensionId, TenantId
from parley.model.tenant import Extension, TenantSettings
from parley.sip.digest import ha1

_NUMBER: Final = re.compile(r"[0-9A-Za-z*#+._-]{1,64}")
# Visible ASCII without the quote and backslash that Authorization would have to escape, and
# without the colon that separates the parts of an HA1.
_AUTH_NAME: Final = re.compile(r"[!#-9;-\[\]-~]{1,255}")
_MAX_PASSWORD_CHARS = 255
_CHUNK = 1000  # rows; the loop turns in between
_IDS_PER_QUERY = 500
# A change of more extensions than this is announced as "all of the tenant's".
_MAX_ANNOUNCED = 1000


class NewExtension(Struct, frozen=True, kw_only=True):
    """An extension to create; `auth_name` is the number unless given."""

    number: str
    password: str
    auth_name: str | None = None
    display_name: str = ""
    ring_timeout_s: float | None = None
    enabled: bool = True


class ExtensionChange(Struct, frozen=True, kw_only=True):
    """What to change of an extension; None leaves a value as it is.

    Attributes:
        clears_ring_timeout: the extension rings as long as the tenant says again.
    """

    number: str | None = None
    password: str | None = None
    auth_name: str | None = None
    display_name: str | None = None
    ring_timeout_s: float | None = None
    clears_ring_timeout: bool = False
    enabled: bool | None = None


class ExtensionRepository:
    """Reads and changes extensions; every change is announced on the config topic."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create_many(
        self, tenant_id: TenantId, new: Sequence[NewExtension]
    ) -> list[Extension]:
        """Creates extensions, all or none.

        Raises:
            NotFound: there is no such tenant.
            Conflict: a number or an auth name is taken, or the platform answers the number itself.
            InvalidValue: a number, auth name or password cannot be used.
        """
        async with self._db.write() as connection:
            row = await lock_tenant(connection, tenant_id)
            check_not_service(settings_from_row(row), (extension.number for extension in new))
            domain = await _primary_domain(connection, tenant_id)
            created = await self.insert(connection, tenant_id, domain, new)
            await self._announce(connection, tenant_id, ConfigAction.CREATED, created)
        return created

    async def insert(
        self,
        connection: AsyncConnection,
        tenant_id: TenantId,
        domain: str,
        new: Sequence[NewExtension],
    ) -> list[Extension]:
        """Writes extensions in the caller's transaction and announces nothing.

        Raises:
            NotFound, Conflict, InvalidValue: as `create_many`.
        """
        created: list[Extension] = []
        now = self._db.clock.wall()
        for start in range(0, len(new), _CHUNK):
            chunk = [self._make(tenant_id, domain, entry) for entry in new[start : start + _CHUNK]]
            rows = [_row(extension, now) for extension in chunk]
            try:
                await connection.execute(insert(ExtensionRow), rows)
            except IntegrityError as error:
                if names_unknown_row(error):
                    raise _no_tenant(tenant_id) from error
                raise _taken() from error
            created += chunk
            await asyncio.sleep(0)
        return created

    async def get(self, tenant_id: TenantId, extension_id: ExtensionId) -> Extension:
        """Returns an extension of a tenant.

        Raises:
            NotFound: the tenant has none with this id.
        """
        async with self._db.read() as connection:
            return await _get(connection, tenant_id, extension_id)

    async def get_many(self, tenant_id: TenantId, extension_ids: Sequence[str]) -> list[Extension]:
        """Returns those of the extensions that exist."""
        found: list[Extension] = []
        async with self._db.read() as connection:
            for start in range(0, len(extension_ids), _IDS_PER_QUERY):
                ids = extension_ids[start : start + _IDS_PER_QUERY]
                query = _of_tenant(tenant_id).where(ExtensionRow.id.in_(ids))
                found.extend(map(extension_from_row, (await connection.execute(query)).all()))
        return found

    async def list_page(
        self, tenant_id: TenantId, limit: int = 100, after: str | None = None
    ) -> list[Extension]:
        """Lists a tenant's extensions by number; `after` is the last number of the page before."""
        query = _of_tenant(tenant_id).order_by(ExtensionRow.number).limit(limit)
        if after is not None:
            query = query.where(ExtensionRow.number > after)
        async with self._db.read() as connection:
            return list(map(extension_from_row, (await connection.execute(query)).all()))

    async def find_by_auth_name(self, auth_name: str) -> Extension | None:
        """Finds an extension among all tenants, if exactly one has this auth name.

        The only query without a tenant: it serves phones that cannot send their domain.
        """
        query = select(ExtensionRow).where(ExtensionRow.auth_name == auth_name).limit(2)
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).all()
        return extension_from_row(rows[0]) if len(rows) == 1 else None

    async def find_named(self, tenant_id: TenantId, name: str) -> list[Extension]:
        """Returns the tenant's extensions with this number or auth name: two at most."""
        query = _of_tenant(tenant_id).where(
            or_(ExtensionRow.number == name, ExtensionRow.auth_name == name)
        )
        async with self._db.read() as connection:
            return list(map(extension_from_row, (await connection.execute(query)).all()))

    async def update(
        self,
        tenant_id: TenantId,
        extension_id: ExtensionId,
        change: ExtensionChange,
        expected_versions: Container[int] | None = None,
    ) -> Extension:
        """Changes what is given of an extension; nothing else is written.

        Raises:
            NotFound: the tenant has none with this id.
            VersionMismatch: it is at none of the expected versions.
            Conflict: the number or auth name is taken, or the platform answers the number itself.
            InvalidValue: a value cannot be used, or the auth name changes without a password
                (the stored HA1 contains the old name).
        """
        async with self._db.write() as connection:
            row = await lock_tenant(connection, tenant_id)
            old = await _get(connection, tenant_id, extension_id)
            check_version(old.version, expected_versions)
            if change.number is not None:
                check_not_service(settings_from_row(row), [change.number])
            # Of use for an HA1 alone.
            needs_domain = change.password is not None
            domain = await _primary_domain(connection, tenant_id) if needs_domain else ""
            values = _changed_values(old, change, domain)
            if not values:
                return old
            now = self._db.clock.wall()
            statement = (
                update(ExtensionRow)
                .where(ExtensionRow.tenant_id == tenant_id, ExtensionRow.id == extension_id)
                .values(**values, version=ExtensionRow.version + 1, updated_at=now)
                .returning(*ExtensionRow.__table__.columns)
            )
            try:
                new = extension_from_row((await connection.execute(statement)).one())
            except IntegrityError as error:
                raise _taken() from error
            await self._announce(connection, tenant_id, ConfigAction.UPDATED, [new])
        return new

    async def delete(
        self,
        tenant_id: TenantId,
        extension_id: ExtensionId,
        expected_versions: Container[int] | None = None,
    ) -> bool:
        """Removes an extension; False when the tenant has none with this id.

        Raises:
            VersionMismatch: it is at none of the expected versions.
        """
        statement = (
            delete(ExtensionRow)
            .where(ExtensionRow.tenant_id == tenant_id, ExtensionRow.id == extension_id)
            .returning(ExtensionRow.version)
        )
        async with self._db.write() as connection:
            try:
                await lock_tenant(connection, tenant_id)
            except NotFound:
                return False
            version = await connection.scalar(statement)
            if version is None:
                return False
            check_version(version, expected_versions)
            change = ConfigChange(
                kind=ConfigKind.EXTENSION, action=ConfigAction.DELETED, ids=[extension_id]
            )
            await announce_config(self._db, connection, tenant_id, change)
        return True

    async def _announce(
        self,
        connection: AsyncConnection,
        tenant_id: TenantId,
        action: ConfigAction,
        extensions: Sequence[Extension],
    ) -> None:
        ids = [str(extension.id) for extension in extensions]
        if ids:
            named = ids if len(ids) <= _MAX_ANNOUNCED else []
            change = ConfigChange(kind=ConfigKind.EXTENSION, action=action, ids=named)
            await announce_config(self._db, connection, tenant_id, change)

    def _make(self, tenant_id: TenantId, domain: str, new: NewExtension) -> Extension:
        auth_name = _checked_auth_name(new.auth_name or new.number)
        return Extension(
            id=ExtensionId(self._db.ids.token(8)),
            tenant_id=tenant_id,
            number=_checked_number(new.number),
            auth_name=auth_name,
            display_name=new.display_name,
            ha1=dict(_secrets(auth_name, domain, new.password)),
            ring_timeout_s=_checked_timeout(new.ring_timeout_s),
            enabled=new.enabled,
        )


def check_not_service(settings: TenantSettings, numbers: Iterable[str]) -> None:
    """Lets numbers pass that extensions of a tenant with these settings may have.

    Raises:
        Conflict: the platform answers one of them itself.
    """
    for number in numbers:
        if number in settings.service_numbers:
            raise Conflict(f"{number} is a service number", error_id="number-reserved")


def extension_from_row(row: Row[Any]) -> Extension:
    """Makes the record of a row of `extensions`."""
    return Extension(
        id=ExtensionId(row.id),
        tenant_id=TenantId(row.tenant_id),
        number=row.number,
        auth_name=row.auth_name,
        display_name=row.display_name,
        ha1={"MD5": row.ha1_md5, "SHA-256": row.ha1_sha256},
        ring_timeout_s=row.ring_timeout_s,
        enabled=row.enabled,
        version=row.version,
    )


def _row(extension: Extension, now: datetime) -> dict[str, Any]:
    return {
        "id": extension.id,
        "tenant_id": extension.tenant_id,
        "number": extension.number,
        "auth_name": extension.auth_name,
        "display_name": extension.display_name,
        "ha1_md5": extension.ha1["MD5"],
        "ha1_sha256": extension.ha1["SHA-256"],
        "ring_timeout_s": extension.ring_timeout_s,
        "enabled": extension.enabled,
        "created_at": now,
        "updated_at": now,
    }


def _changed_values(old: Extension, change: ExtensionChange, domain: str) -> dict[str, Any]:
    """Returns the columns that the change sets."""
    values: dict[str, Any] = {
        name: value
        for name in ("number", "auth_name", "display_name", "ring_timeout_s", "enabled")
        if (value := getattr(change, name)) is not None
    }
    if change.number is not None:
        _checked_number(change.number)
    _checked_timeout(change.ring_timeout_s)
    if change.clears_ring_timeout:
        values["ring_timeout_s"] = None
    auth_name = old.auth_name if change.auth_name is None else change.auth_name
    if change.password is not None:
        secrets = dict(_secrets(_checked_auth_name(auth_name), domain, change.password))
        values |= {"ha1_md5": secrets["MD5"], "ha1_sha256": secrets["SHA-256"]}
    elif auth_name != old.auth_name:
        raise InvalidValue("a new auth name needs a new password", error_id="password-missing")
    return values


def _secrets(auth_name: str, domain: str, password: str) -> Iterator[tuple[str, str]]:
    if not 0 < len(password) <= _MAX_PASSWORD_CHARS:
        raise InvalidValue("a password has 1 to 255 characters", error_id="password-invalid")
    for algorithm in ("MD5", "SHA-256"):
        yield algorithm, ha1(auth_name, domain, password, algorithm)


def _checked_number(number: str) -> str:
    if _NUMBER.fullmatch(number) is None:
        raise InvalidValue(f"{number!r} is no extension number", error_id="number-invalid")
    return number


def _checked_auth_name(auth_name: str) -> str:
    if _AUTH_NAME.fullmatch(auth_name) is None:
        raise InvalidValue(f"{auth_name!r} is no auth name", error_id="auth-name-invalid")
    return auth_name


def _checked_timeout(timeout_s: float | None) -> float | None:
    if timeout_s is not None and not 1 <= timeout_s <= 3600:
        raise InvalidValue("a phone rings 1 to 3600 seconds", error_id="ring-timeout-invalid")
    return timeout_s


def _no_tenant(tenant_id: TenantId) -> NotFound:
    return NotFound(f"no tenant {tenant_id}", error_id="tenant-not-found")


def _taken() -> Conflict:
    return Conflict("a number or auth name is taken", error_id="extension-exists")


def _of_tenant(tenant_id: TenantId) -> Any:
    return select(ExtensionRow).where(ExtensionRow.tenant_id == tenant_id)


async def _get(
    connection: AsyncConnection, tenant_id: TenantId, extension_id: ExtensionId
) -> Extension:
    query = _of_tenant(tenant_id).where(ExtensionRow.id == extension_id)
    row = (await connection.execute(query)).first()
    if row is None:
        raise NotFound(f"no extension {extension_id}", error_id="extension-not-found")
    return extension_from_row(row)


async def _primary_domain(connection: AsyncConnection, tenant_id: TenantId) -> str:
    query = select(TenantDomainRow.domain).where(
        TenantDomainRow.tenant_id == tenant_id, TenantDomainRow.position == 0
    )
    domain = await connection.scalar(query)
    if domain is None:
        raise _no_tenant(tenant_id)
    return domain
