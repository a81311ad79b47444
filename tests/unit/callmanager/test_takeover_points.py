"""The owner dies at every point of a call; its successor brings the call to a proper end."""

from typing import Any

import pytest

from parley.callmanager.actions import (
    CancelRequest,
    MediaCommand,
    SendAck,
    SendRequest,
    SendResponse,
    WriteSnapshot,
)
from parley.callmanager.parts import CallState
from parley.model.call import CallResult, EndedBy

from .stage import ANSWER, OFFER, targets
from .succession import At, Succession, talk


def ring(kill: At | None = None, count: int = 1, body: bytes = OFFER) -> Succession:
    return Succession(targets(count), body, kill=kill)


def finish(stage: Succession, *, talk_s: float = 10.0) -> None:
    """Both talk a while, the caller hangs up, and everything was as it should be."""
    assert stage.call.state is CallState.ANSWERED
    answered_s = stage.call.parts.journal.progress().answered_at.timestamp()  # type: ignore[union-attr]  # answered
    stage.now += talk_s
    ended_s = stage.wall_s
    stage.caller_sends("BYE", cseq=90)
    check_end(stage)
    [record] = stage.records
    assert record.termination.result is CallResult.ANSWERED
    assert record.duration_s == pytest.approx(ended_s - answered_s, abs=0.001)


def check_end(stage: Succession) -> None:
    stage.hang_up()
    for sent in stage.requests("INVITE"):
        if (sent.branch, "INVITE") not in stage.told or stage.told[
            sent.branch, "INVITE"
        ].response.status < 200:
            stage.answer(sent, 487)
    assert stage.is_over()
    stage.assert_consistent()


def test_1_an_invite_that_nobody_wrote_down_is_a_new_call_elsewhere() -> None:
    stage = ring(At(WriteSnapshot))
    assert stage.writes == []
    stage.take_over()
    stage.establish()
    finish(stage)


def test_2_and_3_the_phones_invite_is_sent_by_the_successor_once_more_or_at_last() -> None:
    for kill in (At(SendRequest), None):
        stage = ring(kill)
        branch = "z9hG4bK-call1-1-1"
        stage.take_over()
        [invite] = stage.requests("INVITE")
        assert invite.branch == branch
        stage.establish()
        finish(stage)


def test_4_a_phone_that_rings_goes_on_ringing() -> None:
    stage = ring(count=2)
    first, second = stage.requests("INVITE")
    stage.answer(first, 180)
    stage.take_over()
    assert stage.statuses == [180, 180]
    assert stage.call.state is CallState.RINGING
    stage.answer(second, 486)
    stage.answer(first, 200, ANSWER)
    stage.ack()
    finish(stage)


def test_4_early_media_is_told_again_under_a_higher_version() -> None:
    stage = ring()
    [invite] = stage.requests("INVITE")
    stage.answer(invite, 183, ANSWER)
    stage.take_over()
    bodies = [response.body for response in stage.to_caller]
    assert [b" IN IP4" in body for body in bodies] == [True, True]
    stage.answer(invite, 200, ANSWER)
    stage.ack()
    finish(stage)


@pytest.mark.parametrize("kill", [At(MediaCommand, nth=2), At(WriteSnapshot, nth=2)])
def test_5_an_answer_that_was_read_and_not_written_comes_again(kill: At) -> None:
    stage = ring(kill)
    [invite] = stage.requests("INVITE")
    stage.answer(invite, 200, ANSWER)
    assert stage.is_dead
    stage.take_over()
    assert stage.statuses == [200]
    assert len(stage.acks) == 1
    stage.ack()
    finish(stage)


@pytest.mark.parametrize("kill", [At(SendAck), At(SendResponse, status=200)])
def test_6_an_answer_that_was_written_is_given_by_the_successor(kill: At) -> None:
    stage = ring(kill)
    [invite] = stage.requests("INVITE")
    stage.answer(invite, 200, ANSWER)
    assert stage.statuses == []
    stage.take_over()
    assert stage.statuses == [200]
    assert stage.acks
    stage.ack()
    finish(stage)


def test_6_phones_that_lost_the_race_are_cancelled_though_nobody_told_them() -> None:
    stage = ring(At(CancelRequest), count=2)
    first, second = stage.requests("INVITE")
    stage.answer(first, 200, ANSWER)
    stage.take_over()
    [cancel] = stage.requests("CANCEL")
    assert cancel.branch == second.branch
    assert cancel.request.cseq.number == second.request.cseq.number
    assert cancel.request.get_all("route") == second.request.get_all("route")
    stage.answer(second, 487)
    assert stage.call.parts.leg("b2").is_closed  # type: ignore[union-attr]  # it is there
    stage.ack()
    finish(stage)


