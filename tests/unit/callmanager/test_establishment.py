"""From the INVITE to the answer."""

from typing import Any

from parley.callmanager.actions import MediaPurpose
from parley.callmanager.routing import RingTargets, Target
from parley.model.call import CallResult, EndedBy
from parley.model.media import Address, CloseSession, OpenSession, UpdateSession


def test_the_phone_rings_only_after_the_state_is_written(play: Any, kinds: Any) -> None:
    stage = play()
    assert kinds(stage.log) == ["MediaCommand", "WriteSnapshot", "SendRequest", "PublishEvents"]
    assert stage.events == ["call.started"]


def test_the_invite_is_a_new_request_with_the_caller_s_name_and_number(play: Any) -> None:
    stage = play(subject="hello", supported="100rel")
    invite = stage.requests("INVITE")[0]
    request = invite.request
    assert request.uri_text == "sip:1002@192.0.2.2:5070"
    assert request.get("route") == "<sip:path@edge;transport=local;lr>"
    assert invite.hop[:2] == ("local", "edge")
    assert request.from_.uri_text == "sip:1001@demo.test"
    assert request.from_.display_name == "Ann"
    assert request.call_id != "a-call-id"
    assert request.get("max-forwards") == "68"
    assert request.get("subject") == "hello"
    assert request.get("contact") == "<sip:call1@demo.test>"
    assert request.get("x-parley-call") == "call1"
    assert not request.has("supported")


def test_a_caller_who_asks_for_privacy_is_anonymous(play: Any) -> None:
    request = play(privacy="id").requests("INVITE")[0].request
    assert request.from_.uri_text == "sip:anonymous@anonymous.invalid"
    assert request.get("privacy") == "id"


def test_media_goes_through_the_relay_both_ways(play: Any) -> None:
    stage = play()
    invite = stage.requests("INVITE")[0]
    assert b"c=IN IP4 203.0.113.9" in invite.request.body
    assert b"m=audio 30000 " in invite.request.body
    stage.answer(invite, 180)
    stage.answer(
        invite,
        200,
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\n"
        b"t=0 0\r\nm=audio 5000 RTP/AVP 0\r\n",
    )
    answer = stage.to_caller[-1]
    assert answer.status == 200
    assert b"m=audio 20000 " in answer.body
    assert b"192.0.2.2" not in answer.body
    opened, updated = stage.media_commands
    assert isinstance(opened, OpenSession)
    assert isinstance(updated, UpdateSession)
    assert opened.legs[0].streams[0].learn_from == ["192.0.2.1", "198.51.100.7"]
    assert not opened.legs[0].streams[0].active
    assert [leg.leg for leg in updated.legs] == ["a", "b"]
    assert updated.legs[1].streams[0].remote == Address("192.0.2.2", 5000)
    assert updated.legs[1].streams[0].learn_from == ["192.0.2.2", "198.51.100.1"]
    assert updated.legs[1].streams[0].active


def test_a_normal_call_needs_three_media_commands_and_three_waits(talking: Any) -> None:
    stage = talking
    stage.caller_sends("BYE")
    stage.answer(stage.requests("BYE")[0], 200)
    assert [type(c) for c in stage.media_commands] == [OpenSession, UpdateSession, CloseSession]
    assert stage.is_over()


def test_ringing_is_passed_on_once_per_news(play: Any) -> None:
    stage = play()
    invite = stage.requests("INVITE")[0]
    for status in (100, 180, 180, 183, 183):
        stage.answer(invite, status)
    assert stage.statuses == [180, 183]
    assert stage.to_caller[0].to.tag
    assert stage.to_caller[0].get("record-route") == "<sip:tok@edge;transport=local;lr>"


def test_ringing_joins_the_next_write_or_makes_one_soon(play: Any) -> None:
    stage = play()
    stage.answer(stage.requests("INVITE")[0], 180)
    assert stage.events == ["call.started"]
    stage.pass_time(0.2)
    assert stage.events == ["call.started", "call.ringing"]
    assert len(stage.writes) == 2


def test_early_media_of_the_first_phone_is_heard(play: Any, make_sdp: Any) -> None:
    stage = play(2)
    first, second = stage.requests("INVITE")
    stage.answer(first, 183, make_sdp("192.0.2.2", 5000))
    stage.answer(second, 183, make_sdp("192.0.2.3", 5000))
    stage.answer(first, 183, make_sdp("192.0.2.2", 5000))
    assert [bool(response.body) for response in stage.to_caller] == [True]
    assert b"m=audio 20000" in stage.to_caller[0].body
    assert len(stage.media_commands) == 2


def test_early_media_is_not_torn_away_by_another_phone_that_rings(play: Any, make_sdp: Any) -> None:
    stage = play(2)
    first, second = stage.requests("INVITE")
    stage.answer(first, 183, make_sdp("192.0.2.2", 5000))
    stage.answer(second, 180)
    assert stage.statuses == [183]
    # Once it is over, the caller hears again that somebody rings.
    stage.answer(first, 486)
    assert stage.statuses == [183, 180]


