"""Host names and literals."""

import asyncio
from socket import AF_INET, SOCK_DGRAM
from typing import Any

import pytest

from parley.siptransport.addresses import AddressBook, host_port, is_ip, is_wildcard
from parley.testkit.clock import FakeClock


@pytest.mark.parametrize(
    ("host", "literal", "wildcard"),
    [
        ("127.0.0.1", True, False),
        ("::1", True, False),
        ("0.0.0.0", True, True),
        ("::", True, True),
        ("localhost", False, False),
        ("1.2.3", False, False),
        ("", False, False),
    ],
)
def test_literals_are_told_from_names(host: str, literal: bool, wildcard: bool) -> None:
    assert is_ip(host) is literal
    assert is_wildcard(host) is wildcard


def test_ipv6_is_written_in_brackets() -> None:
    assert host_port("::1", 5060) == "[::1]:5060"
    assert host_port("192.0.2.1", 5061) == "192.0.2.1:5061"


async def test_a_name_is_remembered_for_a_minute() -> None:
    clock = FakeClock()
    book = AddressBook(clock)
    assert book.peek("localhost") is None
    assert await book.resolve("localhost") == "127.0.0.1"
    assert book.peek("localhost") == "127.0.0.1"
    clock.advance(61)
    assert book.peek("localhost") is None


def test_literals_are_remembered_up_to_a_bound() -> None:
    book = AddressBook(FakeClock())
    hosts = [f"10.0.{number // 250}.{number % 250}" for number in range(5000)]
    for host in hosts[:2000]:
        assert book.peek(host) == host
    assert book.literals == set(hosts[:2000])

    for host in hosts[2000:]:
        assert book.peek(host) == host
        assert len(book.literals) <= 4096
    assert hosts[-1] in book.literals


async def test_the_oldest_names_beyond_a_bound_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def look_up(*_: object, **__: object) -> list[Any]:
        return [(AF_INET, SOCK_DGRAM, 0, "", ("192.0.2.1", 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    book = AddressBook(FakeClock())
    names = [f"host{number}.example" for number in range(4100)]
    for name in names:
        assert await book.resolve(name) == "192.0.2.1"

    kept = [name for name in names if book.peek(name)]

    assert kept == names[-4096:]
