"""Changes of an answered session, both ways."""

from typing import Any

import pytest

from parley.callmanager.actions import MediaPurpose
from parley.callmanager.sip_profile import ACCEPT
from parley.model.media import Address, UpdateSession

from .moves import re_invite, statuses


def version(body: bytes) -> int:
    return int(body.split(b"o=")[1].split()[2])


def test_hold_goes_through_with_its_direction_and_a_new_version(
    talking: Any, make_sdp: Any, kinds: Any
) -> None:
    stage = talking
    before = len(stage.log)
    transaction = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010, "sendonly"))
    assert kinds(stage.log[before:]) == ["WriteSnapshot", "SendRequest"]
    sent = re_invite(stage)
    first = stage.requests("INVITE")[0].request.body
    assert b"a=sendonly" in sent.request.body
    assert b"m=audio 30000" in sent.request.body
    assert version(sent.request.body) == version(first) + 1
    assert sent.request.cseq.number == 2
    before = len(stage.log)
    stage.answer(sent, 200, make_sdp("192.0.2.2", 5010, "recvonly"))
    assert kinds(stage.log[before:]) == [
        "MediaCommand",
        "WriteSnapshot",
        "SendAck",
        "SendResponse",
        "PublishEvents",
    ]
    update = stage.media_commands[-1]
    assert isinstance(update, UpdateSession)
    caller, callee = update.legs
    assert caller.streams[0].remote == Address("192.0.2.1", 4010)
    assert not caller.streams[0].active
    assert callee.streams[0].remote == Address("192.0.2.2", 5010)
    assert not callee.streams[0].active
    [response] = stage.responses_to(transaction)
    assert response.status == 200
    assert b"a=recvonly" in response.body
    assert version(response.body) == 1
    stage.ack(cseq=2)
    assert stage.events[-1] == "call.updated"
    assert stage.acks[-1].request.cseq.number == 2


def test_a_call_is_held_by_its_own_parties_only(play: Any, make_sdp: Any) -> None:
    stage = play(2)
    one, two = stage.requests("INVITE")
    stage.answer(two, 183, make_sdp("0.0.0.0", 5000, "inactive"))
    stage.answer(one, 200, make_sdp("192.0.2.2", 5000))
    stage.ack()
    stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
    stage.answer(re_invite(stage), 200, make_sdp("192.0.2.2", 5000))
    assert not stage.call.parts.journal.is_held


MOVED = "<sip:tok2@edge-2:7000;transport=tcp;lr>"


def moves(stage: Any, make_sdp: Any, method: str) -> object:
    request = stage.from_caller(method, make_sdp("192.0.2.77", 4010))
    request.set("contact", "<sip:1001@192.0.2.77:6060>")
    request.add("x-parley-route", MOVED)
    request.set("x-parley-source", "198.51.100.77")
    return stage.ask("a", request)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_phone_that_moves_is_followed(talking: Any, make_sdp: Any, method: str) -> None:
    stage = talking
    moves(stage, make_sdp, method)
    stage.answer(re_invite(stage), 200, make_sdp("192.0.2.2", 5000))
    caller, _ = stage.media_commands[-1].legs
    assert caller.streams[0].learn_from == ["192.0.2.77", "198.51.100.77"]
    if method == "INVITE":
        stage.ack(cseq=2)
    stage.callee_sends("BYE")
    [bye] = stage.requests("BYE")
    assert bye.request.uri_text == "sip:1001@192.0.2.77:6060"
    assert bye.request.values("route") == [MOVED]
    assert (bye.hop.transport, bye.hop.host, bye.hop.port) == ("tcp", "edge-2", 7000)


def test_a_phone_that_moves_is_followed_even_when_its_change_is_refused(
    talking: Any, make_sdp: Any, kinds: Any
) -> None:
    stage = talking
    stage.callee_sends("INVITE", make_sdp("192.0.2.2", 5010))
    before = len(stage.log)
    transaction = moves(stage, make_sdp, "INVITE")
    assert statuses(stage, transaction) == [491]
    assert kinds(stage.log[before:]) == ["WriteSnapshot", "SendResponse"]
    assert b"tok2@edge-2" in stage.writes[-1]