def test_early_media_of_the_next_phone_follows_that_of_one_which_failed(
    play: Any, make_sdp: Any
) -> None:
    stage = play(2)
    first, second = stage.requests("INVITE")
    stage.answer(first, 183, make_sdp("192.0.2.2", 5000))
    stage.answer(second, 183, make_sdp("192.0.2.3", 5000))
    stage.answer(first, 486)
    assert stage.call.establishment.early_leg == "b2"
    [heard] = stage.media_commands[-1].legs
    assert heard.streams[0].remote.ip == "192.0.2.3"


def test_a_phone_that_sends_early_media_may_ring_as_well(play: Any, make_sdp: Any) -> None:
    stage = play()
    [invite] = stage.requests("INVITE")
    stage.answer(invite, 183, make_sdp("192.0.2.2", 5000))
    stage.answer(invite, 180)
    assert stage.statuses == [183, 180]


def test_an_answer_without_description_is_the_early_one(play: Any, make_sdp: Any) -> None:
    stage = play()
    invite = stage.requests("INVITE")[0]
    stage.answer(invite, 183, make_sdp("192.0.2.2", 5000))
    stage.answer(invite, 200)
    assert stage.statuses == [183, 200]
    assert stage.to_caller[1].body == stage.to_caller[0].body


def test_the_answer_is_written_before_ack_and_200(play: Any, kinds: Any, make_sdp: Any) -> None:
    stage = play()
    invite = stage.requests("INVITE")[0]
    before = len(stage.log)
    stage.answer(invite, 200, make_sdp("192.0.2.2"))
    assert kinds(stage.log[before:]) == [
        "MediaCommand",
        "WriteSnapshot",
        "SendAck",
        "SendResponse",
        "PublishEvents",
    ]
    assert stage.acks[0].request.cseq.number == 1
    assert stage.acks[0].request.uri_text == "sip:1002@192.0.2.2:5070"


def test_all_phones_ring_and_the_first_answer_wins(play: Any, make_sdp: Any) -> None:
    stage = play(3)
    first, second, third = stage.requests("INVITE")
    assert len({i.request.call_id for i in (first, second, third)}) == 3
    stage.answer(second, 200, make_sdp("192.0.2.3"))
    assert [c.key for c in stage.cancels] == [first.key, third.key]
    assert stage.cancels[0].headers == (
        ("reason", 'SIP;cause=200;text="Call completed elsewhere"'),
    )
    assert stage.statuses == [200]


def test_a_late_answer_of_a_loser_is_acknowledged_and_hung_up(play: Any, make_sdp: Any) -> None:
    stage = play(2)
    first, second = stage.requests("INVITE")
    stage.answer(first, 200, make_sdp("192.0.2.2"))
    stage.answer(second, 200, make_sdp("192.0.2.3"))
    assert [a.request.call_id for a in stage.acks] == [
        first.request.call_id,
        second.request.call_id,
    ]
    bye = stage.requests("BYE")[0]
    assert bye.request.call_id == second.request.call_id
    stage.answer(bye, 200)
    assert stage.statuses == [200]
    assert stage.records == []


def test_a_repeated_200_is_acknowledged_again(talking: Any) -> None:
    stage = talking
    stage.answer(stage.requests("INVITE")[0], 200, b"")
    assert len(stage.acks) == 2
    assert stage.statuses == [180, 200]


def test_a_second_dialog_behind_a_fork_is_ended(talking: Any) -> None:
    stage = talking
    stage.answer(stage.requests("INVITE")[0], 200, b"", tag="other")
    bye = stage.requests("BYE")[0]
    assert bye.request.to.tag.startswith("other")
    stage.answer(bye, 200)
    assert not stage.ended


def test_an_offer_in_the_200_has_its_answer_in_the_ack(play: Any, make_sdp: Any) -> None:
    stage = play(body=b"")
    invite = stage.requests("INVITE")[0]
    assert not invite.request.body
    assert stage.media_commands == []
    stage.answer(invite, 180)
    stage.answer(invite, 200, make_sdp("192.0.2.2", 5000))
    assert stage.acks == []
    assert b"m=audio 20000" in stage.to_caller[-1].body
    stage.ack(make_sdp("192.0.2.1", 4000))
    ack = stage.acks[0].request
    assert b"m=audio 30000" in ack.body
    assert ack.get("content-type") == "application/sdp"
    opened, updated = stage.media_commands
    assert [spec.leg for spec in opened.legs] == ["a", "b"]
    assert updated.legs[0].streams[0].remote.port == 4000
    # A repetition of the 200 gets the same ACK, description included.
    stage.answer(invite, 200, make_sdp("192.0.2.2", 5000))
    assert stage.acks[1].request.body == ack.body


def test_an_ack_without_the_answer_ends_the_call(play: Any, make_sdp: Any) -> None:
    stage = play(body=b"")
    stage.answer(stage.requests("INVITE")[0], 200, make_sdp("192.0.2.2", 5000))
    stage.ack()
    assert len(stage.acks) == 1
    for bye in stage.requests("BYE"):
        stage.answer(bye, 200)
    assert stage.is_over()
    assert stage.records[0].termination.reason == "bad-answer"


