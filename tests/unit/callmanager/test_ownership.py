"""Who acts for a call, decided from what is known."""

import pytest

from parley.callmanager.ownership import (
    Answer,
    Claim,
    Gone,
    Probe,
    Redirect,
    Restore,
    Sight,
    Verdict,
    census,
    is_cold,
    next_step,
    share,
    verdict,
)


def test_a_call_without_record_is_gone() -> None:
    assert next_step("me", Sight("")) == Gone()


def test_our_own_record_is_restored() -> None:
    assert next_step("me", Sight("me", 3)) == Restore(3)


def test_an_owner_without_lease_loses_the_call() -> None:
    assert next_step("me", Sight("it", 3)) == Claim(3)


def test_an_owner_with_a_lease_is_asked_first() -> None:
    assert next_step("me", Sight("it", 3, has_lease=True)) == Probe("it")


def test_an_owner_that_is_silent_loses_the_call() -> None:
    sight = Sight("it", 3, has_lease=True, answer=Answer.SILENT)
    assert next_step("me", sight) == Claim(3)


@pytest.mark.parametrize("answer", [Answer.UP, Answer.AWAY])
def test_an_owner_that_answers_keeps_the_call(answer: Answer) -> None:
    assert next_step("me", Sight("it", 3, has_lease=True, answer=answer)) == Redirect("it")


def test_the_one_that_asks_is_alive_and_the_others_by_their_leases() -> None:
    seen = census("me", ["me", "it", "dead"], {"it"})
    assert seen.alive == ("it", "me")
    assert seen.dead == ("dead",)


def test_the_living_divide_the_calls_of_the_dead_without_rest_or_overlap() -> None:
    calls = [f"call-{number}" for number in range(300)]
    alive = ("a", "b", "c")
    shares = [share(each, calls, alive) for each in alive]
    assert sorted(call for part in shares for call in part) == sorted(calls)
    assert all(len(part) > 60 for part in shares)
    assert shares[0] == sorted(shares[0], key=calls.index)


def test_calls_are_left_only_when_somebody_else_reaches_state() -> None:
    assert verdict([]) is Verdict.GO_ON
    assert verdict([Answer.AWAY, Answer.SILENT]) is Verdict.GO_ON
    assert verdict([Answer.AWAY, Answer.UP]) is Verdict.LEAVE


@pytest.mark.parametrize(
    ("was_seen", "was_alone", "silent_s", "expected"),
    [
        (True, True, 60.0, False),
        (False, True, 1.0, True),
        (False, False, 1.0, False),
        (False, False, 60.0, True),
    ],
)
def test_calls_end_when_nobody_was_there_to_take_them(
    was_seen: bool, was_alone: bool, silent_s: float, expected: bool
) -> None:
    assert is_cold(was_seen=was_seen, was_alone=was_alone, silent_s=silent_s) is expected
