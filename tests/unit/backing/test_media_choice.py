from collections import Counter

from parley.backing.media.choice import Candidate, ranked


def relay(name: str, fill: float = 0.0, *, listed: bool = True, near: bool = True) -> Candidate:
    return Candidate(name, listed, near, fill)


def first(candidates: list[Candidate], count: int = 1000) -> Counter[str]:
    return Counter(ranked(f"session-{n}", candidates)[0] for n in range(count))


def test_of_two_relays_the_emptier_is_taken() -> None:
    assert first([relay("a", 0.4), relay("b", 0.1)]) == {"b": 1000}


def test_of_many_the_fullest_is_never_taken_and_the_emptiest_not_always() -> None:
    taken = first(
        [relay(name, fill) for name, fill in zip("abcd", (0.1, 0.2, 0.3, 0.4), strict=True)]
    )
    assert taken["d"] == 0
    assert taken["a"] > taken["b"] > taken["c"] > 0


def test_equal_relays_share_the_sessions() -> None:
    taken = first([relay(name) for name in "abcd"])
    assert all(150 < taken[name] < 350 for name in "abcd")


def test_relays_of_our_zone_come_first_however_full() -> None:
    candidates = [relay("far", 0.0, near=False), relay("near", 0.9)]
    assert ranked("s", candidates) == ["near", "far"]


def test_a_relay_that_discovery_does_not_name_is_the_last_resort() -> None:
    candidates = [relay("gone", 0.0, listed=False), relay("far", 0.9, near=False)]
    assert ranked("s", candidates) == ["far", "gone"]


def test_every_relay_is_asked_in_the_end() -> None:
    candidates = [relay(name, fill) for name, fill in zip("abc", (0.3, 0.2, 0.1), strict=True)]
    assert sorted(ranked("s", candidates)) == ["a", "b", "c"]
    assert ranked("s", []) == []
