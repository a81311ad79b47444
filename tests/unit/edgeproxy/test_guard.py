"""Source limits: buckets, bans, bounded tables."""

import pytest

from parley.edgeproxy.limits.guard import FailureLimiter, SourceLimiter, is_inside, parse_networks


def test_source_may_send_its_burst_and_then_its_rate() -> None:
    limiter = SourceLimiter(rate=2.0, burst=3.0)

    burst = [limiter.admit("192.0.2.1", 10.0) for _ in range(4)]

    assert burst == [True, True, True, False]
    assert limiter.admit("192.0.2.1", 10.5)
    assert not limiter.admit("192.0.2.1", 10.5)


def test_sources_do_not_share_a_bucket() -> None:
    limiter = SourceLimiter(rate=1.0, burst=1.0)

    assert limiter.admit("192.0.2.1", 0.0)
    assert limiter.admit("192.0.2.2", 0.0)


def test_bucket_never_holds_more_than_the_burst() -> None:
    limiter = SourceLimiter(rate=100.0, burst=2.0)
    limiter.admit("192.0.2.1", 0.0)

    assert [limiter.admit("192.0.2.1", 1000.0) for _ in range(3)] == [True, True, False]


def test_exempt_networks_and_rate_zero_have_no_limit() -> None:
    exempt = SourceLimiter(1.0, 1.0, parse_networks(["127.0.0.0/8"]))
    unlimited = SourceLimiter(0.0, 1.0)

    assert all(exempt.admit("127.0.0.1", 0.0) for _ in range(10))
    assert all(unlimited.admit("192.0.2.1", 0.0) for _ in range(10))


def test_table_of_sources_is_bounded() -> None:
    limiter = SourceLimiter(1.0, 1.0, size=10)

    for number in range(1000):
        assert limiter.admit(f"host-{number}", 0.0)

    assert len(limiter._buckets) == 10


def test_failures_within_the_window_ban_a_source_for_a_while() -> None:
    failures = FailureLimiter(limit=3, window_s=60.0, ban_s=120.0)

    assert [failures.record_failure("a", now) for now in (0.0, 1.0, 2.0)] == [False, False, True]
    assert failures.is_banned("a", 100.0)
    assert not failures.is_banned("b", 100.0)
    assert not failures.is_banned("a", 122.0)


def test_slow_failures_never_ban() -> None:
    failures = FailureLimiter(limit=2, window_s=60.0, ban_s=120.0)

    assert not any(failures.record_failure("a", now * 61.0) for now in range(20))


def test_limit_zero_never_bans() -> None:
    failures = FailureLimiter(limit=0, window_s=60.0, ban_s=120.0)

    assert not any(failures.record_failure("a", 0.0) for _ in range(100))


def test_tables_of_failures_are_bounded() -> None:
    failures = FailureLimiter(limit=2, window_s=60.0, ban_s=120.0, size=5)

    for number in range(100):
        failures.record_failure(f"a{number}", 0.0)
        failures.record_failure(f"b{number}", 0.0)
        failures.record_failure(f"b{number}", 0.0)

    assert len(failures._failures) <= 5
    assert len(failures.bans) <= 5


def test_host_name_lies_in_no_network() -> None:
    assert not is_inside("edge.test", parse_networks(["0.0.0.0/0"]))
    assert is_inside("::1", parse_networks(["::1"]))


def test_malformed_network_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        parse_networks(["999.0.0.0/8"])


def test_a_network_of_ipv6_shares_a_bucket() -> None:
    limiter = SourceLimiter(rate=1.0, burst=2.0)

    sent = [limiter.admit(f"2001:db8::{number:x}", 0.0) for number in range(1, 5)]

    assert sent == [True, True, False, False]
    assert limiter.admit("2001:db8:0:1::1", 0.0)


def test_an_exempt_ipv6_address_exempts_nobody_beside_it() -> None:
    limiter = SourceLimiter(1.0, 1.0, parse_networks(["2001:db8::1/128"]))

    assert all(limiter.admit("2001:db8::1", 0.0) for _ in range(10))
    assert [limiter.admit("2001:db8::2", 0.0) for _ in range(2)] == [True, False]
    assert limiter.admit("2001:db8::1", 0.0)