@pytest.mark.parametrize("is_said", [True, False])
def test_who_moves_while_the_other_asks_for_a_change_is_not_lost(
    talking: Any, make_sdp: Any, is_said: bool
) -> None:
    stage = talking
    asked = stage.callee_sends("INVITE", make_sdp("192.0.2.2", 5010))
    sent = re_invite(stage)
    if is_said:
        assert statuses(stage, moves(stage, make_sdp, "INVITE")) == [491]
    stage.fail(sent)
    assert statuses(stage, asked) == [491 if is_said else 408]
    assert len(stage.requests("BYE")) == (0 if is_said else 2)


def test_a_route_that_is_none_is_refused(talking: Any, make_sdp: Any) -> None:
    stage = talking
    request = stage.from_caller("INVITE", make_sdp("192.0.2.77", 4010))
    request.add("x-parley-route", "<tel:1>")
    assert statuses(stage, stage.ask("a", request)) == [400]
    assert stage.call.parts.caller.dialog.route_set == ["<sip:tok@edge;transport=local;lr>"]


def test_the_callee_changes_the_session_too(talking: Any, make_sdp: Any) -> None:
    stage = talking
    transaction = stage.callee_sends("INVITE", make_sdp("192.0.2.2", 5010, "inactive"))
    sent = re_invite(stage)
    assert b"m=audio 20000" in sent.request.body
    assert sent.request.get("route") == "<sip:tok@edge;transport=local;lr>"
    stage.answer(sent, 200, make_sdp("192.0.2.1", 4000, "inactive"))
    assert statuses(stage, transaction) == [200]


def test_update_goes_through_without_ack(talking: Any, make_sdp: Any) -> None:
    stage = talking
    transaction = stage.caller_sends("UPDATE", make_sdp("192.0.2.1", 4010, "sendonly"))
    sent = re_invite(stage)
    assert sent.request.method == "UPDATE"
    acks = len(stage.acks)
    stage.answer(sent, 200, make_sdp("192.0.2.2", 5010, "recvonly"))
    assert statuses(stage, transaction) == [200]
    assert len(stage.acks) == acks


def test_update_without_offer_is_answered_here(talking: Any) -> None:
    transaction = talking.caller_sends("UPDATE")
    assert statuses(talking, transaction) == [200]
    assert talking.requests("UPDATE") == []


def test_crossing_changes_get_491(talking: Any, make_sdp: Any) -> None:
    stage = talking
    first = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
    sent = re_invite(stage)
    crossing = stage.callee_sends("INVITE", make_sdp("192.0.2.2", 5010))
    assert statuses(stage, crossing) == [491]
    stage.answer(sent, 491)
    assert statuses(stage, first) == [491]
    again = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010), cseq=3)
    stage.answer(re_invite(stage), 200, make_sdp("192.0.2.2", 5010))
    assert statuses(stage, again) == [200]


def test_a_second_change_of_the_same_party_gets_500_and_retry_after(
    talking: Any, make_sdp: Any
) -> None:
    stage = talking
    stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
    second = stage.caller_sends("UPDATE", make_sdp("192.0.2.1", 4020), cseq=3)
    [response] = stage.responses_to(second)
    assert response.status == 500
    assert response.get("retry-after") == "3"


def test_a_change_while_the_other_side_owes_an_ack_waits(play: Any, make_sdp: Any) -> None:
    stage = play()
    stage.answer(stage.requests("INVITE")[0], 200, make_sdp("192.0.2.2"))
    crossing = stage.callee_sends("INVITE", make_sdp("192.0.2.2", 5010))
    assert statuses(stage, crossing) == [491]


def test_a_new_offer_of_a_party_stands_for_its_ack_that_got_lost(play: Any, make_sdp: Any) -> None:
    stage = play()
    stage.answer(stage.requests("INVITE")[0], 200, make_sdp("192.0.2.2"))
    hold = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
    stage.answer(re_invite(stage), 200, make_sdp("192.0.2.2", 5010))
    assert statuses(stage, hold) == [200]
    again = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4020), cseq=3)
    stage.answer(re_invite(stage), 200, make_sdp("192.0.2.2", 5010))
    assert statuses(stage, again) == [200]


def test_an_earlier_ack_that_comes_again_is_not_taken_for_a_later_one(
    talking: Any, make_sdp: Any
) -> None:
    stage = talking
    transaction = stage.caller_sends("INVITE")
    stage.answer(re_invite(stage), 200, make_sdp("192.0.2.2", 5010))
    stage.ack(cseq=1)
    assert stage.requests("BYE") == []
    stage.ack(make_sdp("192.0.2.1", 4010), cseq=2)
    assert statuses(stage, transaction) == [200]
    assert stage.acks[-1].request.cseq.number == re_invite(stage).request.cseq.number
    assert b"m=audio 30000" in stage.acks[-1].request.body


