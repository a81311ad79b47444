"""Phones that answer although the call is not theirs: they end their own dialog, nothing else."""

from typing import Any

import pytest

from parley.callmanager.actions import MediaPurpose

from .stage import ANSWER


@pytest.fixture
def two_answers(play: Any) -> Any:
    """b1 has the call; b2 answered at the same moment and gets ACK and BYE."""
    stage = play(2)
    one, two = stage.requests("INVITE")
    stage.answer(one, 200, ANSWER)
    stage.answer(two, 200, ANSWER)
    stage.ack()
    assert len(stage.requests("BYE")) == 1
    return stage


def test_a_late_phone_that_hangs_up_first_leaves_the_call_alone(two_answers: Any) -> None:
    stage = two_answers
    transaction = stage.callee_sends("BYE", leg="b2")
    assert [r.status for r in stage.responses_to(transaction)] == [200]
    assert stage.call.state.value == "answered"
    assert stage.call.parts.leg("b2").is_closed
    assert len(stage.requests("BYE")) == 1


def test_a_bye_on_a_closed_branch_leaves_the_call_alone(two_answers: Any) -> None:
    stage = two_answers
    stage.answer(stage.requests("BYE")[0], 200)
    transaction = stage.callee_sends("BYE", leg="b2")
    assert [r.status for r in stage.responses_to(transaction)] == [200]
    assert stage.call.state.value == "answered"
    assert stage.records == []


def test_what_a_late_phone_tells_is_not_taken(two_answers: Any) -> None:
    stage = two_answers
    for number, method in enumerate(("INFO", "MESSAGE", "INVITE", "UPDATE"), start=1):
        transaction = stage.callee_sends(method, b"", number, "b2")
        assert [r.status for r in stage.responses_to(transaction)] == [481], method
    assert stage.call.state.value == "answered"


def test_a_late_phone_that_hangs_up_while_the_winner_is_prepared(play: Any) -> None:
    stage = play(2, silent=[MediaPurpose.ANSWER])
    one, two = stage.requests("INVITE")
    stage.answer(two, 200, ANSWER)
    stage.answer(one, 200, ANSWER)
    stage.callee_sends("BYE", leg="b1")
    assert stage.call.state.value != "ending"


@pytest.mark.parametrize("is_given_up", ["by the caller", "by the clock"])
def test_who_answers_a_call_that_nobody_has_is_not_told_of_an_answer(
    play: Any, is_given_up: str
) -> None:
    stage = play()
    [invite] = stage.requests("INVITE")
    stage.answer(invite, 180)
    if is_given_up == "by the caller":
        stage.cancel()
    else:
        stage.pass_time(31.0)
    stage.answer(invite, 200, ANSWER)
    assert len(stage.acks) == 1
    [bye] = stage.requests("BYE")
    assert "cause=200" not in (bye.request.get("reason") or "")


def test_the_caller_s_own_reason_reaches_who_answers_too_late(play: Any) -> None:
    stage = play()
    [invite] = stage.requests("INVITE")
    stage.cancel(reason='SIP;cause=200;text="Call completed elsewhere"')
    stage.answer(invite, 200, ANSWER)
    [bye] = stage.requests("BYE")
    assert bye.request.get("reason") == 'SIP;cause=200;text="Call completed elsewhere"'


def test_a_loser_is_told_of_the_answer_even_after_the_call(play: Any) -> None:
    stage = play(2)
    one, two = stage.requests("INVITE")
    stage.answer(one, 200, ANSWER)
    stage.ack()
    stage.caller_sends("BYE")
    stage.answer(two, 200, ANSWER)
    assert "cause=200" in (stage.requests("BYE")[-1].request.get("reason") or "")
