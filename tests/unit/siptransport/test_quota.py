"""Who may connect when many want to."""

from parley.siptransport.limits import TransportLimits
from parley.siptransport.quota import ConnectionQuota

LIMITS = TransportLimits(
    connections=8, connections_per_source=4, strangers=3, strangers_per_source=2
)


def _quota() -> ConnectionQuota[str]:
    return ConnectionQuota(LIMITS)


def test_strangers_of_one_address_are_few() -> None:
    quota = _quota()
    assert [quota.admit(name, "a", is_stranger=True) for name in "123"] == [True, True, False]
    quota.release("1")
    assert quota.admit("4", "a", is_stranger=True)
    assert quota.admit("5", "b", is_stranger=True)


def test_a_stranger_who_proves_himself_leaves_room_for_the_next() -> None:
    quota = _quota()
    for name in "12":
        quota.admit(name, "a", is_stranger=True)
    quota.vouch("1")
    assert quota.admit("3", "a", is_stranger=True)
    assert (len(quota), quota.stranger_count) == (3, 2)
    quota.release("1")
    quota.release("1")
    assert (len(quota), quota.stranger_count) == (2, 2)


def test_the_oldest_stranger_makes_room_when_their_share_is_full() -> None:
    quota = _quota()
    for name, host in zip("123", "abc", strict=True):
        quota.admit(name, host, is_stranger=True)
        assert quota.surplus() is None
    assert quota.admit("4", "d", is_stranger=True)
    assert quota.surplus() == "1"
    quota.release("1")
    assert quota.surplus() is None


def test_the_rest_is_kept_for_the_known() -> None:
    quota = _quota()
    for name, host in zip("123", "abc", strict=True):
        quota.admit(name, host, is_stranger=True)
    known = [quota.admit(f"k{n}", "k", is_stranger=False) for n in range(5)]
    assert known == [True] * 4 + [False]
    assert quota.admit("l", "l", is_stranger=False)
    assert not quota.admit("m", "m", is_stranger=False)


def test_nothing_is_left_of_who_has_gone() -> None:
    quota = _quota()
    quota.admit("1", "a", is_stranger=True)
    quota.release("1")
    assert not quota._by_host
    assert not quota._strangers_by_host


def test_a_network_of_ipv6_is_one_source() -> None:
    quota = _quota()
    strangers = [quota.admit(f"s{n}", f"2001:db8::{n}", is_stranger=True) for n in range(3)]
    assert strangers == [True, True, False]
    known = [quota.admit(f"k{n}", f"2001:db8::{n}", is_stranger=False) for n in range(3)]
    assert known == [True, True, False]
    assert quota.admit("other", "2001:db8:0:1::", is_stranger=True)
    for guest in ("s0", "s1", "k0", "k1", "other"):
        quota.release(guest)
    assert not quota._by_host
