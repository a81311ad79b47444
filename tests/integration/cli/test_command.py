"""The command `parley` as an administrator or an installation's job runs it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.cluster.servers.postgresql import PostgresServer

from parley.backing.db.engine import Database
from parley.backing.db.migrate import newest
from parley.backing.db.tenants import TenantRepository
from parley.backing.db.tokens import ApiToken, TokenRepository
from parley.cli.command import run
from parley.model.ids import TenantId
from parley.service.clock import SystemClock

_DATABASE = "PARLEY_BACKING_DATABASE_URL"
_SECRET = "PARLEY_CLI_TOKEN"


class _Told(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


Parley = Callable[..., _Told]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The URL of a new database, in the environment."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/parley.db"
        monkeypatch.setenv(_DATABASE, url)
        yield url
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database("command_line")
    monkeypatch.setenv(_DATABASE, url)
    yield url
    server.drop_database("command_line")


@pytest.fixture
def parley(capsys: pytest.CaptureFixture[str]) -> Parley:
    """Runs a command."""

    def run_one(*words: str) -> _Told:
        capsys.readouterr()
        status = run(words)
        return _Told(status, *capsys.readouterr())

    return run_one


def _verified(url: str, secret: str) -> ApiToken | None:
    async def verify() -> ApiToken | None:
        database = Database(url, SystemClock())
        await database.start()
        try:
            return await TokenRepository(database).verify(secret)
        finally:
            await database.aclose()

    return asyncio.run(verify())


def _make_tenant(url: str) -> None:
    async def make() -> None:
        database = Database(url, SystemClock())
        await database.start()
        await TenantRepository(database).create("T", ["t.test"], tenant_id=TenantId("t1"))
        await database.aclose()

    asyncio.run(make())


def test_migrating_says_what_it_did_and_does_it_once(url: str, parley: Parley) -> None:
    assert parley("migrate") == (0, f"The schema was made: revision {newest()}.\n", "")
    again = f"The schema is revision {newest()}; there is nothing to do.\n"
    assert parley("migrate") == (0, again, "")


def test_tokens_are_made_shown_and_revoked(url: str, parley: Parley) -> None:
    parley("migrate")
    _make_tenant(url)

    made = parley("token", "create", "ops", "--days", "7")
    secret = made.out.strip()
    of_tenant = parley("token", "create", "key", "--tenant", "t1").out.strip()

    platform = _verified(url, secret)
    assert made.status == 0 and platform is not None and platform.tenant_id is None
    assert platform.expires_at is not None
    tenant = _verified(url, of_tenant)
    assert tenant is not None and tenant.tenant_id == "t1"
    shown = parley("token", "list")
    assert "ops" in shown.out and "key" not in shown.out and secret not in shown.out
    [listed] = json.loads(parley("token", "list", "--tenant", "t1", "--json").out)
    assert (listed["name"], listed["id"]) == ("key", tenant.id)

    assert parley("token", "revoke", tenant.id).status == 1
    assert parley("token", "revoke", tenant.id, "--tenant", "t1").status == 0
    assert _verified(url, of_tenant) is None


def test_first_administrator_is_made_once_of_the_secret_that_the_installation_keeps(
    url: str, parley: Parley, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = "a" * 40, "b" * 40
    file = tmp_path / "token"
    file.write_text(f"{first}\n")
    monkeypatch.setenv(f"{_SECRET}_FILE", str(file))
    words = ("token", "create", "bootstrap", "--if-none")
    parley("migrate")

    for _ in range(2):
        told = parley(*words)
        assert (told.status, told.out) == (0, "")
        assert first not in told.err
        assert _verified(url, first) is not None

    # The secret was exchanged: the old one ends with it.
    file.write_text(second)
    assert parley(*words).status == 0
    assert _verified(url, first) is None
    assert _verified(url, second) is not None
    assert len(json.loads(parley("token", "list", "--json").out)) == 1


def test_random_token_is_made_only_if_none_of_its_name_works(url: str, parley: Parley) -> None:
    parley("migrate")
    secret = parley("token", "create", "ops", "--if-none").out.strip()
    again = parley("token", "create", "ops", "--if-none")

    assert (again.status, again.out) == (0, "")
    assert "there already" in again.err
    assert _verified(url, secret) is not None


def test_several_jobs_at_once_make_one_schema_and_one_token(url: str) -> None:
    def job(words: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "parley.cli", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=25, check=False)

    with ThreadPoolExecutor() as pool:
        migrated = list(pool.map(job, [("migrate",)] * 2))
        made = list(pool.map(job, [("token", "create", "ops", "--if-none")] * 2))

    assert [each.returncode for each in (*migrated, *made)] == [0] * 4, made
    assert sorted("was made" in each.stdout for each in migrated) == [False, True]
    assert sorted(bool(each.stdout) for each in made) == [False, True]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("token", "create", "key", "--tenant", "nobody"), "no tenant nobody"),
        (("token", "list", "--tenant", "nobody"), "no tenant nobody"),
        (("token", "revoke", "nothing"), "There is no token nothing of the platform"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    url: str, parley: Parley, words: tuple[str, ...], sentence: str
) -> None:
    parley("migrate")

    told = parley(*words)

    assert (told.status, told.out, told.err.count("\n")) == (1, "", 1)
    assert sentence in told.err


def test_database_that_is_not_there_is_one_sentence(
    parley: Parley, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_BACKING_DATA", str(tmp_path / "wrong"))
    told = parley("token", "list")
    assert (told.status, told.err.count("\n")) == (1, 1)
    assert not (tmp_path / "wrong").exists()

    monkeypatch.setenv(_DATABASE, "postgresql://127.0.0.1:1/parley")
    told = parley("migrate")
    assert (told.status, told.err.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    "words", [(), ("token",), ("nothing",), ("token", "create", "x", "--days", "0")]
)
def test_wrong_words_end_with_status_2(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(words)

    assert ended.value.code == 2


def test_console_script_is_the_command() -> None:
    script = Path(sys.executable).with_name("parley")
    told = subprocess.run([script, "--help"], capture_output=True, timeout=25, check=True)
    assert b"migrate" in told.stdout
    assert os.access(script, os.X_OK)
