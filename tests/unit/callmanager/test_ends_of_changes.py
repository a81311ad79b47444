"""How changes of an answered session end, and what they leave."""

from typing import Any

import pytest

from parley.model.call import EndedBy
from parley.sip.message import Request

from .moves import hang_up, re_invite, statuses


def test_a_refused_change_leaves_the_call_as_it_was(talking: Any, make_sdp: Any) -> None:
    stage = talking
    commands = len(stage.media_commands)
    transaction = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
    stage.answer(re_invite(stage), 488)
    assert statuses(stage, transaction) == [488]
    assert len(stage.media_commands) == commands
    assert stage.records == []


def test_a_change_that_finds_no_dialog_or_no_answer_ends_the_call(play: Any, make_sdp: Any) -> None:
    for outcome in (481, 408, None):
        stage = play()
        stage.establish()
        transaction = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
        sent = re_invite(stage)
        if outcome is None:
            stage.fail(sent)
        else:
            stage.answer(sent, outcome)
        assert statuses(stage, transaction) == [outcome or 408]
        for bye in stage.requests("BYE"):
            stage.answer(bye, 481)
        assert stage.is_over()
        assert stage.records[0].termination.reason == "phone-lost"


def test_a_change_can_be_cancelled(talking: Any, make_sdp: Any) -> None:
    stage = talking
    transaction = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
    sent = re_invite(stage)
    stage.feed(stage.call.receive_cancel, transaction, Request("CANCEL", "sip:x@y"))
    assert [c.key for c in stage.cancels] == [sent.key]
    stage.answer(sent, 487)
    assert statuses(stage, transaction) == [487]
    assert stage.records == []


def test_a_repeated_200_of_a_change_is_acknowledged_again(talking: Any, make_sdp: Any) -> None:
    stage = talking
    stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
    sent = re_invite(stage)
    stage.answer(sent, 200, make_sdp("192.0.2.2", 5010))
    acks = len(stage.acks)
    stage.answer(sent, 200, make_sdp("192.0.2.2", 5010))
    assert len(stage.acks) == acks + 1


@pytest.mark.parametrize("answer", [b"", b"v=0\r\no=junk"])
def test_a_repeated_200_of_a_change_that_came_to_nothing_is_acknowledged_again(
    talking: Any, make_sdp: Any, answer: bytes
) -> None:
    stage = talking
    stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
    sent = re_invite(stage)
    stage.answer(sent, 200, answer)
    acks = len(stage.acks)
    stage.answer(sent, 200, answer)
    assert len(stage.acks) == acks + 1


@pytest.mark.parametrize("is_caller", [True, False])
def test_who_answers_amiss_in_his_ack_ends_the_call(
    talking: Any, make_sdp: Any, is_caller: bool
) -> None:
    stage = talking
    if is_caller:
        stage.caller_sends("INVITE")
        stage.answer(re_invite(stage), 200, make_sdp("192.0.2.2", 5020))
        stage.ack(b"v=0", cseq=2)
    else:
        stage.callee_sends("INVITE")
        stage.answer(re_invite(stage), 200, make_sdp("192.0.2.1", 4020))
        ack = stage.from_callee("ACK", b"v=0")
        stage.feed(stage.call.receive_ack, "b1", ack)
    hang_up(stage)
    termination = stage.records[0].termination
    assert termination.reason == "bad-answer"
    assert termination.by is (EndedBy.CALLER if is_caller else EndedBy.CALLEE)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("status", [200, 488])
def test_changes_leave_nothing_behind(
    talking: Any, make_sdp: Any, method: str, status: int
) -> None:
    stage = talking
    before = len(stage.call.out.requests)
    for cseq in range(2, 7):
        stage.caller_sends(method, make_sdp("192.0.2.1", 4000 + 10 * cseq), cseq)
        stage.answer(re_invite(stage), status, make_sdp("192.0.2.2", 5010))
        if method == "INVITE" and status == 200:
            stage.ack(cseq=cseq)
    # Of the last one the 200 may come again.
    assert len(stage.call.out.requests) <= before + 1


def test_hanging_up_ends_a_change_under_way(talking: Any, make_sdp: Any) -> None:
    stage = talking
    transaction = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
    sent = re_invite(stage)
    stage.callee_sends("BYE")
    assert statuses(stage, transaction) == [487]
    acks = len(stage.acks)
    stage.answer(sent, 200, make_sdp("192.0.2.2", 5010))
    assert len(stage.acks) == acks + 1
    for bye in stage.requests("BYE"):
        stage.answer(bye, 200)
    assert stage.is_over()
