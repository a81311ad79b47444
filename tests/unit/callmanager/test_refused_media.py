"""Media that the relay cannot carry, or does not send where it is wanted."""

from typing import Any

import pytest

from parley.callmanager.actions import MediaPurpose
from parley.callmanager.routing import Echo
from parley.model.call import EndedBy
from parley.model.media import ReplyError

from .moves import re_invite, statuses
from .stage import ANSWER, OFFER


def test_an_offer_whose_address_the_relay_refuses_is_answered_488(play: Any) -> None:
    for refusal in (ReplyError.ADDRESS_REFUSED, ReplyError.INVALID):
        stage = play(refuse=[MediaPurpose.OPEN], refusal=refusal)
        assert stage.statuses == [488]
        assert stage.to_caller[-1].get("warning").startswith("301 ")
        assert stage.is_over()
        termination = stage.records[0].termination
        assert (termination.reason, termination.by) == ("media-refused", EndedBy.CALLER)


def test_an_answer_whose_address_the_relay_refuses_ends_both_sides_with_488(
    play: Any, make_sdp: Any
) -> None:
    stage = play(refuse=[MediaPurpose.ANSWER], refusal=ReplyError.ADDRESS_REFUSED)
    stage.answer(stage.requests("INVITE")[0], 200, make_sdp("169.254.169.254"))
    assert stage.statuses == [488]
    assert len(stage.acks) == 1
    stage.answer(stage.requests("BYE")[0], 200)
    assert stage.is_over()
    assert stage.records[0].termination.by is EndedBy.CALLEE


def test_an_offer_that_the_relay_cannot_reach_is_not_our_failure(play: Any) -> None:
    for decision in (None, Echo("999")):
        stage = play(decision=decision, refuse=[MediaPurpose.OPEN], refusal=ReplyError.INVALID)
        assert stage.statuses == [488]
        assert (stage.to_caller[0].get("warning") or "").startswith("301 ")
        assert stage.records[0].termination.by is EndedBy.CALLER
        assert stage.is_over()


def test_an_answer_that_the_relay_cannot_reach_is_the_callee_s_failure(play: Any) -> None:
    answer = ANSWER.replace(b"IN IP4 192.0.2.2", b"IN IP6 2001:db8::2")
    for body in (OFFER, b""):
        stage = play(body=body, refuse=[MediaPurpose.ANSWER], refusal=ReplyError.INVALID)
        stage.answer(stage.requests("INVITE")[0], 200, answer)
        assert stage.statuses == [488]
        assert stage.records[0].termination.by is EndedBy.CALLEE


def test_a_stream_that_cannot_be_carried_is_offered_and_answered_with_port_0(play: Any) -> None:
    video = b"m=video 4002 UDP/TLS/RTP/SAVPF 96\r\na=fingerprint:sha-256 AA\r\n"
    stage = play(body=OFFER + video)
    invite = stage.requests("INVITE")[0]
    assert b"m=audio 30000 " in invite.request.body
    assert b"m=video 0 UDP/TLS/RTP/SAVPF 96\r\n" in invite.request.body
    assert [spec.index for spec in stage.media_commands[0].legs[0].streams] == [0]
    stage.answer(invite, 200, ANSWER + video.replace(b"4002", b"0"))
    assert stage.statuses == [200]
    assert b"m=video 0 " in stage.to_caller[-1].body


def test_an_answer_that_revives_such_a_stream_is_a_bad_one(play: Any) -> None:
    video = b"m=video 4002 UDP/TLS/RTP/SAVPF 96\r\n"
    stage = play(body=OFFER + video)
    stage.answer(stage.requests("INVITE")[0], 200, ANSWER + video)
    assert stage.statuses == [488]


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (b"IN IP4 192.0.2.1", b"IN IP6 2001:db8::1", "301"),
        (b"IN IP4 192.0.2.1\r\nt=", b"IN IP4 phone.example.com\r\nt=", "301"),
        (b"audio 4000 RTP/AVP 0", b"image 4000 udptl t38", "302"),
    ],
)
def test_a_change_that_cannot_be_carried_is_refused_and_the_call_goes_on(
    talking: Any, echoing: Any, make_sdp: Any, old: bytes, new: bytes, warning: str
) -> None:
    for stage in (talking, echoing):
        before = len(stage.media_commands)
        transaction = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4000).replace(old, new))
        [response] = stage.responses_to(transaction)
        assert response.status == 488
        assert (response.get("warning") or "").startswith(warning)
        assert len(stage.media_commands) == before
        assert stage.events[-1] == "call.answered"


def test_an_answer_out_of_the_relay_s_reach_is_refused_and_the_call_goes_on(
    talking: Any, make_sdp: Any
) -> None:
    stage = talking
    transaction = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
    before = len(stage.media_commands)
    answer = make_sdp("192.0.2.2", 5010).replace(b"IN IP4 192.0.2.2", b"IN IP6 2001:db8::2")
    stage.answer(re_invite(stage), 200, answer)
    assert statuses(stage, transaction) == [488]
    assert len(stage.media_commands) == before
    assert stage.events[-1] == "call.answered"


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("refusal", [ReplyError.INVALID, ReplyError.ADDRESS_REFUSED])
def test_a_change_that_the_relay_refuses_leaves_the_call_as_it_was(
    talking: Any, make_sdp: Any, method: str, refusal: ReplyError
) -> None:
    stage = talking
    known = {leg: dict(specs) for leg, specs in stage.call.parts.media.specs.items()}
    stage.refuse, stage.refusal = {MediaPurpose.ANSWER_AGAIN}, refusal
    transaction = stage.caller_sends(method, make_sdp("192.0.2.1", 4010))
    acks = len(stage.acks)
    stage.answer(re_invite(stage), 200, make_sdp("192.0.2.2", 5010))
    assert statuses(stage, transaction) == [488]
    assert len(stage.acks) - acks == (method == "INVITE")
    assert stage.events[-1] == "call.answered"
    assert stage.call.parts.media.specs == known


def test_the_echo_goes_on_when_the_relay_refuses_a_change(echoing: Any, make_sdp: Any) -> None:
    stage = echoing
    known = {leg: dict(specs) for leg, specs in stage.call.parts.media.specs.items()}
    stage.refuse, stage.refusal = {MediaPurpose.ANSWER_AGAIN}, ReplyError.INVALID
    transaction = stage.caller_sends("INVITE", make_sdp("192.0.2.1", 4010))
    assert statuses(stage, transaction) == [488]
    assert stage.events[-1] == "call.answered"
    assert stage.call.parts.media.specs == known
