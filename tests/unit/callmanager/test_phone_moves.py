"""What phones say when they are told of another relay, and what they ask meanwhile."""

from typing import Any

import pytest

from parley.callmanager.phone_moves import MAX_TRIES
from parley.model.media import (
    OpenSession,
    UpdateSession,
)

from .moves import answer_both, asked, hang_up, statuses

# --- what the phones say -----------------------------------------------------------------------


@pytest.mark.parametrize(("side", "low", "high"), [("a", 0.0, 2.0), ("b", 2.1, 4.0)])
def test_a_phone_in_an_exchange_of_its_own_is_asked_again_in_its_turn(
    talking: Any, make_sdp: Any, side: str, low: float, high: float
) -> None:
    stage = talking
    stage.lose_relay("r2")
    stage.answer(asked(stage, side)[0], 491)
    if low:
        stage.pass_time(low - 0.01)
        assert len(asked(stage, side)) == 1
    stage.pass_time(high - low + 0.02)
    assert len(asked(stage, side)) == 2
    first, second = (sent.request for sent in asked(stage, side))
    assert second.cseq.number == first.cseq.number + 1
    assert second.body == first.body
    answer_both(stage, make_sdp)
    assert not any(leg.owes_move for leg in stage.call.parts.legs())


def test_retry_after_is_heeded(talking: Any) -> None:
    stage = talking
    stage.lose_relay("r2")
    stage.answer(asked(stage, "b")[0], 500, retry_after="3")
    stage.pass_time(2.9)
    assert len(asked(stage, "b")) == 1
    stage.pass_time(0.2)
    assert len(asked(stage, "b")) == 2


def test_a_phone_that_moves_while_its_relay_is_replaced_is_asked_where_it_is(
    talking: Any, make_sdp: Any
) -> None:
    stage = talking
    stage.lose_relay("r2")
    request = stage.from_caller("INVITE", make_sdp("192.0.2.77", 4010))
    request.add("x-parley-route", "<sip:tok2@edge-2;transport=local;lr>")
    stage.ask("a", request)
    stage.fail(asked(stage, "a")[0])
    again = asked(stage, "a")[1].request
    assert again.values("route") == ["<sip:tok2@edge-2;transport=local;lr>"]
    assert stage.requests("BYE") == []


@pytest.mark.parametrize("status", [488, 503, 606])
def test_a_phone_that_refuses_keeps_its_call_and_the_record_says_so(
    talking: Any, make_sdp: Any, status: int
) -> None:
    stage = talking
    stage.lose_relay("r2")
    stage.answer(asked(stage, "a")[0], 200, make_sdp("192.0.2.1", 4000))
    stage.answer(asked(stage, "b")[0], status)
    update = stage.media_commands[-1]
    # Nothing will come from it, so its silence must not end the call.
    assert [(leg.leg, leg.streams[0].active) for leg in update.legs] == [("b", False)]
    stage.pass_time(10.0)
    assert len(asked(stage, "b")) == 1
    hang_up(stage)
    notes = [leg.media_note for leg in stage.records[0].legs]
    assert notes == ["", f"relay-change-refused-{status}"]


def test_a_phone_that_always_says_later_is_left_alone_in_the_end(talking: Any) -> None:
    stage = talking
    stage.lose_relay("r2")
    for n in range(MAX_TRIES):
        assert len(asked(stage, "b")) == n + 1
        stage.answer(asked(stage, "b")[-1], 491)
        stage.pass_time(4.1)
    assert len(asked(stage, "b")) == MAX_TRIES
    assert stage.call.parts.callee.media_note == "relay-change-refused-491"


def test_an_answer_that_does_not_fit_counts_as_a_refusal(talking: Any) -> None:
    stage = talking
    stage.lose_relay("r2")
    stage.answer(asked(stage, "b")[0], 200)
    assert stage.call.parts.callee.media_note == "relay-change-bad-answer"
    assert stage.acks[-1].request.cseq.number == asked(stage, "b")[0].request.cseq.number


@pytest.mark.parametrize("outcome", [481, 408, "timeout", "transport"])
def test_a_phone_that_is_gone_ends_the_call(talking: Any, outcome: int | str) -> None:
    stage = talking
    stage.lose_relay("r2")
    sent = asked(stage, "b")[0]
    if isinstance(outcome, int):
        stage.answer(sent, outcome)
    else:
        stage.fail(sent, outcome)
    for bye in stage.requests("BYE"):
        stage.answer(bye, 200)
    assert stage.is_over()
    assert stage.records[0].termination.reason == "phone-lost"


def test_a_repeated_answer_is_acknowledged_again(talking: Any, make_sdp: Any) -> None:
    stage = talking
    stage.lose_relay("r2")
    answer_both(stage, make_sdp)
    acks, commands = len(stage.acks), len(stage.media_commands)
    answer_both(stage, make_sdp)
    assert len(stage.acks) == acks + 2
    assert len(stage.media_commands) == commands


def test_an_answer_after_the_end_is_acknowledged(talking: Any, make_sdp: Any) -> None:
    stage = talking
    stage.lose_relay("r2")
    hang_up(stage)
    acks = len(stage.acks)
    stage.answer(asked(stage, "b")[0], 200, make_sdp("192.0.2.2", 5000))
    assert len(stage.acks) == acks + 1


# --- crossing exchanges ------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_phones_own_change_that_crosses_ours_gets_491(
    talking: Any, make_sdp: Any, method: str
) -> None:
    stage = talking
    stage.lose_relay("r2")
    crossing = stage.caller_sends(method, make_sdp("192.0.2.1", 4000, "sendonly"))
    assert statuses(stage, crossing) == [491]
    assert statuses(stage, stage.callee_sends(method, make_sdp("192.0.2.2", 5000))) == [491]
    answer_both(stage, make_sdp)
    again = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4000, "sendonly"), cseq=3)
    passed = asked(stage, "b")[-1]
    assert b"m=audio 31000" in passed.request.body
    stage.answer(passed, 200, make_sdp("192.0.2.2", 5000, "recvonly"))
    assert statuses(stage, again) == [200]


def test_our_change_waits_for_one_that_is_under_way(talking: Any, make_sdp: Any) -> None:
    stage = talking
    hold = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4000, "sendonly"))
    [passed] = asked(stage, "b")
    stage.lose_relay("r2")
    assert len(asked(stage, "b")) == 1
    assert asked(stage, "a") == []
    stage.answer(passed, 200, make_sdp("192.0.2.2", 5000, "recvonly"))
    [response] = stage.responses_to(hold)
    assert b"m=audio 21000" in response.body
    # B was told the old ports with the hold; A must acknowledge first.
    assert b"m=audio 31000" in asked(stage, "b")[-1].request.body
    assert asked(stage, "a") == []
    stage.ack(cseq=2)
    assert len(asked(stage, "a")) == 1


def test_a_change_whose_relay_dies_goes_on_at_the_next(talking: Any, make_sdp: Any) -> None:
    stage = talking
    hold = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4000, "sendonly"))
    stage.relays.append("r2")
    stage.sessions.clear()
    stage.answer(asked(stage, "b")[0], 200, make_sdp("192.0.2.2", 5000, "recvonly"))
    update, reopened = stage.media_commands[-2:]
    assert isinstance(update, UpdateSession)
    assert isinstance(reopened, OpenSession)
    assert {leg.leg: leg.streams[0].active for leg in reopened.legs} == {"a": False, "b": False}
    [response] = stage.responses_to(hold)
    assert response.status == 200
    assert b"m=audio 21000" in response.body
