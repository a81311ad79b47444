"""Registrations of everybody at once."""

from parley.edgeproxy.limits.avalanche import RETRY_MIN_S, RETRY_SPREAD_S, Avalanche, retry_after


def test_ordinary_registrations_all_pass() -> None:
    bucket = Avalanche(100, 10)

    assert all(bucket.admit(now / 100) for now in range(1000))


def test_a_wave_passes_as_far_as_burst_and_rate_allow() -> None:
    bucket = Avalanche(100, 50)

    assert sum(bucket.admit(10.0) for _ in range(500)) == 50
    assert sum(bucket.admit(11.0) for _ in range(500)) == 50
    assert sum(bucket.admit(11.25) for _ in range(500)) == 25


def test_without_a_rate_everything_passes() -> None:
    bucket = Avalanche(0, 1)

    assert all(bucket.admit(1.0) for _ in range(100))


def test_phones_are_told_to_come_again_at_different_moments() -> None:
    pauses = [int(retry_after(f"call-{number}")) for number in range(2000)]

    assert set(pauses) == set(range(RETRY_MIN_S, RETRY_MIN_S + RETRY_SPREAD_S + 1))
    assert max(pauses.count(pause) for pause in set(pauses)) < 200
