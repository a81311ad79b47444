"""Parties that are not heard: muted, on hold, or gone."""

from typing import Any

import pytest

from parley.model.media import MediaTimedOut

from .succession import talk


def fall_silent(stage: Any, leg: str, *, is_other_heard: bool = True) -> None:
    event = MediaTimedOut("call1", leg, is_other_heard=is_other_heard)
    stage.feed(stage.call.receive_media_event, event)


@pytest.mark.parametrize("leg", ["a", "b"])
@pytest.mark.parametrize("status", [200, 405, 501])
def test_a_muted_phone_that_answers_keeps_its_call(talking: Any, leg: str, status: int) -> None:
    stage = talking
    for _ in range(3):
        fall_silent(stage, leg)
        fall_silent(stage, leg)
        stage.answer(stage.requests("OPTIONS")[-1], status)
    assert len(stage.requests("OPTIONS")) == 3
    assert stage.call.state.value == "answered"
    assert not [each for each in stage.call.out.requests if each in stage.call.silence.asked]


@pytest.mark.parametrize("status", [408, 430, 481])
def test_a_phone_that_is_gone_ends_its_call(talking: Any, status: int) -> None:
    stage = talking
    fall_silent(stage, "b")
    stage.answer(stage.requests("OPTIONS")[0], status)
    assert len(stage.requests("BYE")) == 2
    for bye in stage.requests("BYE"):
        stage.answer(bye, 200)
    assert stage.records[0].termination.reason == "phone-lost"


def test_a_phone_that_says_nothing_at_all_ends_its_call(talking: Any) -> None:
    stage = talking
    fall_silent(stage, "a")
    stage.fail(stage.requests("OPTIONS")[0])
    assert len(stage.requests("BYE")) == 2


def test_a_phone_that_moved_while_it_was_asked_is_there(talking: Any, make_sdp: Any) -> None:
    stage = talking
    fall_silent(stage, "a")
    [options] = stage.requests("OPTIONS")
    stage.caller_sends("UPDATE")
    stage.fail(options)
    assert stage.call.state.value == "answered"
    fall_silent(stage, "a")
    stage.fail(stage.requests("OPTIONS")[1])
    assert len(stage.requests("BYE")) == 2


def test_an_edge_that_is_gone_is_not_the_phone_s_silence(talking: Any) -> None:
    stage = talking
    fall_silent(stage, "a")
    stage.fail(stage.requests("OPTIONS")[0], "transport")
    fall_silent(stage, "a")
    assert len(stage.requests("OPTIONS")) == 2
    assert stage.call.state.value == "answered"


def test_a_call_in_which_nobody_is_heard_ends_whoever_was_asked(talking: Any) -> None:
    stage = talking
    fall_silent(stage, "a")
    fall_silent(stage, "b", is_other_heard=False)
    stage.answer(stage.requests("OPTIONS")[0], 200)
    for bye in stage.requests("BYE"):
        stage.answer(bye, 200)
    assert stage.records[0].termination.reason == "media-timeout"
    assert stage.is_over()


def test_a_phone_is_not_asked_before_its_ack(play: Any, make_sdp: Any) -> None:
    stage = play()
    stage.answer(stage.requests("INVITE")[0], 200, make_sdp("192.0.2.2", 5000))
    fall_silent(stage, "a")
    assert stage.requests("OPTIONS") == []
    assert stage.call.state.value == "answered"


@pytest.mark.parametrize(
    ("offer", "answer"),
    [("sendonly", "recvonly"), ("inactive", "inactive"), ("recvonly", "sendonly")],
)
def test_silence_is_no_time_out_while_a_side_is_on_hold(
    talking: Any, make_sdp: Any, offer: str, answer: str
) -> None:
    stage = talking
    stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4000, offer))
    sent = [each for each in stage.requests("INVITE") if each.request.to.tag][-1]
    stage.answer(sent, 200, make_sdp("192.0.2.2", 5000, answer))
    stage.ack(cseq=2)
    assert [leg.streams[0].active for leg in stage.media_commands[-1].legs] == [False, False]
    stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4000), 3)
    sent = [each for each in stage.requests("INVITE") if each.request.to.tag][-1]
    stage.answer(sent, 200, make_sdp("192.0.2.2", 5000))
    assert [leg.streams[0].active for leg in stage.media_commands[-1].legs] == [True, True]


def test_a_new_owner_asks_anew_and_lets_the_old_question_be() -> None:
    stage = talk()
    fall_silent(stage, "b")
    [options] = stage.requests("OPTIONS")
    stage.is_dead = True
    stage.take_over()
    stage.answer(options, 481)
    assert stage.call.state.value == "answered"
    fall_silent(stage, "b")
    again = stage.requests("OPTIONS")[-1]
    assert again.request.cseq.number == options.request.cseq.number + 1
    stage.answer(again, 200)
    stage.caller_sends("BYE")
    stage.hang_up()
    stage.assert_consistent()
