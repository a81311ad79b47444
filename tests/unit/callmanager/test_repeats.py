"""What comes again by another way, and responses that no transaction waits for."""

from typing import Any

from parley.callmanager.actions import SendResponse
from parley.callmanager.branches import request_branch
from parley.sip.message import Request, response_to

from .stage import ANSWER, targets
from .succession import Succession, talk

# --- the caller's INVITE by another way --------------------------------------------------------


def repeat_invite(stage: Any, branch: str) -> object:
    request = stage.invite.copy()
    request.set("via", f"SIP/2.0/LOCAL other;branch={branch}")
    transaction = object()
    stage.feed(stage.call.receive_repeated_invite, transaction, request)
    return transaction


def test_a_repeated_invite_gets_the_last_response_and_all_that_follow(play: Any) -> None:
    stage = play()
    [invite] = stage.requests("INVITE")
    stage.answer(invite, 180)
    second = repeat_invite(stage, "z9hG4bKsecond")
    assert [r.status for r in stage.responses_to(second)] == [180]
    assert stage.responses_to(second)[0].via.branch == "z9hG4bKsecond"
    stage.answer(invite, 200, ANSWER)
    assert [r.status for r in stage.responses_to(second)] == [180, 200]
    # The first transaction ends too, with the same response.
    assert stage.statuses == [180, 200]
    assert stage.to_caller[-1].via.branch == "z9hG4bKa1"
    third = repeat_invite(stage, "z9hG4bKthird")
    [repeated] = [a for a in stage.log if isinstance(a, SendResponse) and a.transaction is third]
    assert repeated.until_ack
    assert repeated.response.body == stage.to_caller[-1].body
    stage.ack()
    assert stage.call.parts.caller.unacked is None


def test_a_cancel_is_heard_whatever_way_it_comes(play: Any) -> None:
    for is_first in (True, False):
        stage = play()
        second = repeat_invite(stage, "z9hG4bKsecond")
        transaction = stage.invite_transaction if is_first else second
        stage.feed(stage.call.receive_cancel, transaction, Request("CANCEL", "sip:x@y"))
        assert [r.status for r in stage.responses_to(second)] == [487]
        assert stage.statuses == [487]


def test_a_cancel_of_a_repeated_re_invite_is_heard_whatever_way_it_comes(talking: Any) -> None:
    stage = talking
    first = stage.caller_sends("INVITE", ANSWER)
    second = stage.caller_sends("INVITE", ANSWER)
    third = stage.caller_sends("INVITE", ANSWER)
    assert len(stage.requests("INVITE")) == 2
    for transaction in (first, second, third):
        before = len(stage.cancels)
        stage.feed(stage.call.receive_cancel, transaction, Request("CANCEL", "sip:x@y"))
        assert len(stage.cancels) == before + 1


def test_a_repeated_invite_of_a_refused_call_is_refused_again(play: Any) -> None:
    stage = play()
    stage.answer(stage.requests("INVITE")[0], 486)
    second = repeat_invite(stage, "z9hG4bKsecond")
    assert [r.status for r in stage.responses_to(second)] == [486]


def test_a_request_that_comes_again_by_another_way_is_one_request(play: Any) -> None:
    stage = play()
    stage.establish()
    first = stage.caller_sends("INFO", b"x", 2, "text/plain")
    second = stage.caller_sends("INFO", b"x", 2, "text/plain")
    [info] = stage.requests("INFO")
    stage.answer(info, 200)
    for transaction in (first, second):
        assert [r.status for r in stage.responses_to(transaction)] == [200]


# --- responses without a transaction -----------------------------------------------------------


def test_strays_of_other_requests_and_epochs_change_nothing() -> None:
    stage = talk()
    stage.caller_sends("INFO", b"x", 2, "text/plain")
    [info] = stage.requests("INFO")
    stage.answer(info, 200)
    before = len(stage.log)
    for branch in ("z9hG4bK-call1-9-1", "z9hG4bK-call1-1-77", info.branch, "z9hG4bKx"):
        response = stage.told[info.branch, "INFO"].response.copy()
        response.set("via", f"SIP/2.0/LOCAL callmanager;branch={branch}")
        stage.stray(response)
    assert len(stage.log) == before


def test_the_answer_to_a_cancel_is_none_to_its_invite() -> None:
    stage = Succession(targets())
    [invite] = stage.requests("INVITE")
    stage.answer(invite, 180)
    stage.cancel()
    stage.is_dead = True
    stage.take_over()
    before = len(stage.log)
    cancel = stage.requests("CANCEL")[0].request
    # Two elements of the way may have answered it; the second answer finds no transaction.
    answer = response_to(cancel, 200, to_tag="btag")
    answer.prepend("via", f"SIP/2.0/LOCAL callmanager;branch={invite.branch}")
    stage.stray(answer)
    assert len(stage.log) == before
    leg = stage.call.parts.leg("b1")
    assert leg is not None
    assert leg.dialog is None


def test_an_answer_of_another_epoch_is_none_to_the_request_of_this_name() -> None:
    stage = talk()
    stage.is_dead = True
    stage.take_over()
    stage.caller_sends("INFO", b"x", 2, "text/plain")
    [info] = stage.requests("INFO")
    answer = response_to(info.request, 200)
    lost = request_branch("call1", 1, info.key)
    assert lost != info.branch
    answer.prepend("via", f"SIP/2.0/LOCAL callmanager;branch={lost}")
    before = len(stage.log)
    stage.stray(answer)
    assert len(stage.log) == before
    stage.answer(info, 200)
    assert len(stage.log) > before


def test_a_repeated_answer_without_transaction_is_acknowledged_again() -> None:
    stage = talk()
    stage.take_over(100.0)
    acks = len(stage.acks)
    [told] = stage.told.values()
    stage.stray(told.response)
    assert len(stage.acks) == acks + 1