def test_6_a_loser_that_answers_the_successor_is_hung_up() -> None:
    stage = ring(At(CancelRequest), count=2)
    first, second = stage.requests("INVITE")
    stage.answer(first, 200, ANSWER)
    stage.take_over()
    stage.answer(second, 200, ANSWER)
    [bye] = stage.requests("BYE")
    assert bye.request.call_id == second.request.call_id
    stage.ack()
    finish(stage)


@pytest.mark.parametrize("is_acked", [False, True])
def test_7_the_answer_is_repeated_until_its_ack_is_there(is_acked: bool) -> None:
    stage = ring()
    [invite] = stage.requests("INVITE")
    stage.answer(invite, 200, ANSWER)
    if is_acked:
        stage.ack()
    stage.take_over()
    assert [action.until_ack for action in stage.log if isinstance(action, SendResponse)] == [
        True,
        True,
    ]
    bodies = {response.body for response in stage.to_caller}
    assert len(bodies) == 1
    if not is_acked:
        assert stage.call.parts.caller.unacked is not None
        stage.ack()
    assert stage.call.parts.caller.unacked is None
    finish(stage)


def test_8_a_new_offer_is_not_refused_for_an_ack_that_the_predecessor_took_with_it(
    make_sdp: Any,
) -> None:
    stage = talk()
    stage.given_acks.clear()  # The new offer is faster than the ACK to the repeated 200.
    stage.take_over()
    assert stage.call.parts.caller.unacked is not None
    hold = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010, "sendonly"))
    stage.answer(stage.requests("INVITE")[-1], 200, make_sdp("192.0.2.2", 5010, "recvonly"))
    assert stage.finals(hold) == [200]
    stage.ack(cseq=2)
    finish(stage)


@pytest.mark.parametrize(
    "kill", [At(MediaCommand, nth=2), At(WriteSnapshot, nth=3), At(SendAck), None]
)
def test_8_an_ack_that_brings_the_answer_reaches_the_phone(kill: At | None) -> None:
    stage = ring(kill, body=b"")
    [invite] = stage.requests("INVITE")
    stage.answer(invite, 200, ANSWER)
    stage.ack(OFFER)
    stage.take_over()
    acks = [ack.request for ack in stage.acks]
    assert acks
    assert {ack.body for ack in acks} != {b""}
    assert len({ack.body for ack in acks}) == 1
    finish(stage)


@pytest.mark.parametrize("kill", [At(), At(SendRequest), None], ids=["read", "written", "sent"])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_9_a_change_of_the_session_goes_on(kill: At | None, method: str, make_sdp: Any) -> None:
    stage = talk()
    stage.kill = kill
    hold = stage.caller_sends(method, make_sdp("192.0.2.1", 4010, "sendonly"))
    stage.take_over()
    changes = [sent for sent in stage.requests(method) if sent.request.to.tag]
    assert len(changes) == 1
    assert stage.finals(hold) == []
    stage.answer(changes[0], 200, make_sdp("192.0.2.2", 5010, "recvonly"))
    assert stage.finals(hold) == [200]
    if method == "INVITE":
        stage.ack(cseq=2)
    assert stage.call.parts.journal.is_held
    finish(stage)


@pytest.mark.parametrize(
    "kill",
    [At(MediaCommand), At(WriteSnapshot), At(SendAck), At(SendResponse)],
    ids=["read", "relay told", "written", "acknowledged"],
)
def test_10_the_answer_to_a_change_is_passed_on(kill: At, make_sdp: Any) -> None:
    stage = talk()
    hold = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010, "sendonly"))
    [change] = [sent for sent in stage.requests("INVITE") if sent.request.to.tag]
    stage.kill = kill
    stage.answer(change, 200, make_sdp("192.0.2.2", 5010, "recvonly"))
    assert stage.finals(hold) == []
    stage.take_over()
    assert set(stage.finals(hold)) == {200}
    assert any(ack.request.cseq.number == change.request.cseq.number for ack in stage.acks)
    stage.ack(cseq=2)
    again = stage.callee_sends("INVITE", make_sdp("192.0.2.2", 5010, "sendrecv"))
    assert stage.finals(again) == []
    stage.answer(stage.requests("INVITE")[-1], 200, make_sdp("192.0.2.1", 4010))
    assert stage.finals(again) == [200]
    stage.ack_of_callee(1)
    finish(stage)


