"""A call whose relay dies, or is about to end, goes on at another."""

from typing import Any

from parley.callmanager.actions import MediaPurpose
from parley.callmanager.snapshot import decode_snapshot
from parley.model.media import (
    Address,
    CloseSession,
    OpenSession,
    RelayDraining,
    Reply,
    SessionLost,
    SessionMode,
    StreamStats,
    UpdateSession,
)

from .moves import answer_both, asked, hang_up, version

# --- the relay died ----------------------------------------------------------------------------


def test_a_lost_session_is_opened_elsewhere_and_both_phones_are_told(
    talking: Any, make_sdp: Any, kinds: Any
) -> None:
    stage = talking
    told_a, told_b = (leg.told.body for leg in stage.call.parts.legs())
    before = len(stage.log)
    stage.lose_relay("r2")
    assert kinds(stage.log[before:]) == [
        "MediaCommand",
        "WriteSnapshot",
        "SendRequest",
        "SendRequest",
    ]
    reopened = stage.media_commands[-1]
    assert isinstance(reopened, OpenSession)
    assert (reopened.session_id, reopened.epoch) == ("call1", 1)
    assert reopened.media_timeout_s == 60.0
    remotes = {leg.leg: leg.streams[0].remote for leg in reopened.legs}
    assert remotes == {"a": Address("192.0.2.1", 4000), "b": Address("192.0.2.2", 5000)}
    [to_a], [to_b] = asked(stage, "a"), asked(stage, "b")
    assert b"m=audio 21000" in to_a.request.body
    assert b"m=audio 31000" in to_b.request.body
    assert version(to_a.request.body) == version(told_a) + 1
    assert version(to_b.request.body) == version(told_b) + 1
    acks, commands = len(stage.acks), len(stage.media_commands)
    answer_both(stage, make_sdp)
    assert len(stage.acks) == acks + 2
    # The phones' addresses are as before: the relay knows them already.
    assert len(stage.media_commands) == commands
    stage.pass_time(1.0)
    hang_up(stage)
    assert stage.is_over()
    [record] = stage.records
    assert record.termination.reason == "hangup"
    assert [leg.media_note for leg in record.legs] == ["", ""]


def test_an_echo_is_moved_too(echoing: Any, make_sdp: Any) -> None:
    stage = echoing
    stage.lose_relay("r2")
    assert stage.media_commands[-1].mode is SessionMode.ECHO
    [sent] = asked(stage, "a")
    assert b"m=audio 21000" in sent.request.body
    stage.answer(sent, 200, make_sdp("192.0.2.1", 4444))
    moved = stage.media_commands[-1]
    assert isinstance(moved, UpdateSession)
    assert moved.relay == "r2"
    assert moved.legs[0].streams[0].remote == Address("192.0.2.1", 4444)
    assert moved.legs[0].streams[0].active


def test_a_phone_that_answers_with_another_address_is_told_to_the_relay(
    talking: Any, make_sdp: Any
) -> None:
    stage = talking
    stage.lose_relay("r2")
    stage.answer(asked(stage, "b")[0], 200, make_sdp("192.0.2.2", 5998))
    update = stage.media_commands[-1]
    assert isinstance(update, UpdateSession)
    assert [leg.leg for leg in update.legs] == ["b"]
    assert update.legs[0].streams[0].remote == Address("192.0.2.2", 5998)


def test_a_held_call_stays_held(talking: Any, make_sdp: Any) -> None:
    stage = talking
    stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4000, "sendonly"))
    stage.answer(asked(stage, "b")[0], 200, make_sdp("192.0.2.2", 5000, "recvonly"))
    stage.ack(cseq=2)
    stage.lose_relay("r2")
    assert b"a=recvonly" in asked(stage, "a")[-1].request.body
    assert b"a=sendonly" in asked(stage, "b")[-1].request.body
    active = {leg.leg: leg.streams[0].active for leg in stage.media_commands[-1].legs}
    assert active == {"a": False, "b": False}


def test_a_relay_that_dies_after_the_first_move_is_left_again(talking: Any, make_sdp: Any) -> None:
    stage = talking
    stage.lose_relay("r2")
    stage.lose_relay("r3")
    # The answers still concern the second relay; the third comes next.
    answer_both(stage, make_sdp)
    assert b"m=audio 22000" in asked(stage, "a")[-1].request.body
    assert b"m=audio 32000" in asked(stage, "b")[-1].request.body
    answer_both(stage, make_sdp)
    assert (len(asked(stage, "a")), len(asked(stage, "b"))) == (2, 2)
    assert not any(leg.owes_move for leg in stage.call.parts.legs())


