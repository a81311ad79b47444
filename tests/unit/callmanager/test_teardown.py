"""How calls end."""

from typing import Any

from parley.callmanager.actions import MediaPurpose
from parley.callmanager.ending import SHUT_DOWN
from parley.callmanager.routing import NOT_FOUND
from parley.model.call import CallResult, EndedBy
from parley.model.media import CloseSession, MediaTimedOut


def test_a_refused_number_is_told_and_recorded(play: Any) -> None:
    stage = play(decision=NOT_FOUND)
    assert stage.statuses == [404]
    assert stage.media_commands == []
    assert stage.events == ["call.started", "call.ended"]
    assert stage.records[0].termination.result is CallResult.NOT_FOUND
    assert stage.is_over()


def test_the_caller_hangs_up(talking: Any, kinds: Any) -> None:
    stage = talking
    before = len(stage.log)
    stage.now += 12.5
    transaction = stage.caller_sends("BYE")
    assert kinds(stage.log[before:])[:4] == [
        "WriteSnapshot",
        "SendResponse",
        "SendRequest",
        "MediaCommand",
    ]
    assert [r.status for r in stage.responses_to(transaction)] == [200]
    assert not stage.ended
    stage.answer(stage.requests("BYE")[0], 200)
    assert stage.is_over()
    [record] = stage.records
    assert record.termination.by is EndedBy.CALLER
    assert record.termination.result is CallResult.ANSWERED
    assert record.duration_s == 12.5
    assert record.media[0].packets_received == 50
    assert [leg.leg for leg in record.legs] == ["a", "b1"]
    assert stage.events == ["call.started", "call.ringing", "call.answered", "call.ended"]


def test_the_callee_hangs_up_and_its_reason_is_passed_on(talking: Any) -> None:
    stage = talking
    stage.callee_sends("BYE", reason="Q.850;cause=16")
    bye = stage.requests("BYE")[0].request
    assert bye.get("reason") == "Q.850;cause=16"
    assert bye.get("route") == "<sip:tok@edge;transport=local;lr>"
    stage.answer(stage.requests("BYE")[0], 481)
    assert stage.is_over()
    assert stage.records[0].termination.by is EndedBy.CALLEE


def test_crossing_hang_ups_are_both_answered(talking: Any) -> None:
    stage = talking
    stage.caller_sends("BYE")
    transaction = stage.callee_sends("BYE")
    assert [r.status for r in stage.responses_to(transaction)] == [200]
    assert stage.is_over()
    stage.answer(stage.requests("BYE")[0], 481)
    assert stage.ended == 1
    assert len(stage.records) == 1


def test_a_bye_before_the_ack_ends_the_call(play: Any, make_sdp: Any) -> None:
    stage = play()
    stage.answer(stage.requests("INVITE")[0], 200, make_sdp("192.0.2.2"))
    stage.caller_sends("BYE")
    stage.answer(stage.requests("BYE")[0], 200)
    assert stage.is_over()


def test_our_bye_to_the_caller_waits_for_its_ack(play: Any, make_sdp: Any) -> None:
    stage = play()
    stage.answer(stage.requests("INVITE")[0], 200, make_sdp("192.0.2.2"))
    stage.callee_sends("BYE")
    assert stage.requests("BYE") == []
    stage.ack()
    stage.answer(stage.requests("BYE")[0], 200)
    assert stage.is_over()


def test_a_missing_ack_ends_the_call(play: Any, make_sdp: Any) -> None:
    stage = play()
    stage.answer(stage.requests("INVITE")[0], 200, make_sdp("192.0.2.2"))
    stage.feed(stage.call.receive_server_failure, stage.invite_transaction, "timeout")
    assert len(stage.requests("BYE")) == 2
    for bye in stage.requests("BYE"):
        stage.fail(bye)
    assert stage.is_over()
    assert stage.records[0].termination.reason == "ack-timeout"
    assert stage.records[0].termination.result is CallResult.LOST


def test_the_caller_gives_up_while_it_rings(play: Any, kinds: Any) -> None:
    stage = play(2)
    first, second = stage.requests("INVITE")
    stage.answer(first, 180)
    before = len(stage.log)
    stage.cancel(reason="SIP;cause=487")
    assert kinds(stage.log[before:])[:4] == [
        "WriteSnapshot",
        "SendResponse",
        "CancelRequest",
        "CancelRequest",
    ]
    assert stage.statuses == [180, 487]
    assert stage.cancels[0].headers == (("reason", "SIP;cause=487"),)
    stage.answer(first, 487)
    assert not stage.ended
    stage.answer(second, 487)
    assert stage.is_over()
    assert stage.records[0].termination.result is CallResult.CANCELLED
    assert stage.records[0].termination.by is EndedBy.CALLER


