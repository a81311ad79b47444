"""Calls made again from snapshots: clocks, versions, what is old, what was lost."""

from typing import Any

import pytest

from parley.callmanager.actions import (
    BindDialog,
    MediaCommand,
    MediaPurpose,
    PublishEvents,
    SendAck,
    SendRequest,
    SendResponse,
    WriteSnapshot,
)
from parley.callmanager.outputs import Deadline
from parley.callmanager.parts import CallState
from parley.callmanager.restore import (
    restore_call,
)
from parley.callmanager.routing import Echo
from parley.callmanager.snapshot import decode_snapshot
from parley.model.events import CallAnswered, decode_event
from parley.model.media import UpdateSession

from .stage import ANSWER, OFFER, targets
from .succession import At, Succession, context, kinds_after, talk


def restored(stage: Any, wall_s: float, now: float = 9000.0) -> Any:
    return restore_call(decode_snapshot(stage.writes[-1]), context([]), 2, now, wall_s)


# --- what a new owner does ---------------------------------------------------------------------


def test_an_old_conversation_is_taken_over_in_silence() -> None:
    stage = talk()
    stage.take_over(3000.0)
    assert kinds_after(stage) == [BindDialog, BindDialog, MediaCommand, PublishEvents]
    [adoption] = [a for a in stage.log[stage.since :] if isinstance(a, MediaCommand)]
    assert adoption.purpose is MediaPurpose.ADOPT
    assert isinstance(adoption.command, UpdateSession)
    assert adoption.command.legs == []
    assert adoption.command.epoch == 2
    assert stage.call.setup.transaction is None
    stage.caller_sends("BYE")
    stage.hang_up()
    stage.assert_consistent()
    assert stage.is_over()
    assert 3000.0 <= stage.records[0].duration_s <= 3001.0


def test_a_takeover_writes_nothing_before_it_acts() -> None:
    stage = Succession(targets(2))
    first, _ = stage.requests("INVITE")
    stage.answer(first, 200, ANSWER)
    stage.take_over()
    assert WriteSnapshot not in kinds_after(stage)
    assert {SendRequest, SendResponse, SendAck} <= set(kinds_after(stage))


def test_a_second_successor_finds_what_the_first_one_found() -> None:
    stage = Succession(targets(1), kill=At(SendRequest))
    stage.take_over()
    stage.take_over()
    stage.take_over()
    [invite] = stage.requests("INVITE")
    assert invite.branch == "z9hG4bK-call1-1-1"
    stage.establish()
    stage.take_over()
    stage.caller_sends("INFO", b"x", 2, "text/plain")
    assert stage.requests("INFO")[0].branch.startswith("z9hG4bK-call1-5-")
    stage.answer(stage.requests("INFO")[0], 200)
    stage.caller_sends("BYE", cseq=3)
    stage.hang_up()
    stage.assert_consistent()


def test_an_echo_call_goes_on() -> None:
    stage = Succession(Echo("999"))
    stage.take_over()
    stage.ack()
    again = stage.caller_sends("INVITE", ANSWER)
    assert stage.finals(again) == [200]
    stage.ack(cseq=2)
    stage.take_over(100.0)
    stage.caller_sends("BYE", cseq=3)
    stage.assert_consistent()
    assert stage.is_over()


def test_another_flow_is_tried_by_the_successor_too() -> None:
    stage = Succession(targets(1, alternates=1))
    stage.take_over()
    [invite] = stage.requests("INVITE")
    stage.answer(invite, 430)
    assert stage.requests("INVITE")[1].request.get("route") == "<sip:o@edge;transport=local;lr>"
    assert stage.requests("INVITE")[1].request.get("subject") is None


def test_the_invite_is_made_again_with_all_that_was_passed_on() -> None:
    stage = Succession(targets(2), subject="hello", max_breadth="8", privacy="none")
    stage.take_over()
    stage.take_over()
    for invite in stage.requests("INVITE"):
        assert invite.request.get("subject") == "hello"
        assert invite.request.get("max-breadth") == "4"
    stage.cancel()
    for invite in stage.requests("INVITE"):
        stage.answer(invite, 487)
    stage.assert_consistent()


