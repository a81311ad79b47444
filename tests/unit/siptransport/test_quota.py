"""Who may connect when many want to."""

from parley.siptransport.limits import TransportLimits
from parley.siptransport.quota import GRACE_S, ConnectionQuota

LIMITS = TransportLimits(
    connections=8, connections_per_source=4, strangers=3, strangers_per_source=2
)


def _quota() -> ConnectionQuota[str]:
    return ConnectionQuota(LIMITS)


def test_strangers_of_one_address_are_few() -> None:
    quota = _quota()
    assert [quota.admit(name, "a", 0.0, is_stranger=True) for name in "123"] == [True, True, False]
    quota.release("1")
    assert quota.admit("4", "a", 0.0, is_stranger=True)
    assert quota.admit("5", "b", 0.0, is_stranger=True)


def test_a_stranger_who_proves_himself_leaves_room_for_the_next() -> None:
    quota = _quota()
    for name in "12":
        quota.admit(name, "a", 0.0, is_stranger=True)
    quota.vouch("1")
    assert quota.admit("3", "a", 0.0, is_stranger=True)
    assert (len(quota), len(quota._strangers)) == (3, 2)
    quota.release("1")
    quota.release("1")
    assert (len(quota), len(quota._strangers)) == (2, 2)


def test_the_oldest_stranger_makes_room_when_their_share_is_full() -> None:
    quota = _quota()
    for name, host in zip("123", "abc", strict=True):
        quota.admit(name, host, 0.0, is_stranger=True)
        assert quota.surplus(name) is None
    assert quota.admit("4", "d", 0.0, is_stranger=True)
    assert quota.surplus("4") == "1"
    quota.release("1")
    assert quota.surplus("4") is None


def test_the_oldest_stranger_of_an_address_makes_room_there_after_some_seconds() -> None:
    quota = _quota()
    quota.admit("other", "b", 0.0, is_stranger=True)
    for name, at in (("1", 1.0), ("2", 2.0)):
        quota.admit(name, "a", at, is_stranger=True)
    assert not quota.admit("3", "a", 1.0 + GRACE_S - 0.1, is_stranger=True)
    assert quota.admit("3", "a", 1.0 + GRACE_S, is_stranger=True)
    assert quota.surplus("3") == "1"
    quota.release("1")
    assert quota.surplus("3") is None
    assert not quota.admit("4", "a", 1.0 + GRACE_S, is_stranger=True)


def test_the_rest_is_kept_for_the_known() -> None:
    quota = _quota()
    for name, host in zip("123", "abc", strict=True):
        quota.admit(name, host, 0.0, is_stranger=True)
    known = [quota.admit(f"k{n}", "k", 0.0, is_stranger=False) for n in range(5)]
    assert known == [True] * 4 + [False]
    assert quota.admit("l", "l", 0.0, is_stranger=False)
    assert not quota.admit("m", "m", 0.0, is_stranger=False)


def test_nothing_is_left_of_who_has_gone() -> None:
    quota = _quota()
    quota.admit("1", "a", 0.0, is_stranger=True)
    quota.release("1")
    assert not quota._by_host
    assert not quota._strangers_by_host


def test_a_network_of_ipv6_is_one_source() -> None:
    quota = _quota()
    strangers = [quota.admit(f"s{n}", f"2001:db8::{n}", 0.0, is_stranger=True) for n in range(3)]
    assert strangers == [True, True, False]
    known = [quota.admit(f"k{n}", f"2001:db8::{n}", 0.0, is_stranger=False) for n in range(3)]
    assert known == [True, True, False]
    assert quota.admit("other", "2001:db8:0:1::", 0.0, is_stranger=True)
    for guest in ("s0", "s1", "k0", "k1", "other"):
        quota.release(guest)
    assert not quota._by_host
