"""The demo tenant: what a newcomer needs for a first call, in the database and in `demo.json`.

Only digests of passwords are in the database, so the file is the one place that knows them. A start
keeps what both agree on; whatever is missing on either side is made again.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from parley.allinone.private_file import write_private
from parley.backing.db.engine import Database
from parley.backing.db.extensions import ExtensionChange, ExtensionRepository, NewExtension
from parley.backing.db.provisioning import NewTenant, provision_tenant
from parley.backing.db.tenants import Tenant, TenantRepository
from parley.backing.db.tokens import TokenRepository
from parley.model.ids import TenantId
from parley.sip.digest import ha1

DEMO_FILE = "demo.json"
DOMAIN = "demo.localhost"
NUMBERS = tuple(str(number) for number in range(1001, 1011))
ECHO_NUMBER = "999"
_TENANT_ID = TenantId("demo")
_PASSWORD_BYTES = 9
_TOKEN_NAME = "demo"  # noqa: S105 - the token's name, not its secret


class DemoExtension(Struct, frozen=True):
    """A number and the password of its phones."""

    number: str
    password: str


class Api(Struct, frozen=True):
    """An HTTP or WebSocket address and the token that opens it."""

    url: str
    token: str


class Demo(Struct, frozen=True, kw_only=True):
    """The content of `demo.json`.

    Attributes:
        sip: `host:port` of UDP and TCP.
        sip_tls: `host:port` of TLS.
        edges: `host:port` of every edge proxy, the first one included.
    """

    domain: str
    tenant_id: str
    sip: str
    sip_tls: str
    edges: list[str]
    extensions: list[DemoExtension]
    echo: str
    api: Api
    wsi: Api


class Addresses(Struct, frozen=True, kw_only=True):
    """Where this start of the platform listens."""

    sip: str
    sip_tls: str
    edges: list[str]
    api_url: str
    wsi_url: str


async def prepare(db: Database, path: Path, addresses: Addresses) -> Demo:
    """Makes sure that the demo tenant and its file are there and agree.

    Args:
        db: started.
        path: the file, replaced whole and readable by its owner alone.
        addresses: where the platform listens this time.
    """
    known = read_demo(path)
    passwords = {entry.number: entry.password for entry in known.extensions} if known else {}
    extensions = [
        DemoExtension(number, passwords.get(number) or db.ids.token(_PASSWORD_BYTES))
        for number in NUMBERS
    ]
    await _agree(db, extensions)
    token = await _working_token(db, known)
    demo = Demo(
        domain=DOMAIN,
        tenant_id=_TENANT_ID,
        sip=addresses.sip,
        sip_tls=addresses.sip_tls,
        edges=addresses.edges,
        extensions=extensions,
        echo=ECHO_NUMBER,
        api=Api(addresses.api_url, token),
        wsi=Api(addresses.wsi_url, token),
    )
    _write(path, demo)
    return demo


def table(demo: Demo) -> str:
    """Renders what to dial and where, for a person's first look."""
    rows = [
        ("SIP", f"{demo.sip} (UDP, TCP), {demo.sip_tls} (TLS)"),
        ("domain", demo.domain),
        *[("extension", f"{entry.number}  password {entry.password}") for entry in demo.extensions],
        ("echo test", demo.echo),
        ("REST API", f"{demo.api.url} (description at {demo.api.url}/docs)"),
        ("events", demo.wsi.url),
        ("token", demo.api.token),
    ]
    width = max(len(name) for name, _ in rows)
    return "".join(f"  {name:<{width}}  {value}\n" for name, value in rows)


async def _agree(db: Database, wanted: Sequence[DemoExtension]) -> None:
    tenant = await TenantRepository(db).find_by_domain(DOMAIN)
    if tenant is None:
        new = [NewExtension(number=entry.number, password=entry.password) for entry in wanted]
        await provision_tenant(
            db, NewTenant(name="Demo", domains=[DOMAIN], extensions=new, id=_TENANT_ID)
        )
        return
    await _agree_extensions(db, tenant, wanted)


async def _agree_extensions(db: Database, tenant: Tenant, wanted: Sequence[DemoExtension]) -> None:
    repository = ExtensionRepository(db)
    present = {entry.number: entry for entry in await repository.list_page(tenant.id, limit=1000)}
    missing = []
    for entry in wanted:
        extension = present.get(entry.number)
        if extension is None:
            missing.append(NewExtension(number=entry.number, password=entry.password))
        elif extension.ha1["MD5"] != ha1(extension.auth_name, DOMAIN, entry.password, "MD5"):
            change = ExtensionChange(password=entry.password)
            await repository.update(tenant.id, extension.id, change)
    if missing:
        await repository.create_many(tenant.id, missing)


async def _working_token(db: Database, known: Demo | None) -> str:
    tokens = TokenRepository(db)
    if known is not None and await tokens.verify(known.api.token) is not None:
        return known.api.token
    for stale in await tokens.list_all(None):
        if stale.name == _TOKEN_NAME:
            await tokens.revoke(None, stale.id)
    secret, _ = await tokens.create(_TOKEN_NAME)
    return secret


def read_demo(path: Path) -> Demo | None:
    """Reads the file; None when it is not there or broken."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Demo)
    except (OSError, msgspec.DecodeError):
        return None


def _write(path: Path, demo: Demo) -> None:
    content = msgspec.json.format(msgspec.json.encode(demo), indent=2) + b"\n"
    write_private(path, content)
