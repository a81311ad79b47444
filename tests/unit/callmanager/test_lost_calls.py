"""Calls whose owner died when nobody was there to take them over."""

import pytest

from parley.callmanager.actions import CancelRequest, SendRequest, SendResponse
from parley.callmanager.restore import RestoreContext, restore_lost_call
from parley.callmanager.snapshot import decode_snapshot
from parley.model.call import CallResult
from parley.model.ids import InstanceId
from parley.testkit.ids import CountingIds

from .stage import WALL_S, targets
from .succession import At, Succession, kinds_after, talk

# --- lost calls --------------------------------------------------------------------------------


def lose(stage: Succession, last_seen_s: float, wall_s: float) -> None:
    """Everything was down; somebody starts cold and finds the call."""
    stage.since, stage.epoch, stage.now = len(stage.log), 2, 9000.0
    stage.live.clear()
    stage.kill, stage.is_dead = None, False
    env = RestoreContext(InstanceId("cm-2"), "Parley", CountingIds(), stage.adopt)
    snapshot = decode_snapshot(stage.writes[-1])
    stage.call = restore_lost_call(snapshot, env, 2, 9000.0, wall_s, last_seen_s)
    stage.run()


def test_a_lost_conversation_is_hung_up_on_both_sides_and_recorded() -> None:
    stage = talk()
    lose(stage, WALL_S + 90.0, WALL_S + 400.0)
    assert [bye.request.call_id for bye in stage.requests("BYE")] == [
        "a-call-id",
        stage.requests("INVITE")[0].request.call_id,
    ]
    assert SendResponse not in kinds_after(stage)
    stage.hang_up()
    assert stage.is_over()
    [record] = stage.records
    assert record.termination.result is CallResult.LOST
    assert record.termination.reason == "lost"
    assert record.duration_s == pytest.approx(90.0)
    assert all(leg.ended_at <= record.ended_at for leg in record.legs)


def test_a_lost_call_that_rang_is_cancelled_not_rung_again() -> None:
    stage = Succession(targets(2))
    lose(stage, WALL_S + 3.0, WALL_S + 5.0)
    assert len(stage.requests("CANCEL")) == 2
    assert CancelRequest not in kinds_after(stage)
    assert [a.request.method for a in stage.log[stage.since :] if isinstance(a, SendRequest)] == [
        "CANCEL",
        "CANCEL",
    ]
    assert stage.statuses == [503]
    for invite in stage.requests("INVITE"):
        stage.answer(invite, 487)
    assert stage.is_over()
    assert stage.records[0].termination.result is CallResult.LOST
    assert stage.records[0].ended_at.timestamp() == pytest.approx(WALL_S + 3.0)


def test_a_lost_call_ends_not_before_what_is_known_of_it() -> None:
    stage = talk()
    stage.now += 50.0
    lose(stage, WALL_S - 1000.0, WALL_S + 400.0)
    stage.hang_up()
    assert stage.records[0].duration_s == 0.0


def test_a_call_that_was_ending_keeps_its_end() -> None:
    stage = talk()
    stage.now += 20.0
    stage.kill = At(SendResponse)
    stage.caller_sends("BYE")
    lose(stage, WALL_S + 30.0, WALL_S + 30.5)
    stage.pass_time(60.0)
    assert stage.is_over()
    [record] = stage.records
    assert record.termination.reason == "hangup"
    assert record.duration_s == pytest.approx(20.0)
