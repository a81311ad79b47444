"""Other requests within a dialog, and the echo."""

from typing import Any

from parley.callmanager.in_dialog import _REQUESTS
from parley.callmanager.routing import Echo
from parley.callmanager.sip_profile import ALLOW
from parley.model.media import OpenSession, SessionMode


def test_info_and_message_go_through_as_they_are(talking: Any) -> None:
    stage = talking
    for number, method in enumerate(("INFO", "MESSAGE"), start=2):
        body = b"Signal=5\r\nDuration=160\r\n"
        transaction = stage.caller_sends(method, body, number, "application/dtmf-relay")
        [sent] = stage.requests(method)
        assert sent.request.body == body
        assert sent.request.get("content-type") == "application/dtmf-relay"
        stage.answer(sent, 200)
        assert [r.status for r in stage.responses_to(transaction)] == [200]


def test_the_other_party_s_refusal_comes_back(talking: Any) -> None:
    stage = talking
    transaction = stage.callee_sends("INFO")
    stage.answer(stage.requests("INFO")[0], 469)
    assert [r.status for r in stage.responses_to(transaction)] == [469]
    silent = stage.callee_sends("INFO", cseq=2)
    stage.fail(stage.requests("INFO")[1])
    assert [r.status for r in stage.responses_to(silent)] == [408]


def test_a_request_under_way_is_answered_when_the_call_ends(talking: Any) -> None:
    stage = talking
    transaction = stage.callee_sends("INFO")
    stage.caller_sends("BYE")
    assert [r.status for r in stage.responses_to(transaction)] == [487]


def test_options_in_a_dialog_is_answered_here(talking: Any) -> None:
    transaction = talking.caller_sends("OPTIONS")
    [response] = talking.responses_to(transaction)
    assert response.status == 200
    assert "INVITE" in response.get("allow")


def test_allow_names_what_is_taken_within_a_dialog() -> None:
    assert set(ALLOW.split(", ")) == {*_REQUESTS, "ACK", "CANCEL"}


def test_methods_that_nobody_knows_are_refused(talking: Any) -> None:
    transaction = talking.caller_sends("REFER")
    [response] = talking.responses_to(transaction)
    assert response.status == 405
    assert response.has("allow")


def test_requests_for_a_closed_leg_find_nothing(talking: Any) -> None:
    stage = talking
    stage.caller_sends("BYE")
    transaction = stage.caller_sends("INFO", cseq=3)
    assert [r.status for r in stage.responses_to(transaction)] == [481]


def test_a_request_with_another_from_tag_is_not_of_the_dialog(talking: Any) -> None:
    stage = talking
    other = "<sip:1001@demo.test>;tag=other"
    transactions = [stage.callee_sends("BYE", **{"from": other})]
    for number, method in enumerate(("BYE", "INVITE", "INFO"), start=2):
        request = stage.from_caller(method, cseq=number)
        request.set("from", other)
        transactions.append(stage.ask("a", request))
    for transaction in transactions:
        assert [r.status for r in stage.responses_to(transaction)] == [481]
    assert stage.requests("BYE") == []
    assert not stage.is_over()


def test_an_ack_with_another_from_tag_acknowledges_nothing(talking: Any) -> None:
    stage = talking
    caller = stage.call.parts.caller
    caller.unacked, caller.unacked_request = stage.invite_transaction, stage.invite
    ack = stage.from_caller("ACK", cseq=1)
    ack.set("from", "<sip:1001@demo.test>;tag=other")
    stage.feed(stage.call.receive_ack, "a", ack)
    assert caller.unacked is stage.invite_transaction
    stage.ack()
    assert caller.unacked is None


def test_the_echo_answers_with_the_relay_s_port(echoing: Any) -> None:
    stage = echoing
    assert stage.statuses == [200]
    assert b"m=audio 20000 RTP/AVP 0" in stage.to_caller[0].body
    [opened] = stage.media_commands
    assert isinstance(opened, OpenSession)
    assert opened.mode is SessionMode.ECHO
    assert opened.legs[0].streams[0].active
    stage.caller_sends("BYE")
    assert stage.is_over()
    assert stage.requests("BYE") == []


def test_the_echo_can_be_held_and_taken_up_again(echoing: Any, make_sdp: Any) -> None:
    stage = echoing
    hold = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010, "sendonly"))
    [response] = stage.responses_to(hold)
    assert b"a=recvonly" in response.body
    # The ACK was lost; who offers anew has seen our 200.
    early = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010), cseq=3)
    assert [r.status for r in stage.responses_to(early)] == [200]
    stage.ack(cseq=3)
    again = stage.caller_sends("UPDATE", make_sdp("192.0.2.1", 4010), cseq=4)
    assert [r.status for r in stage.responses_to(again)] == [200]
    info = stage.caller_sends("INFO", b"Signal=1", 5, "application/dtmf-relay")
    assert [r.status for r in stage.responses_to(info)] == [200]


def test_the_echo_offers_when_the_caller_does_not(play: Any, make_sdp: Any) -> None:
    stage = play(decision=Echo("999"), body=b"")
    assert b"m=audio 20000 RTP/AVP 0 8 101" in stage.to_caller[0].body
    stage.ack(make_sdp("192.0.2.1", 4000))
    assert stage.media_commands[-1].legs[0].streams[0].remote.port == 4000
    again = stage.caller_sends("INVITE")
    assert [r.status for r in stage.responses_to(again)] == [200]
    early = stage.caller_sends("UPDATE", make_sdp("192.0.2.1", 4010), cseq=3)
    assert [r.status for r in stage.responses_to(early)] == [500]
    stage.ack(make_sdp("192.0.2.1", 4002), cseq=2)
    assert stage.media_commands[-1].legs[0].streams[0].remote.port == 4002
    stage.caller_sends("BYE", cseq=4)
    assert stage.is_over()


def test_the_echo_refuses_what_it_cannot_return(play: Any) -> None:
    offer = (
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        b"m=audio 4000 RTP/SAVP 0\r\n"
    )
    offer += b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc\r\n"
    stage = play(decision=Echo("999"), body=offer)
    assert stage.statuses == [488]
    assert stage.to_caller[0].get("warning") == '304 parley "Media type not available"'
    assert stage.is_over()


def test_a_long_call_remembers_no_finished_requests(talking: Any, make_sdp: Any) -> None:
    stage = talking
    for number in range(2, 40, 2):
        stage.caller_sends("INFO", b"x", number, "text/plain")
        stage.answer(stage.requests("INFO")[-1], 200)
        stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4000 + number), number + 1)
        stage.answer(stage.requests("INVITE")[-1], 200, make_sdp("192.0.2.2", 5000 + number))
        stage.ack(cseq=number + 1)
    assert len(stage.call.out.requests) == 2


def test_a_late_response_to_a_finished_request_changes_nothing(talking: Any) -> None:
    stage = talking
    stage.callee_sends("INFO")
    info = stage.requests("INFO")[0]
    stage.answer(info, 200)
    before = len(stage.log)
    stage.answer(info, 200)
    stage.fail(info)
    assert len(stage.log) == before