def test_a_session_that_is_gone_is_looked_for_elsewhere() -> None:
    stage = talk()
    stage.sessions.clear()
    stage.relays.append("r2")
    stage.take_over()
    assert stage.sessions == {("r2", "call1")}
    assert stage.call.state is CallState.ANSWERED


def test_who_asked_by_a_way_that_cannot_be_used_is_not_answered() -> None:
    stage = Succession(targets(1))
    call = restore_call(decode_snapshot(stage.writes[-1]), context(None), 2, 9000.0, stage.wall_s)
    assert call.setup.transaction is None
    call.out.take()
    sent = stage.requests("INVITE")[0]
    request = stage.invite.copy()
    request.set("via", "SIP/2.0/LOCAL other;branch=z9hG4bKother")
    transaction = object()
    call.receive_repeated_invite(transaction, request, 9000.0)
    stage.call, stage.now = call, 9000.0
    stage.live.add((sent.branch, "INVITE"))
    stage.answer(sent, 180)
    assert [r.status for r in stage.responses_to(transaction)] == [180]
    [ringing] = stage.responses_to(transaction)
    assert ringing.via.branch == "z9hG4bKother"


def test_what_nobody_wrote_down_is_never_contradicted_under_the_same_version(
    make_sdp: Any,
) -> None:
    stage = Succession(targets(2))
    first, second = stage.requests("INVITE")
    stage.answer(first, 183, make_sdp("192.0.2.2", 5000, "sendonly"))
    # The early media was told and not written; the other phone is heard first.
    stage.told.clear()
    stage.take_over()
    stage.answer(second, 200, ANSWER)
    bodies = [response.body for response in stage.to_caller if response.body]
    assert [version(body) for body in bodies] == [0, 1]
    stage.ack()
    stage.caller_sends("BYE")
    stage.hang_up()
    stage.assert_consistent()


def test_an_answer_that_came_with_the_ack_is_known_for_ever(make_sdp: Any) -> None:
    stage = Succession(targets(1), b"")
    stage.answer(stage.requests("INVITE")[0], 200, ANSWER)
    stage.ack(OFFER)
    stage.take_over(100.0)
    hold = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010, "sendonly"))
    change = stage.requests("INVITE")[-1]
    assert version(change.request.body) == version(stage.acks[-1].request.body) + 1
    stage.answer(change, 200, make_sdp("192.0.2.2", 5000, "recvonly"))
    assert stage.finals(hold) == [200]


def version(body: bytes) -> int:
    return int(body.split(b"o=")[1].split()[2])


# --- time --------------------------------------------------------------------------------------


def test_deadlines_are_those_of_before_on_another_clock() -> None:
    stage = Succession(targets(1))
    stage.now += 10.0
    call = restored(stage, stage.wall_s)
    assert call.out.deadlines == {Deadline.RING: pytest.approx(9020.0)}


@pytest.mark.parametrize(("jump_s", "left_s"), [(-86400.0, 3600.0), (86400.0, 0.0)])
def test_a_jump_of_the_wall_clock_makes_no_wait_longer_than_it_is(
    jump_s: float, left_s: float, talking: Any
) -> None:
    call = restored(talking, talking.wall_s + jump_s)
    due = call.out.deadlines.get(Deadline.DURATION)
    if left_s:
        assert due == pytest.approx(9000.0 + left_s)
    else:
        assert call.state is CallState.ENDING


def test_no_duration_runs_backwards() -> None:
    stage = talk()
    stage.take_over(1.0, wall_jump_s=-5000.0)
    stage.caller_sends("BYE")
    stage.hang_up()
    [record] = stage.records
    assert record.answered_at is not None
    assert 0.0 <= record.duration_s <= 1.0
    assert record.started_at <= record.answered_at <= record.ended_at


def test_times_stay_what_they_were_whoever_tells_them() -> None:
    stage = talk()
    for _ in range(20):
        stage.take_over(0.123456789)
    stage.caller_sends("BYE")
    stage.hang_up()
    [record] = stage.records
    [answered, *_] = [
        event.data
        for event in map(decode_event, stage.published)
        if isinstance(event, CallAnswered)
    ]
    assert answered.answered_at == record.answered_at
    assert answered.started_at == record.started_at
