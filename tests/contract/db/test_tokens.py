"""The database contract: API tokens."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import text

from parley.backing.db.engine import Database
from parley.backing.db.tokens import Role, TokenRepository
from parley.model.errors import Conflict, InvalidValue, NotFound
from parley.model.ids import TenantId
from parley.testkit.clock import FakeClock

MakeTenant = Callable[[str], Awaitable[TenantId]]


async def test_token_is_verified_by_its_secret_which_is_not_stored(
    db: Database, make_tenant: MakeTenant
) -> None:
    tokens = TokenRepository(db)
    tenant_id = await make_tenant("demo")

    secret, token = await tokens.create("key", tenant_id)

    assert await tokens.verify(secret) == token
    assert (token.role, token.tenant_id) == (Role.TENANT, tenant_id)
    assert await tokens.verify(secret + "x") is None
    assert await tokens.verify("\udcff") is None
    async with db.read() as connection:
        rows = (await connection.execute(text("SELECT * FROM api_tokens"))).all()
    assert secret not in str(rows)


async def test_expired_token_is_refused(db: Database) -> None:
    clock = db.clock
    assert isinstance(clock, FakeClock)
    tokens = TokenRepository(db)
    secret, _ = await tokens.create("key", expires_at=clock.wall() + timedelta(seconds=10))
    assert await tokens.verify(secret) is not None

    clock.advance(10)

    assert await tokens.verify(secret) is None


async def test_platform_token_of_a_given_secret_exists_once(db: Database) -> None:
    tokens = TokenRepository(db)
    _, token = await tokens.create("admin", secret="s" * 32)

    assert token.role is Role.PLATFORM
    assert await tokens.list_all(None) == [token]
    with pytest.raises(Conflict):
        await tokens.create("admin", secret="s" * 32)
    with pytest.raises(InvalidValue):
        await tokens.create("admin", secret="short")
    with pytest.raises(NotFound):
        await tokens.create("key", TenantId("nobody"))


async def test_token_is_revoked_by_its_own_tenant_only(
    db: Database, make_tenant: MakeTenant
) -> None:
    tokens = TokenRepository(db)
    one, two = await make_tenant("one"), await make_tenant("two")
    secret, token = await tokens.create("key", one)

    assert not await tokens.revoke(two, token.id)
    assert not await tokens.revoke(None, token.id)
    assert await tokens.revoke(one, token.id)
    assert await tokens.verify(secret) is None
