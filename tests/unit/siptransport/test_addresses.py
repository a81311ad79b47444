"""Host names and literals."""

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


def test_the_book_stays_small() -> None:
    book = AddressBook(FakeClock())
    for number in range(5000):
        assert book.peek(f"10.0.{number // 250}.{number % 250}")
    assert len(book.literals) <= 4096