def test_news_of_a_relay_that_was_left_already_change_nothing(talking: Any, make_sdp: Any) -> None:
    stage = talking
    stage.lose_relay("r2")
    answer_both(stage, make_sdp)
    commands = len(stage.media_commands)
    stage.feed(stage.call.receive_media_event, SessionLost("call1", "late", "r1"))
    assert len(stage.media_commands) == commands


def test_without_a_relay_the_call_stays_up_and_asks_again(talking: Any, make_sdp: Any) -> None:
    stage = talking
    stage.refuse = {MediaPurpose.REOPEN}
    stage.lose_relay("r2")
    commands = len(stage.media_commands)
    stage.pass_time(0.05)
    assert len(stage.media_commands) == commands
    stage.pass_time(0.06)
    assert len(stage.media_commands) == commands + 1
    stage.pass_time(0.21)
    assert len(stage.media_commands) == commands + 2
    assert stage.requests("BYE") == []
    stage.refuse = set()
    stage.pass_time(0.5)
    answer_both(stage, make_sdp)
    hang_up(stage)
    assert stage.is_over()
    assert stage.records[0].termination.reason == "hangup"


def test_a_call_that_is_hung_up_without_a_relay_ends_at_once(talking: Any) -> None:
    stage = talking
    stage.refuse = {MediaPurpose.REOPEN}
    stage.lose_relay("r2")
    hang_up(stage)
    assert stage.is_over()
    assert stage.records[0].media == []


def test_a_session_that_comes_back_after_the_end_is_closed(talking: Any) -> None:
    stage = talking
    stage.silent = {MediaPurpose.REOPEN}
    stage.lose_relay("r2")
    hang_up(stage)
    assert stage.records == []
    stage.reply(stage.waiting_media.pop())
    assert stage.is_over()


# --- before the answer -------------------------------------------------------------------------


def test_a_session_lost_while_the_phone_rings_is_replaced_before_the_answer(
    play: Any, make_sdp: Any
) -> None:
    stage = play()
    [invite] = stage.requests("INVITE")
    stage.answer(invite, 180)
    stage.lose_relay("r2")
    assert isinstance(stage.media_commands[-1], OpenSession)
    assert len(stage.requests("INVITE")) == 1
    stage.answer(invite, 200, make_sdp("192.0.2.2", 5000))
    assert b"m=audio 21000" in stage.to_caller[-1].body
    # The phone was told the old ports; it gets its ACK first, then the new ones.
    assert stage.acks[0].request.cseq.number == 1
    [sent] = asked(stage, "b")
    assert b"m=audio 31000" in sent.request.body
    stage.answer(sent, 200, make_sdp("192.0.2.2", 5000))
    stage.ack()
    assert asked(stage, "a") == []
    hang_up(stage)
    assert stage.is_over()


def test_a_session_lost_at_the_answer_is_replaced_before_the_caller_hears_of_it(
    play: Any, make_sdp: Any
) -> None:
    stage = play()
    [invite] = stage.requests("INVITE")
    stage.relays.append("r2")
    stage.sessions.clear()
    stage.answer(invite, 200, make_sdp("192.0.2.2", 5000))
    assert stage.statuses == [200]
    assert b"m=audio 21000" in stage.to_caller[-1].body
    assert b"m=audio 31000" in asked(stage, "b")[-1].request.body


def test_a_call_without_an_offer_survives_the_loss_before_its_ack(play: Any, make_sdp: Any) -> None:
    stage = play(body=b"")
    stage.answer(stage.requests("INVITE")[0], 200, make_sdp("192.0.2.2", 5000))
    stage.relays.append("r2")
    stage.sessions.clear()
    stage.ack(make_sdp("192.0.2.1", 4000))
    # The phone gets the new ports in its ACK, the caller by a re-INVITE.
    assert b"m=audio 31000" in stage.acks[-1].request.body
    assert b"m=audio 21000" in asked(stage, "a")[-1].request.body
    assert asked(stage, "b") == []


def test_without_any_relay_there_is_no_call(play: Any) -> None:
    stage = play(refuse=[MediaPurpose.OPEN])
    assert stage.statuses == [503]


# --- the relay drains --------------------------------------------------------------------------


def test_a_draining_relay_is_left_only_when_both_phones_have_moved(
    talking: Any, make_sdp: Any
) -> None:
    stage = talking
    stage.drain_relay("r2")
    assert stage.sessions == {("r1", "call1"), ("r2", "call1")}
    answer_both(stage, make_sdp)
    assert len(stage.sessions) == 2
    stage.pass_time(0.11)
    assert stage.sessions == {("r2", "call1")}
    closed = stage.media_commands[-1]
    assert isinstance(closed, CloseSession)
    hang_up(stage)
    assert stage.is_over()
    # Both relays' counters are in the record.
    assert stage.records[0].media[0].packets_received == 100


