"""To which addresses a relay sends media."""

import pytest

from parley.mediarelay.net_policy import AddressRefused, NetPolicy
from parley.model.media import Address
from parley.service.settings import PortRange

PORTS = PortRange(20000, 29999)


def is_refused(policy: NetPolicy, ip: str, port: int = 4000) -> bool:
    try:
        assert policy.target(Address(ip, port)) == Address(ip, port)
    except AddressRefused as error:
        assert str(error)
        return True
    return False


@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.1",
        "169.254.169.254",
        "169.254.1.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "2001:db8::1",
        "phone.example",
        "127.1",
        "0x7f.0.0.1",
        "",
    ],
)
def test_an_address_that_is_nobody_s_phone_is_refused(ip: str) -> None:
    assert is_refused(NetPolicy("203.0.113.9", PORTS), ip)


@pytest.mark.parametrize(
    "ip",
    ["::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "fe80::1", "fe80::1%lo", "ff02::1"]
    + ["fd00:ec2::254", "192.0.2.1"],
)
def test_the_same_of_ipv6(ip: str) -> None:
    assert is_refused(NetPolicy("2001:db8::9", PORTS), ip)


@pytest.mark.parametrize("ip", ["192.0.2.1", "10.0.0.5", "192.168.1.2", "100.64.0.1", "0.0.0.0"])
def test_phones_and_the_hold_of_old_are_let_through(ip: str) -> None:
    assert not is_refused(NetPolicy("203.0.113.9", PORTS), ip)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_what_is_no_port_is_refused(port: int) -> None:
    assert is_refused(NetPolicy("203.0.113.9", PORTS), "192.0.2.1", port)


def test_a_relay_on_loopback_serves_phones_there() -> None:
    policy = NetPolicy("127.0.0.1", PORTS)
    assert not is_refused(policy, "127.0.0.1")
    assert not is_refused(policy, "127.0.0.2", 20000)
    assert is_refused(policy, "169.254.169.254")


def test_on_loopback_phones_have_ports_between_the_relay_s() -> None:
    assert not is_refused(NetPolicy("127.0.0.1", PORTS), "127.0.0.1", 20000)


def test_on_loopback_a_phone_that_tells_another_address_may_send_from_there() -> None:
    on_loopback, elsewhere = NetPolicy("127.0.0.1", PORTS), NetPolicy("203.0.113.9", PORTS)
    assert on_loopback.sources(["192.0.2.1"]) == ("192.0.2.1", "127.0.0.1")
    assert on_loopback.sources(["192.0.2.1", "127.0.0.2"]) == ("192.0.2.1", "127.0.0.2")
    assert on_loopback.sources([]) == ()
    assert elsewhere.sources(["192.0.2.1"]) == ("192.0.2.1",)
    assert NetPolicy("::1", PORTS).sources(["2001:db8::1"]) == ("2001:db8::1", "::1")


def test_the_relay_s_own_ports_are_refused_under_each_of_its_addresses() -> None:
    policy = NetPolicy("10.0.0.9", PORTS, advertised="203.0.113.9", allowed=["10.0.0.0/8"])
    for ip in ("10.0.0.9", "203.0.113.9"):
        assert is_refused(policy, ip, 20000)
        assert is_refused(policy, ip, 29999)
        assert not is_refused(policy, ip, 19999)
    assert not is_refused(policy, "10.0.0.8", 20000)


def test_a_phone_behind_nat_with_an_address_of_a_forbidden_network_is_heard_first() -> None:
    policy = NetPolicy("203.0.113.9", PORTS, forbidden=["10.0.0.0/8"])
    inside = Address("10.0.0.5", 4000)
    assert policy.target(inside, ["10.0.0.5", "198.51.100.7"]) is None
    assert policy.sources(["10.0.0.5", "198.51.100.7"]) == ("198.51.100.7",)
    for sources in ([], ["10.0.0.5"], ["10.0.0.5", "10.9.9.9"]):
        with pytest.raises(AddressRefused):
            policy.target(inside, sources)
    with pytest.raises(AddressRefused):
        policy.target(Address("169.254.169.254", 80), ["198.51.100.7"])


def test_an_operator_forbids_networks_and_lets_parts_of_them_through() -> None:
    policy = NetPolicy(
        "203.0.113.9",
        PORTS,
        forbidden=["10.0.0.0/8"],
        allowed=["10.1.0.0/16", "169.254.7.0/24"],
    )
    assert is_refused(policy, "10.2.0.1")
    assert not is_refused(policy, "10.1.0.1")
    assert not is_refused(policy, "169.254.7.1")
    assert is_refused(policy, "169.254.169.254")
