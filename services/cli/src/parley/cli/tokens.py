"""`parley token`: keys to the REST API and the event stream."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple

import msgspec

from parley.backing.db.engine import Database
from parley.backing.db.tenants import TenantRepository
from parley.backing.db.tokens import ApiToken, TokenRepository
from parley.backing.factory import create_database
from parley.backing.settings import BackingSettings
from parley.model.ids import TenantId
from parley.service.clock import SystemClock
from parley.service.errors import StartError
from parley.service.lifecycle import Exit


class NewToken(NamedTuple):
    """What to create.

    Attributes:
        tenant_id: whose; None: the platform's.
        days: how long it works; None: until it is revoked.
        secret: its secret; None: a random one, printed.
        only_if_none: leave a working token of this name and owner as it is.
    """

    name: str
    tenant_id: TenantId | None
    days: int | None
    secret: str | None
    only_if_none: bool


async def create(settings: BackingSettings, new: NewToken) -> int:
    """Creates a token; its secret alone goes to stdout, and only where it was not given."""
    async with _opened(settings) as database:
        tokens = TokenRepository(database)
        now = database.clock.wall()
        expires_at = None if new.days is None else now + timedelta(days=new.days)
        make = tokens.ensure if new.only_if_none else tokens.create
        made = await make(new.name, new.tenant_id, expires_at, new.secret)
    if made is None:
        sys.stderr.write(f"The token {new.name} of {_owner(new.tenant_id)} is there already.\n")
        return Exit.OK
    text, token = made
    said = f"The token {token.name} of {_owner(token.tenant_id)} was made; its id is {token.id}."
    if new.secret is None:
        sys.stdout.write(f"{text}\n")
        said += " Its secret cannot be shown again."
    sys.stderr.write(f"{said}\n")
    return Exit.OK


async def show(settings: BackingSettings, tenant_id: TenantId | None, as_json: bool) -> int:
    """Lists tokens without their secrets."""
    async with _opened(settings) as database:
        if tenant_id is not None:
            await TenantRepository(database).check(tenant_id)
        tokens = await TokenRepository(database).list_all(tenant_id)
    if as_json:
        records = msgspec.json.encode([token._asdict() for token in tokens])
        sys.stdout.write(f"{msgspec.json.format(records).decode()}\n")
    else:
        sys.stdout.write(_table(tokens))
    return Exit.OK


async def revoke(settings: BackingSettings, tenant_id: TenantId | None, token_id: str) -> int:
    """Removes a token; it no longer works from the next request on."""
    async with _opened(settings) as database:
        is_gone = await TokenRepository(database).revoke(tenant_id, token_id)
    if not is_gone:
        sys.stderr.write(f"There is no token {token_id} of {_owner(tenant_id)}.\n")
        return Exit.FAILED
    sys.stderr.write(f"The token {token_id} of {_owner(tenant_id)} was revoked.\n")
    return Exit.OK


@asynccontextmanager
async def _opened(settings: BackingSettings) -> AsyncIterator[Database]:
    embedded = settings.data / "parley.db"
    if settings.database_url is None and not embedded.exists():
        # Opening it would make an empty one in a folder that was named by mistake.
        raise StartError(
            f"There is no database {embedded}: PARLEY_BACKING_DATABASE_URL or PARLEY_BACKING_DATA"
            " says where it is."
        )
    database = create_database(settings, SystemClock())
    await database.start()
    try:
        yield database
    finally:
        await database.aclose()


def _owner(tenant_id: TenantId | None) -> str:
    return "the platform" if tenant_id is None else f"tenant {tenant_id}"


def _table(tokens: Sequence[ApiToken]) -> str:
    rows = [("ID", "NAME", "CREATED", "EXPIRES")]
    for token in tokens:
        expires = "never" if token.expires_at is None else f"{token.expires_at:%Y-%m-%d %H:%M}"
        rows.append((token.id, token.name, f"{token.created_at:%Y-%m-%d %H:%M}", expires))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines)