def test_an_ack_that_brings_the_answer_is_not_spared(play: Any, make_sdp: Any) -> None:
    stage = play(body=b"")
    stage.answer(stage.requests("INVITE")[0], 200, make_sdp("192.0.2.2"))
    early = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
    assert statuses(stage, early) == [500]


def test_a_change_whose_offer_comes_in_the_200(talking: Any, make_sdp: Any) -> None:
    stage = talking
    transaction = stage.caller_sends("INVITE")
    sent = re_invite(stage)
    assert not sent.request.body
    acks = len(stage.acks)
    stage.answer(sent, 200, make_sdp("192.0.2.2", 5020))
    [response] = stage.responses_to(transaction)
    assert b"m=audio 20000" in response.body
    assert len(stage.acks) == acks
    stage.ack(make_sdp("192.0.2.1", 4020), cseq=2)
    assert b"m=audio 30000" in stage.acks[-1].request.body
    caller, callee = stage.media_commands[-1].legs
    assert caller.streams[0].remote.port == 4020
    assert callee.streams[0].remote.port == 5020
    # The exchange is over: another one may follow.
    again = stage.callee_sends("INVITE", make_sdp("192.0.2.2", 5030))
    assert statuses(stage, again) == []


def test_a_new_stream_gets_ports_before_it_is_offered(talking: Any, make_sdp: Any) -> None:
    stage = talking
    stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4000, media=2))
    sent = re_invite(stage)
    assert b"m=video 30002" in sent.request.body
    stage.answer(sent, 200, make_sdp("192.0.2.2", 5000, media=2))
    assert len(stage.media_commands) == 4


def test_a_new_stream_without_ports_is_refused(talking: Any, make_sdp: Any) -> None:
    stage = talking
    stage.refuse = {MediaPurpose.OFFER_AGAIN}
    transaction = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4000, media=2))
    assert statuses(stage, transaction) == [488]
    assert stage.records == []


def test_changes_before_the_answer_are_put_off(play: Any, make_sdp: Any) -> None:
    stage = play()
    stage.answer(stage.requests("INVITE")[0], 180)
    transaction = stage.caller_sends("UPDATE", make_sdp("192.0.2.1", 4010))
    assert statuses(stage, transaction) == [500]


def test_an_old_cseq_is_refused(talking: Any, make_sdp: Any) -> None:
    stage = talking
    stage.caller_sends("INFO", b"x", cseq=7, content_type="text/plain")
    transaction = stage.caller_sends("INVITE", make_sdp("192.0.2.1"), cseq=5)
    assert statuses(stage, transaction) == [500]


def test_bodies_without_sense_are_refused(talking: Any) -> None:
    transaction = talking.caller_sends("INVITE", b"nonsense")
    assert statuses(talking, transaction) == [400]
    transaction = talking.caller_sends("INVITE", b"x", cseq=3, content_type="text/plain")
    assert statuses(talking, transaction) == [415]


def test_a_change_in_an_unknown_form_is_told_what_is_known(talking: Any, echoing: Any) -> None:
    for stage in (talking, echoing):
        transaction = stage.caller_sends("INVITE", b"x", content_type="text/plain")
        [response] = stage.responses_to(transaction)
        assert (response.status, response.get("accept")) == (415, ACCEPT)


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (488, {}, 488),
        (491, {}, 491),
        (500, {"retry_after": "3"}, 500),
        (500, {}, 480),
        (503, {"retry_after": "3"}, 480),
        (407, {"proxy_authenticate": 'Digest realm="x", nonce="y"'}, 480),
        (302, {"contact": "<sip:1003@demo.test>"}, 480),
    ],
)
def test_what_a_phone_owes_us_is_not_told_to_the_other(
    talking: Any, make_sdp: Any, status: int, headers: dict[str, str], told: int
) -> None:
    stage = talking
    change = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
    stage.answer(re_invite(stage), status, **headers)
    note = stage.caller_sends("INFO", b"x", 3, "text/plain")
    stage.answer(stage.requests("INFO")[-1], status, **headers)
    assert statuses(stage, change) == statuses(stage, note) == [told]


def test_a_way_that_is_broken_is_not_told_as_our_failure(talking: Any) -> None:
    stage = talking
    note = stage.caller_sends("INFO", b"x", 2, "text/plain")
    stage.fail(stage.requests("INFO")[-1], "transport")
    assert statuses(stage, note) == [480]
