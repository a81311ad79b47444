"""Phones that send the caller elsewhere."""

from typing import Any

import pytest

from parley.callmanager.redirection import MAX_TARGETS, targets_of
from parley.model.call import CallResult, EndedBy
from parley.sip.message import Response

from .succession import Succession


def redirect(*contacts: str, status: int = 302) -> tuple[str, ...]:
    response = Response(status)
    for contact in contacts:
        response.add("contact", contact)
    return targets_of(response)


def test_the_caller_is_told_where_a_phone_sends_the_call(play: Any) -> None:
    stage = play()
    stage.answer(stage.requests("INVITE")[0], 302, contact="<sip:1003@demo.test>")
    assert stage.statuses == [302]
    assert stage.to_caller[0].get_all("contact") == ["<sip:1003@demo.test>"]
    termination = stage.records[0].termination
    assert (termination.result, termination.by) == (CallResult.UNAVAILABLE, EndedBy.CALLEE)
    assert (termination.reason, termination.sip_status) == ("redirected", 302)
    assert stage.is_over()


@pytest.mark.parametrize("status", [300, 301, 302])
def test_for_good_or_with_a_choice_is_for_this_call(play: Any, status: int) -> None:
    stage = play()
    stage.answer(stage.requests("INVITE")[0], status, contact="<sip:1003@demo.test>")
    assert stage.statuses == [302]


@pytest.mark.parametrize("status", [302, 305, 380])
def test_a_redirection_to_nowhere_or_through_a_proxy_is_none(play: Any, status: int) -> None:
    stage = play()
    contact = "*" if status == 302 else "<sip:1003@demo.test>"
    stage.answer(stage.requests("INVITE")[0], status, contact=contact)
    assert stage.statuses == [480]
    assert stage.to_caller[0].get("contact") is None


@pytest.mark.parametrize(("other", "told"), [(486, 302), (503, 302), (603, 603)])
def test_a_redirection_is_better_than_all_but_a_decision(play: Any, other: int, told: int) -> None:
    stage = play(2)
    first, second = stage.requests("INVITE")
    stage.answer(first, 302, contact="<sip:1003@demo.test>")
    assert stage.statuses == []
    stage.answer(second, other)
    assert stage.statuses == [told]


def test_a_redirection_is_told_when_nobody_answers_the_other_phones(play: Any) -> None:
    stage = play(2)
    first, second = stage.requests("INVITE")
    stage.answer(first, 302, contact="<sip:1003@demo.test>")
    stage.pass_time(30.0)
    assert stage.statuses == [302]
    assert [cancel.key for cancel in stage.cancels] == [second.key]


def test_an_answer_is_better_than_a_redirection(play: Any, make_sdp: Any) -> None:
    stage = play(2)
    first, second = stage.requests("INVITE")
    stage.answer(first, 302, contact="<sip:1003@demo.test>")
    stage.answer(second, 200, make_sdp("192.0.2.3", 5000))
    assert stage.statuses == [200]


def test_a_redirection_outlives_its_call_manager(make_targets: Any) -> None:
    stage = Succession(make_targets(2))
    first, second = stage.requests("INVITE")
    stage.answer(first, 302, contact="<sip:1003@demo.test>")
    stage.answer(second, 180)
    stage.pass_time(1.0)
    stage.take_over()
    stage.answer(stage.requests("INVITE")[-1], 486)
    assert stage.to_caller[-1].status == 302
    assert stage.to_caller[-1].get_all("contact") == ["<sip:1003@demo.test>"]


def test_only_uris_to_call_are_told() -> None:
    assert redirect(
        '"Bank" <sip:1003:secret@demo.test;method=BYE;user=phone?Replaces=x&Route=y>;q=0.5;x=1',
        "tel:+15550100;expires=5",
        "<mailto:ann@example.com>",
        "<sip:bad host>",
    ) == ("<sip:1003@demo.test;user=phone>;q=0.5", "<tel:+15550100>")


def test_no_more_targets_are_told_than_make_sense() -> None:
    many = [f"<sip:{number}@demo.test>" for number in range(20)]
    assert redirect(*many) == tuple(many[:MAX_TARGETS])
    assert redirect(", ".join(many)) == tuple(many[:MAX_TARGETS])
    assert redirect('"<sip:1003@demo.test>') == ()
