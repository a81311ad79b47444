"""The demo tenant: kept where database and file agree, made whole where they do not."""

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from parley.allinone.demo import DOMAIN, NUMBERS, Addresses, Demo, prepare, table
from parley.backing.db.engine import Database
from parley.backing.db.extensions import ExtensionChange, ExtensionRepository
from parley.backing.db.tenants import TenantRepository
from parley.backing.db.tokens import TokenRepository
from parley.backing.factory import Port
from parley.model.ids import TenantId
from parley.sip.digest import ha1
from parley.testkit.backing import in_memory
from parley.testkit.clock import FakeClock

TENANT = TenantId("demo")
ADDRESSES = Addresses(
    sip="127.0.0.1:5060",
    sip_tls="127.0.0.1:5061",
    edges=["127.0.0.1:5060"],
    api_url="http://127.0.0.1:8080",
    wsi_url="ws://127.0.0.1:8081/v1/events",
)


@pytest.fixture
async def db() -> AsyncIterator[Database]:
    async with in_memory(Port.DATABASE, FakeClock()) as backing:
        yield backing.db


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "demo.json"


def written(path: Path) -> Demo:
    return msgspec.json.decode(path.read_bytes(), type=Demo)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def replace_file(path: Path, content: Demo | bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else msgspec.json.encode(content))


async def assert_phones_get_in(db: Database, demo: Demo) -> None:
    """Every number's digest in the database is that of the password in the file."""
    page = await ExtensionRepository(db).list_page(TENANT, limit=1000)
    stored = {entry.number: entry.ha1["MD5"] for entry in page}
    wanted = {
        entry.number: ha1(entry.number, DOMAIN, entry.password, "MD5") for entry in demo.extensions
    }
    assert {number: stored.get(number) for number in wanted} == wanted
    assert await TokenRepository(db).verify(demo.api.token) is not None


async def test_the_first_start_makes_everything(db: Database, path: Path) -> None:
    demo = await prepare(db, path, ADDRESSES)
    assert [entry.number for entry in demo.extensions] == list(NUMBERS)
    assert len({entry.password for entry in demo.extensions}) == len(NUMBERS)
    assert written(path) == demo
    await assert_phones_get_in(db, demo)


async def test_the_file_is_for_its_owner_alone(db: Database, path: Path) -> None:
    await prepare(db, path, ADDRESSES)
    assert mode_of(path) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["demo.json"]


async def test_a_second_start_keeps_passwords_and_token(db: Database, path: Path) -> None:
    first = await prepare(db, path, ADDRESSES)
    before = [row.ha1 for row in await ExtensionRepository(db).list_page(TENANT, limit=1000)]
    assert await prepare(db, path, ADDRESSES) == first
    after = [row.ha1 for row in await ExtensionRepository(db).list_page(TENANT, limit=1000)]
    assert after == before


async def test_addresses_are_those_of_this_start(db: Database, path: Path) -> None:
    first = await prepare(db, path, ADDRESSES)
    moved = msgspec.structs.replace(ADDRESSES, sip="127.0.0.1:6060", api_url="http://h:1")
    second = await prepare(db, path, moved)
    assert (second.sip, second.api.url) == ("127.0.0.1:6060", "http://h:1")
    assert (second.extensions, second.api.token) == (first.extensions, first.api.token)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"domain": 1}', b"\xff\xfe"])
async def test_a_lost_or_broken_file_gets_new_secrets_that_work(
    db: Database, path: Path, content: bytes | None
) -> None:
    first = await prepare(db, path, ADDRESSES)
    replace_file(path, content)
    second = await prepare(db, path, ADDRESSES)
    assert second.extensions != first.extensions
    await assert_phones_get_in(db, second)
    assert await TokenRepository(db).verify(first.api.token) is None
    assert written(path) == second


async def test_tokens_do_not_pile_up(db: Database, path: Path) -> None:
    for _ in range(3):
        await prepare(db, path, ADDRESSES)
        replace_file(path, None)
    assert len(await TokenRepository(db).list_all(None)) == 1


async def test_a_deleted_extension_comes_back_with_its_password(db: Database, path: Path) -> None:
    first = await prepare(db, path, ADDRESSES)
    repository = ExtensionRepository(db)
    page = await repository.list_page(TENANT, limit=1000)
    [victim] = [entry for entry in page if entry.number == "1004"]
    await repository.delete(TENANT, victim.id)
    assert await prepare(db, path, ADDRESSES) == first
    await assert_phones_get_in(db, first)


async def test_a_password_changed_elsewhere_is_set_back(db: Database, path: Path) -> None:
    first = await prepare(db, path, ADDRESSES)
    repository = ExtensionRepository(db)
    entry = (await repository.list_page(TENANT, limit=1))[0]
    await repository.update(TENANT, entry.id, ExtensionChange(password="changed-by-somebody"))
    await prepare(db, path, ADDRESSES)
    await assert_phones_get_in(db, first)


async def test_a_revoked_token_is_replaced(db: Database, path: Path) -> None:
    first = await prepare(db, path, ADDRESSES)
    tokens = TokenRepository(db)
    [token] = await tokens.list_all(None)
    await tokens.revoke(None, token.id)
    second = await prepare(db, path, ADDRESSES)
    assert second.api.token != first.api.token
    assert second.extensions == first.extensions
    await assert_phones_get_in(db, second)


async def test_a_deleted_tenant_comes_back_with_the_passwords_of_the_file(
    db: Database, path: Path
) -> None:
    first = await prepare(db, path, ADDRESSES)
    await TenantRepository(db).delete(TENANT)
    second = await prepare(db, path, ADDRESSES)
    assert second.extensions == first.extensions
    await assert_phones_get_in(db, second)


async def test_a_file_that_lacks_a_number_gets_it_again(db: Database, path: Path) -> None:
    first = await prepare(db, path, ADDRESSES)
    replace_file(path, msgspec.structs.replace(first, extensions=first.extensions[:3]))
    second = await prepare(db, path, ADDRESSES)
    assert second.extensions[:3] == first.extensions[:3]
    await assert_phones_get_in(db, second)


async def test_a_password_edited_in_the_file_is_taken_over(db: Database, path: Path) -> None:
    first = await prepare(db, path, ADDRESSES)
    chosen = msgspec.structs.replace(first.extensions[0], password="chosen by hand")
    replace_file(path, msgspec.structs.replace(first, extensions=[chosen, *first.extensions[1:]]))
    second = await prepare(db, path, ADDRESSES)
    assert second.extensions == [chosen, *first.extensions[1:]]
    await assert_phones_get_in(db, second)


async def test_the_table_tells_all_that_a_phone_needs(db: Database, path: Path) -> None:
    demo = await prepare(db, path, ADDRESSES)
    text = table(demo)
    for part in (DOMAIN, demo.sip, demo.sip_tls, "999", demo.api.url, demo.api.token):
        assert part in text
    for entry in demo.extensions:
        assert f"{entry.number}  password {entry.password}" in text
