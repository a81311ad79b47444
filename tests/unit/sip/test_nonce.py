"""Stateless nonces and the replay windows of their counts."""

import pytest

from parley.sip.nonce import NonceCounts, NonceFactory, NonceState

SECRET = b"0123456789abcdef"
NOW = 1_790_000_000.25


def test_a_nonce_is_fresh_for_its_source_until_its_time_is_up() -> None:
    factory = NonceFactory(SECRET, ttl_s=300)
    nonce = factory.make(NOW, "192.0.2.1")
    assert factory.check(nonce, NOW, "192.0.2.1") is NonceState.FRESH
    assert factory.check(nonce, NOW + 300, "192.0.2.1") is NonceState.FRESH
    assert factory.check(nonce, NOW + 300.01, "192.0.2.1") is NonceState.STALE
    assert factory.check(nonce, NOW, "192.0.2.2") is NonceState.INVALID


def test_another_instance_with_the_secret_knows_the_nonce() -> None:
    nonce = NonceFactory(SECRET, 300).make(NOW, "a")
    assert NonceFactory(SECRET, 300).check(nonce, NOW - 1, "a") is NonceState.FRESH
    assert NonceFactory(SECRET[::-1], 300).check(nonce, NOW, "a") is NonceState.INVALID


def test_no_two_nonces_are_equal() -> None:
    factory = NonceFactory(SECRET, 300)
    assert len({factory.make(NOW, "a") for _ in range(100)}) == 100


def test_changed_or_foreign_nonces_are_invalid() -> None:
    factory = NonceFactory(SECRET, 300)
    nonce = factory.make(NOW, "a")
    for at in range(len(nonce)):
        changed = nonce[:at] + ("A" if nonce[at] != "A" else "B") + nonce[at + 1 :]
        assert factory.check(changed, NOW, "a") is NonceState.INVALID
    for foreign in ("", "x", nonce + "A", "ü" * len(nonce), "!" * len(nonce), "=" * len(nonce)):
        assert factory.check(foreign, NOW, "a") is NonceState.INVALID


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        NonceFactory(b"short", 300)


def test_each_count_is_accepted_once_within_the_window() -> None:
    counts = NonceCounts()
    assert counts.accept("n", 1)
    assert not counts.accept("n", 1)
    assert counts.accept("n", 5)
    assert counts.accept("n", 3)
    assert not counts.accept("n", 3)
    assert not counts.accept("n", 5)
    assert counts.accept("n", 68)
    assert not counts.accept("n", 4)
    assert counts.accept("n", 6)
    assert counts.accept("n", 0xFFFFFFFF)
    assert not counts.accept("n", 67)


def test_a_nonce_first_seen_in_the_middle_is_not_trusted() -> None:
    counts = NonceCounts()
    assert not counts.accept("n", 2)
    assert not counts.accept("n", 0)
    assert counts.accept("n", 1)
    assert counts.accept("n", 2)


def test_the_oldest_nonces_are_forgotten() -> None:
    counts = NonceCounts(max_nonces=2)
    assert all(counts.accept(nonce, 1) for nonce in "abc")
    assert not counts.accept("a", 2)
    assert counts.accept("b", 2)
    assert counts.accept("c", 2)
