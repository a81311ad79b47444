"""URLs of Redis."""

from pathlib import Path

import pytest

from parley.backing.factory import Port, create_backing
from parley.backing.settings import BackingSettings
from parley.backing.state.redis import RedisState
from parley.backing.state.redis_url import Address, Kind, parse_redis_url
from parley.service.errors import StartError
from parley.service.metrics import Registry
from parley.testkit.clock import FakeClock


def test_one_server() -> None:
    url = parse_redis_url("redis://ann:p%40ss@db.example:7000/3")
    assert url.kind is Kind.SINGLE
    assert url.addresses == (Address("db.example", 7000),)
    assert (url.login.username, url.login.password, url.login.db) == ("ann", "p@ss", 3)
    assert url.login.tls is None
    assert parse_redis_url("redis://h").addresses == (Address("h", 6379),)
    assert parse_redis_url("redis://[::1]:7000").addresses == (Address("::1", 7000),)


def test_sentinels_and_their_own_login() -> None:
    url = parse_redis_url("redis+sentinel://:secret@s1:1,s2/main/2?sentinel_password=other")
    assert url.kind is Kind.SENTINEL
    assert url.addresses == (Address("s1", 1), Address("s2", 26379))
    assert (url.master, url.login.db, url.login.password) == ("main", 2, "secret")
    assert (url.sentinel_login.password, url.sentinel_login.db) == ("other", 0)


def test_a_cluster() -> None:
    url = parse_redis_url("redis+cluster://h1:1,h2:2")
    assert url.kind is Kind.CLUSTER
    assert url.addresses == (Address("h1", 1), Address("h2", 2))


@pytest.mark.parametrize("scheme", ["rediss", "rediss+sentinel", "rediss+cluster"])
def test_tls_is_checked_unless_told_otherwise(scheme: str) -> None:
    strict = parse_redis_url(f"{scheme}://h{'/main' if 'sentinel' in scheme else ''}")
    assert strict.login.tls is not None and strict.login.tls.check_hostname
    path = "/main" if "sentinel" in scheme else ""
    loose = parse_redis_url(f"{scheme}://h{path}?ssl_check_hostname=false")
    assert loose.login.tls is not None and not loose.login.tls.check_hostname
    assert loose.sentinel_login.tls is loose.login.tls


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://h",
        "redis+single://h",
        "redis+other://h",
        "redis://",
        "redis://h1,h2",
        "redis://h:port",
        "redis://h:99999",
        "redis://h/x",
        "redis://h/0/1",
        "redis+sentinel://h",
        "redis+sentinel://h/main/x",
        "redis+cluster://h/1",
        "redis+cluster://h1,,h2",
        "redis://h?timeout=1",
        "redis://h?ssl_ca_certs=/x",
        "rediss://h?ssl_ca_certs=/does/not/exist",
        "rediss://h?ssl_cert_reqs=maybe",
        "rediss://h?ssl_check_hostname=maybe",
    ],
)
def test_a_wrong_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_redis_url(text)


def test_neither_errors_nor_names_show_the_password() -> None:
    for text in ("redis://ann:s3cret@h:port/0", "redis://ann:a?s3cret@h/0"):
        with pytest.raises(ValueError) as refusal:
            parse_redis_url(text)
        assert "s3cret" not in str(refusal.value)
    for text in ("redis://:s3cret@h", "redis+sentinel://:s3cret@h/m", "redis+cluster://:s3cret@h"):
        assert "s3cret" not in str(parse_redis_url(text))


def test_the_factory_makes_it_and_tells_what_is_wrong_with_the_url(tmp_path: Path) -> None:
    settings = {"data": tmp_path, "is_durable": False, "state": "redis"}
    made = create_backing(Port.STATE, BackingSettings.load(**settings), FakeClock(), Registry())
    assert isinstance(made.state, RedisState)
    assert not made.state.is_immediate
    wrong = BackingSettings.load(**settings, state_url="redis://:s3cret@h/x")
    with pytest.raises(StartError, match="PARLEY_BACKING_STATE_URL: the URL of Redis") as refusal:
        create_backing(Port.STATE, wrong, FakeClock(), Registry())
    assert "s3cret" not in str(refusal.value)