def test_a_phone_that_does_not_answer_keeps_the_old_session_for_two_seconds(
    talking: Any, make_sdp: Any
) -> None:
    stage = talking
    stage.drain_relay("r2")
    stage.answer(asked(stage, "a")[0], 200, make_sdp("192.0.2.1", 4000))
    stage.pass_time(1.9)
    assert len(stage.sessions) == 2
    stage.pass_time(0.2)
    assert stage.sessions == {("r2", "call1")}


def test_a_phone_whose_turn_comes_later_keeps_the_old_session_until_then(
    talking: Any, make_sdp: Any
) -> None:
    stage = talking
    stage.drain_relay("r2")
    stage.answer(asked(stage, "a")[0], 200, make_sdp("192.0.2.1", 4000))
    stage.answer(asked(stage, "b")[0], 491)
    for _ in range(40):
        stage.pass_time(0.1)
        if len(asked(stage, "b")) == 2:
            break
        assert len(stage.sessions) == 2
    stage.answer(asked(stage, "b")[1], 200, make_sdp("192.0.2.2", 5000))
    stage.pass_time(0.11)
    assert stage.sessions == {("r2", "call1")}


def test_a_draining_relay_with_no_other_keeps_its_calls_and_they_ask_again(
    talking: Any, make_sdp: Any
) -> None:
    stage = talking
    stage.refuse = {MediaPurpose.MOVE}
    stage.drain_relay("r2")
    assert asked(stage, "a") == []
    assert len(stage.sessions) == 1
    stage.refuse = set()
    stage.pass_time(1.01)
    answer_both(stage, make_sdp)
    stage.pass_time(0.11)
    assert stage.sessions == {("r2", "call1")}


def test_a_call_that_rings_moves_after_its_answer(play: Any, make_sdp: Any) -> None:
    stage = play()
    [invite] = stage.requests("INVITE")
    stage.drain_relay("r2")
    assert len(stage.media_commands) == 1
    stage.answer(invite, 200, make_sdp("192.0.2.2", 5000))
    assert len(stage.sessions) == 2
    assert asked(stage, "a") == []
    stage.ack()
    answer_both(stage, make_sdp)
    stage.pass_time(0.11)
    assert stage.sessions == {("r2", "call1")}


def test_a_call_that_ends_while_it_moves_leaves_nothing_behind(talking: Any) -> None:
    stage = talking
    stage.drain_relay("r2")
    hang_up(stage)
    assert stage.is_over()


def test_an_old_relay_that_dies_during_the_move_is_forgotten(talking: Any, make_sdp: Any) -> None:
    stage = talking
    first = stage.relays[-1]
    stage.drain_relay("r2")
    stage.sessions = {each for each in stage.sessions if each[0] != first}
    stage.feed(stage.call.receive_media_event, SessionLost("call1", "it died", first))
    commands = len(stage.media_commands)
    answer_both(stage, make_sdp)
    stage.pass_time(3.0)
    assert len(stage.media_commands) == commands


def test_an_old_relay_that_says_again_that_it_drains_is_still_closed(
    talking: Any, make_sdp: Any
) -> None:
    stage = talking
    first = stage.relays[-1]
    stage.drain_relay("r2")
    # Told before the session was open elsewhere, looked at after that.
    stage.feed(stage.call.receive_media_event, RelayDraining("call1", first))
    answer_both(stage, make_sdp)
    stage.pass_time(0.2)
    assert stage.sessions == {("r2", "call1")}


# --- the record and the snapshot ---------------------------------------------------------------


def test_what_is_owed_is_in_the_snapshot(talking: Any, make_sdp: Any) -> None:
    stage = talking
    stage.lose_relay("r2")
    stage.answer(asked(stage, "a")[0], 200, make_sdp("192.0.2.1", 4000))
    stage.answer(asked(stage, "b")[0], 488)
    stage.pass_time(0.3)
    caller, callee = decode_snapshot(stage.writes[-1]).legs
    assert (caller.owes_move, callee.owes_move) == (False, False)
    assert callee.media_note == "relay-change-refused-488"
    before = decode_snapshot(stage.writes[-2])
    assert all(leg.owes_move for leg in before.legs)


def test_counters_of_a_call_that_moved_are_added_up(talking: Any) -> None:
    media = talking.call.parts.media
    media.stats = [StreamStats("a", 0, packets_received=3, lost=1, jitter_ms=9.0)]
    again = StreamStats("a", 0, packets_received=4, packets_sent=2, jitter_ms=1.0)
    media.count(Reply("call1", ok=True, stats=[again]))
    [total] = media.stats
    assert (total.packets_received, total.packets_sent, total.lost) == (7, 2, 1)
    assert total.jitter_ms == 1.0