def test_a_cancel_that_crosses_the_answer_hangs_the_phone_up(play: Any, make_sdp: Any) -> None:
    stage = play()
    invite = stage.requests("INVITE")[0]
    stage.cancel()
    stage.answer(invite, 200, make_sdp("192.0.2.2"))
    assert len(stage.acks) == 1
    stage.answer(stage.requests("BYE")[0], 200)
    assert stage.statuses == [487]
    assert stage.is_over()


def test_a_cancel_after_the_answer_changes_nothing(talking: Any) -> None:
    talking.cancel()
    assert talking.statuses == [180, 200]
    assert talking.records == []


def test_a_cancel_while_the_relay_is_asked_closes_the_session_when_it_is_there(play: Any) -> None:
    stage = play(silent=[MediaPurpose.OPEN])
    stage.cancel()
    assert stage.statuses == [487]
    assert not stage.ended
    stage.reply(stage.waiting_media[0])
    assert isinstance(stage.media_commands[-1], CloseSession)
    assert stage.is_over()
    assert len(stage.records) == 1


def test_a_cancel_while_the_answer_is_prepared_hangs_the_phone_up(play: Any, make_sdp: Any) -> None:
    stage = play(silent=[MediaPurpose.ANSWER])
    stage.answer(stage.requests("INVITE")[0], 200, make_sdp("192.0.2.2"))
    stage.cancel()
    assert stage.statuses == [487]
    assert len(stage.acks) == 1
    stage.answer(stage.requests("BYE")[0], 200)
    assert stage.is_over()
    stage.reply(stage.waiting_media[0])
    assert stage.ended == 1


def test_a_bye_in_an_early_dialog_is_a_cancel(play: Any) -> None:
    stage = play()
    invite = stage.requests("INVITE")[0]
    stage.answer(invite, 180)
    transaction = stage.caller_sends("BYE")
    assert [r.status for r in stage.responses_to(transaction)] == [200]
    assert stage.statuses == [180, 487]
    stage.answer(invite, 487)
    assert stage.is_over()


def test_silence_on_the_media_ends_the_call_with_its_reason(talking: Any) -> None:
    stage = talking
    stage.feed(stage.call.receive_media_event, MediaTimedOut("call1", "a"))
    assert len(stage.requests("BYE")) == 2
    for bye in stage.requests("BYE"):
        stage.answer(bye, 200)
    assert stage.is_over()
    assert stage.records[0].termination.reason == "media-timeout"
    assert stage.records[0].termination.result is CallResult.LOST


def test_a_session_that_no_relay_takes_back_ends_the_call_after_half_a_minute(talking: Any) -> None:
    stage = talking
    stage.refuse = {MediaPurpose.REOPEN}
    stage.lose_relay("r2")
    stage.sessions.clear()
    for _ in range(290):
        stage.pass_time(0.1)
    assert stage.requests("BYE") == []
    for _ in range(20):
        stage.pass_time(0.1)
    for bye in stage.requests("BYE"):
        stage.answer(bye, 200)
    assert stage.records[0].termination.reason == "media-lost"
    assert stage.is_over()


def test_a_call_is_not_longer_than_allowed(talking: Any) -> None:
    stage = talking
    stage.pass_time(3600.0)
    for bye in stage.requests("BYE"):
        stage.answer(bye, 200)
    assert stage.is_over()
    assert stage.records[0].termination.reason == "max-duration"


def test_shutting_down_hangs_up_both_sides(talking: Any) -> None:
    stage = talking
    stage.feed(stage.call.terminate, SHUT_DOWN)
    assert len(stage.requests("BYE")) == 2
    for bye in stage.requests("BYE"):
        stage.answer(bye, 200)
    assert stage.is_over()


def test_phones_that_answer_nothing_are_waited_for_only_so_long(talking: Any) -> None:
    stage = talking
    stage.caller_sends("BYE")
    stage.pass_time(39.0)
    assert not stage.ended
    assert len(stage.records) == 1
    stage.pass_time(1.0)
    assert stage.is_over()


def test_a_caller_that_cannot_be_reached_while_it_rings_is_a_lost_call(play: Any) -> None:
    stage = play()
    stage.feed(stage.call.receive_server_failure, stage.invite_transaction, "transport")
    stage.answer(stage.requests("INVITE")[0], 487)
    assert stage.is_over()
    assert stage.records[0].termination.reason == "caller-unreachable"


def test_a_broken_call_is_ended_in_order_or_written_off(talking: Any) -> None:
    stage = talking
    stage.feed(stage.call.abort)
    for bye in stage.requests("BYE"):
        stage.answer(bye, 200)
    assert stage.is_over()
    assert stage.records[0].termination.reason == "internal-error"


def test_the_session_is_closed_even_if_the_relay_is_silent(talking: Any) -> None:
    stage = talking
    stage.silent = {MediaPurpose.CLOSE}
    stage.caller_sends("BYE")
    stage.answer(stage.requests("BYE")[0], 200)
    assert stage.records == []
    stage.feed(stage.call.receive_media, MediaPurpose.CLOSE, None)
    assert len(stage.records) == 1
    assert stage.ended == 1
