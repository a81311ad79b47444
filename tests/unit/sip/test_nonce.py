"""Stateless nonces and the replay windows of their counts."""

import pytest

from parley.sip.nonce import NonceCounts, NonceFactory, NonceState

SECRET = b"0123456789abcdef"
MAKER = b"edge-1"
NOW = 1_790_000_000.25


def test_a_nonce_is_fresh_for_its_source_until_its_time_is_up() -> None:
    factory = NonceFactory(SECRET, 300, MAKER)
    nonce = factory.make(NOW, "192.0.2.1")
    assert factory.check(nonce, NOW, "192.0.2.1") is NonceState.FRESH
    assert factory.check(nonce, NOW + 300, "192.0.2.1") is NonceState.FRESH
    assert factory.check(nonce, NOW + 300.01, "192.0.2.1") is NonceState.STALE
    assert factory.check(nonce, NOW, "192.0.2.2") is NonceState.INVALID


def test_another_maker_with_the_secret_tells_whose_the_nonce_is() -> None:
    nonce = NonceFactory(SECRET, 300, MAKER).make(NOW, "a")
    other = NonceFactory(SECRET, 300, b"edge-2")
    assert other.check(nonce, NOW - 1, "a") is NonceState.ELSEWHERE
    assert other.check(nonce, NOW + 301, "a") is NonceState.STALE
    assert other.check(nonce, NOW, "b") is NonceState.INVALID
    assert NonceFactory(SECRET[::-1], 300, MAKER).check(nonce, NOW, "a") is NonceState.INVALID


def test_no_two_nonces_are_equal() -> None:
    factory = NonceFactory(SECRET, 300, MAKER)
    assert len({factory.make(NOW, "a") for _ in range(100)}) == 100


def test_changed_or_foreign_nonces_are_invalid() -> None:
    factory = NonceFactory(SECRET, 300, MAKER)
    nonce = factory.make(NOW, "a")
    for at in range(len(nonce)):
        changed = nonce[:at] + ("A" if nonce[at] != "A" else "B") + nonce[at + 1 :]
        assert factory.check(changed, NOW, "a") is NonceState.INVALID
    for foreign in ("", "x", nonce + "A", "ü" * len(nonce), "!" * len(nonce), "=" * len(nonce)):
        assert factory.check(foreign, NOW, "a") is NonceState.INVALID


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        NonceFactory(b"short", 300, MAKER)


def test_a_maker_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="6 bytes"):
        NonceFactory(SECRET, 300, b"edge")


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


def test_counts_begin_with_1() -> None:
    counts = NonceCounts()
    assert not counts.accept("AAAAAAAA", 0)
    assert counts.accept("AAAAAAAA", 1)
    assert not counts.accept("AAAAAAAA", 0)


def test_a_nonce_first_seen_in_the_middle_is_not_trusted() -> None:
    counts = NonceCounts()
    assert not counts.accept("n", 2)
    assert not counts.accept("n", 0)
    assert counts.accept("n", 1)
    assert counts.accept("n", 2)


def test_the_oldest_nonces_are_forgotten() -> None:
    factory = NonceFactory(SECRET, 300, MAKER)
    counts = NonceCounts(max_nonces=2)
    nonces = [factory.make(NOW + at, "a") for at in range(3)]
    assert all(counts.accept(nonce, 1) for nonce in nonces)
    assert not counts.accept(nonces[0], 2)
    assert counts.accept(nonces[1], 2)
    assert counts.accept(nonces[2], 2)


def test_a_nonce_that_was_forgotten_cannot_be_begun_again() -> None:
    factory = NonceFactory(SECRET, 300, MAKER)
    counts = NonceCounts(max_nonces=1)
    older, used, younger = (factory.make(NOW + at, "a") for at in (-1, 0, 1))
    assert counts.accept(used, 1)
    assert counts.accept(younger, 1)
    assert not counts.accept(used, 1)
    assert not counts.accept(older, 1)
    assert counts.accept(factory.make(NOW + 2, "a"), 1)
