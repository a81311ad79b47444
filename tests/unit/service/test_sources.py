"""What counts as one source."""

import pytest

from parley.service.sources import source_key


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "::ffff:192.0.2.1", "::FFFF:c000:201"], ids=["plain", "mapped", "hex"]
)
def test_an_ipv4_address_is_a_source_however_it_is_written(host: str) -> None:
    assert source_key(host) == "192.0.2.1"


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:DB8:0:0:0::1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::1", "192.0.2.1", False),
        ("64:ff9b::192.0.2.1", "64:FF9B::c000:201", True),
        ("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", False),
        ("64:ff9b::127.0.0.1", "127.0.0.1", False),
        ("64:ff9b:1::192.0.2.1", "64:ff9b:1::192.0.2.2", True),
    ],
)
def test_an_ipv6_network_of_64_bits_is_one_source(one: str, other: str, is_same: bool) -> None:
    assert (source_key(one) == source_key(other)) is is_same


@pytest.mark.parametrize("host", ["", "phone.example", "a:b", "not:an::address::at:all"])
def test_what_is_no_address_stands_for_itself(host: str) -> None:
    assert source_key(host) == host