def test_10_an_offer_in_a_200_has_its_answer_passed_on_by_the_successor(make_sdp: Any) -> None:
    stage = talk()
    hold = stage.caller_sends("INVITE")
    [change] = [sent for sent in stage.requests("INVITE") if sent.request.to.tag]
    stage.kill = At(SendResponse)
    stage.answer(change, 200, make_sdp("192.0.2.2", 5010))
    stage.take_over()
    assert set(stage.finals(hold)) == {200}
    stage.ack(make_sdp("192.0.2.1", 4010), cseq=2)
    assert b"m=audio 30000" in stage.acks[-1].request.body
    finish(stage)


def test_11_crossing_changes_still_meet_491(make_sdp: Any) -> None:
    stage = talk()
    first = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
    stage.kill = At()
    crossing = stage.callee_sends("INVITE", make_sdp("192.0.2.2", 5010))
    stage.take_over()
    assert stage.finals(crossing) == [491]
    [change] = [sent for sent in stage.requests("INVITE") if sent.request.to.tag]
    stage.answer(change, 491)
    assert stage.finals(first) == [491]
    again = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010), cseq=3)
    stage.answer(stage.requests("INVITE")[-1], 200, make_sdp("192.0.2.2", 5010))
    assert stage.finals(again) == [200]
    stage.ack(cseq=3)
    finish(stage)


@pytest.mark.parametrize(
    "kill",
    [At(), At(SendResponse, status=487), At(CancelRequest), None],
    ids=["read", "written", "caller told", "all told"],
)
def test_12_a_caller_who_gave_up_is_told_and_the_phone_falls_silent(kill: At | None) -> None:
    stage = ring()
    [invite] = stage.requests("INVITE")
    stage.answer(invite, 180)
    stage.kill = kill
    stage.cancel()
    stage.take_over()
    assert set(stage.finals(stage.invite_transaction)) == {487}
    cancelled = [action.key for action in stage.log if isinstance(action, CancelRequest)]
    assert cancelled or stage.requests("CANCEL")
    stage.answer(invite, 487)
    check_end(stage)
    assert stage.records[0].termination.result is CallResult.CANCELLED


@pytest.mark.parametrize(
    "kill",
    [At(), At(SendResponse), At(SendRequest, "BYE"), At(MediaCommand), None],
    ids=["read", "written", "answered", "other told", "all told"],
)
def test_13_and_14_a_hang_up_reaches_the_other_side(kill: At | None) -> None:
    stage = talk()
    stage.now += 20.0
    stage.kill = kill
    bye = stage.callee_sends("BYE", reason="Q.850;cause=16")
    stage.take_over(delay_s=1.0)
    assert set(stage.finals(bye)) == {200}
    [sent] = stage.requests("BYE")
    assert sent.request.call_id == "a-call-id"
    assert sent.request.get("reason") == "Q.850;cause=16"
    check_end(stage)
    [record] = stage.records
    assert record.termination.by is EndedBy.CALLEE
    was_read_only = kill == At()
    assert record.duration_s == pytest.approx(21.0 if was_read_only else 20.0)


def test_14_a_bye_that_waits_for_an_ack_is_sent_by_the_successor() -> None:
    stage = ring()
    [invite] = stage.requests("INVITE")
    stage.answer(invite, 200, ANSWER)
    stage.callee_sends("BYE")
    stage.take_over()
    assert stage.requests("BYE") == []
    stage.ack()
    assert len(stage.requests("BYE")) == 1
    check_end(stage)


@pytest.mark.parametrize("kill", [At(), At(SendRequest), None])
def test_a_request_that_is_passed_on_is_answered_by_the_successor(kill: At | None) -> None:
    stage = talk()
    stage.kill = kill
    info = stage.caller_sends("INFO", b"Signal=1", 2, "application/dtmf-relay")
    stage.take_over()
    [sent] = stage.requests("INFO")
    assert sent.request.body == b"Signal=1"
    assert sent.request.get("content-type") == "application/dtmf-relay"
    stage.answer(sent, 200)
    assert stage.finals(info) == [200]
    finish(stage)


@pytest.mark.parametrize("kill", [At(WriteSnapshot), At(SendResponse)])
def test_a_request_that_was_answered_is_not_passed_on_again(kill: At) -> None:
    stage = talk()
    info = stage.caller_sends("INFO", b"Signal=1", 2, "application/dtmf-relay")
    [sent] = stage.requests("INFO")
    stage.kill = kill
    stage.answer(sent, 469)
    stage.take_over()
    assert stage.finals(info) == [469]
    assert len(stage.requests("INFO")) == 1
    finish(stage)