def test_unusable_bodies_are_refused(play: Any) -> None:
    cases = [
        (b"nonsense", "application/sdp", 400),
        (b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n", "application/sdp", 488),
        (b"v=0", "text/plain", 415),
    ]
    for body, content_type, status in cases:
        stage = play(body=body, content_type=content_type)
        assert stage.statuses == [status]
        assert stage.is_over()
        assert len(stage.records) == 1
        assert stage.records[0].termination.by is EndedBy.CALLER


def test_a_relay_that_is_away_means_503(play: Any) -> None:
    stage = play(2, refuse=[MediaPurpose.OPEN])
    assert stage.statuses == [503]
    assert stage.requests("INVITE") == []
    assert stage.is_over()
    assert stage.records[0].termination.reason == "media-unavailable"


def test_a_relay_that_fails_at_the_answer_ends_both_sides(play: Any, make_sdp: Any) -> None:
    stage = play()
    stage.refuse = {MediaPurpose.ANSWER}
    stage.answer(stage.requests("INVITE")[0], 200, make_sdp("192.0.2.2"))
    assert stage.statuses == [503]
    assert len(stage.acks) == 1
    stage.answer(stage.requests("BYE")[0], 200)
    assert stage.is_over()


def test_a_bad_answer_is_acknowledged_and_hung_up(play: Any, make_sdp: Any) -> None:
    for body in (b"", b"nonsense", make_sdp("192.0.2.2", media=2)):
        stage = play()
        stage.answer(stage.requests("INVITE")[0], 200, body)
        assert stage.statuses == [488]
        assert len(stage.acks) == 1
        stage.answer(stage.requests("BYE")[0], 200)
        assert stage.is_over()


def test_failures_become_one_answer_to_the_caller(play: Any) -> None:
    cases = [
        ((486,), 486, CallResult.BUSY),
        ((603,), 603, CallResult.REJECTED),
        ((480,), 480, CallResult.UNAVAILABLE),
        ((404, 486), 486, CallResult.BUSY),
        ((480, 486), 486, CallResult.BUSY),
        ((500, 480), 480, CallResult.UNAVAILABLE),
        ((500, 503), 480, CallResult.FAILED),
        ((503,), 480, CallResult.FAILED),
        ((400,), 480, CallResult.FAILED),
        ((407,), 480, CallResult.FAILED),
        ((420,), 480, CallResult.FAILED),
        ((415,), 488, CallResult.FAILED),
        ((580,), 488, CallResult.FAILED),
        ((302,), 480, CallResult.UNAVAILABLE),
        ((302, 486), 486, CallResult.BUSY),
        ((699,), 603, CallResult.FAILED),
        ((486, 603), 603, CallResult.REJECTED),
    ]
    for statuses, told, result in cases:
        stage = play(len(statuses))
        for invite, status in zip(stage.requests("INVITE"), statuses, strict=True):
            stage.answer(invite, status)
        assert stage.statuses == [told], statuses
        assert stage.records[0].termination.result is result, statuses
        assert stage.records[0].termination.by is EndedBy.CALLEE
        assert stage.is_over()


def test_a_6xx_gives_up_the_other_phones(play: Any) -> None:
    stage = play(2)
    first, second = stage.requests("INVITE")
    stage.answer(first, 603)
    assert [c.key for c in stage.cancels] == [second.key]
    assert stage.statuses == [603]
    assert not stage.ended
    stage.answer(second, 487)
    assert stage.is_over()


def test_a_lost_flow_is_replaced_by_another_to_the_same_phone(play: Any, make_targets: Any) -> None:
    stage = play(decision=make_targets(1, alternates=1))
    first = stage.requests("INVITE")[0]
    stage.answer(first, 430)
    second = stage.requests("INVITE")[1]
    assert second.request.get("route") == "<sip:o@edge;transport=local;lr>"
    stage.fail(second, "transport")
    assert stage.statuses == [480]


def test_a_phone_that_says_nothing_is_not_an_answer(play: Any) -> None:
    stage = play()
    stage.fail(stage.requests("INVITE")[0])
    assert stage.statuses == [480]
    assert stage.records[0].termination.result is CallResult.NO_ANSWER
    assert stage.is_over()


def test_nobody_answers_in_time(play: Any) -> None:
    stage = play(2)
    first, second = stage.requests("INVITE")
    stage.answer(first, 180)
    stage.pass_time(30.0)
    assert stage.statuses == [180, 480]
    assert len(stage.cancels) == 2
    assert "cause=19" in stage.cancels[0].headers[0][1]
    stage.answer(first, 487)
    stage.answer(second, 487)
    assert stage.is_over()
    assert stage.records[0].termination.result is CallResult.NO_ANSWER
    assert stage.records[0].termination.by is EndedBy.PLATFORM


def test_an_unusable_registration_is_nobody_s_exception(play: Any) -> None:
    broken = RingTargets("1002", "", (Target("sip:x@y", ("nonsense<",), ""),), 30.0)
    stage = play(decision=broken)
    assert stage.statuses == [480]
    assert stage.is_over()
