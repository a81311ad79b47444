"""API tokens: shown once at their creation, kept as SHA-256.

A token is 32 random bytes, so a plain hash is enough: nobody can try them out, and a look-up costs
one indexed query.
"""

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Row, and_, delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from parley.backing.db.engine import Database, names_unknown_row
from parley.backing.db.models import ApiTokenRow
from parley.model.errors import Conflict, InvalidValue, NotFound
from parley.model.ids import TenantId

_TOKEN_BYTES = 32
_LOCK_ID = 0x746F6B656E73
_PREFIX = "parley_"  # lets secret scanners recognise a leaked one


class Role(StrEnum):
    """What a token may do: everything, or everything of one tenant."""

    PLATFORM = "platform"
    TENANT = "tenant"


class ApiToken(NamedTuple):
    """A token without its secret; `tenant_id` is None for the platform's."""

    id: str
    name: str
    role: Role
    tenant_id: TenantId | None
    created_at: datetime
    expires_at: datetime | None


class TokenRepository:
    """Creates, verifies and revokes API tokens."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(
        self,
        name: str,
        tenant_id: TenantId | None = None,
        expires_at: datetime | None = None,
        secret: str | None = None,
    ) -> tuple[str, ApiToken]:
        """Creates a token; without a tenant it is the platform administrator's.

        Args:
            name: for people.
            tenant_id: the only tenant it may touch.
            expires_at: when it ceases to work; never unless given.
            secret: a text of the caller's own, at least 32 characters; random unless given.

        Returns:
            The secret, which cannot be had again, and what is kept.

        Raises:
            Conflict: this secret exists.
            NotFound: there is no such tenant.
        """
        async with self._db.write() as connection:
            return await self._insert(connection, name, tenant_id, expires_at, secret)

    async def ensure(
        self,
        name: str,
        tenant_id: TenantId | None = None,
        expires_at: datetime | None = None,
        secret: str | None = None,
    ) -> tuple[str, ApiToken] | None:
        """Creates a token unless a working one of this owner has the name already.

        With a secret of the caller's own the working one must have that secret; one that has
        another is replaced. Several that ask at once make one token.

        Returns:
            As `create`; None when nothing was missing.

        Raises:
            Conflict: this secret exists under another name or of another owner.
            NotFound: there is no such tenant.
        """
        of_name = and_(ApiTokenRow.tenant_id == tenant_id, ApiTokenRow.name == name)
        async with self._db.write() as connection:
            await self._db.take_turns(connection, _LOCK_ID)
            rows = (await connection.execute(select(ApiTokenRow).where(of_name))).all()
            now = self._db.clock.wall()
            working = [row for row in rows if row.expires_at is None or row.expires_at > now]
            wanted = None if secret is None else _hash(secret)
            if any(wanted in {None, row.token_sha256} for row in working):
                return None
            await connection.execute(delete(ApiTokenRow).where(of_name))
            return await self._insert(connection, name, tenant_id, expires_at, secret)

    async def _insert(
        self,
        connection: AsyncConnection,
        name: str,
        tenant_id: TenantId | None,
        expires_at: datetime | None,
        secret: str | None,
    ) -> tuple[str, ApiToken]:
        text = secret or _PREFIX + self._db.ids.token(_TOKEN_BYTES)
        if len(text) < _TOKEN_BYTES:
            raise InvalidValue("a token has at least 32 characters", error_id="token-too-short")
        token = ApiToken(
            id=self._db.ids.token(8),
            name=name,
            role=Role.PLATFORM if tenant_id is None else Role.TENANT,
            tenant_id=tenant_id,
            created_at=self._db.clock.wall(),
            expires_at=expires_at,
        )
        row = token._asdict() | {"role": token.role.value, "token_sha256": _hash(text)}
        try:
            await connection.execute(insert(ApiTokenRow), [row])
        except IntegrityError as error:
            if names_unknown_row(error):
                raise NotFound(f"no tenant {tenant_id}", error_id="tenant-not-found") from error
            raise Conflict("this token exists", error_id="token-exists") from error
        return text, token

    async def verify(self, text: str) -> ApiToken | None:
        """Returns the token with this secret, unless it has expired."""
        query = select(ApiTokenRow).where(ApiTokenRow.token_sha256 == _hash(text))
        async with self._db.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        token = _token(row)
        is_expired = token.expires_at is not None and token.expires_at <= self._db.clock.wall()
        return None if is_expired else token

    async def list_all(self, tenant_id: TenantId | None) -> list[ApiToken]:
        """Lists a tenant's tokens, or with None the platform's own."""
        query = (
            select(ApiTokenRow)
            .where(ApiTokenRow.tenant_id == tenant_id)
            .order_by(ApiTokenRow.created_at, ApiTokenRow.id)
        )
        async with self._db.read() as connection:
            return [_token(row) for row in (await connection.execute(query)).all()]

    async def revoke(self, tenant_id: TenantId | None, token_id: str) -> bool:
        """Removes a token of a tenant (None: of the platform); False when there is none."""
        statement = delete(ApiTokenRow).where(
            ApiTokenRow.id == token_id, ApiTokenRow.tenant_id == tenant_id
        )
        async with self._db.write() as connection:
            return bool((await connection.execute(statement)).rowcount)


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        tenant_id=None if row.tenant_id is None else TenantId(row.tenant_id),
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
