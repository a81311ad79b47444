from typing import cast

import pytest

from parley.callmanager.actions import BindDialog
from parley.callmanager.calls import Calls
from parley.callmanager.mailbox import Mailbox
from parley.model.ids import CallId
from parley.service.metrics import Registry
from parley.sip.message import Request

CALL = CallId("call-1")


@pytest.fixture
def invite() -> Request:
    request = Request("INVITE", "sip:ben@acme.test")
    request.add("from", "<sip:ann@acme.test>;tag=a1")
    request.add("call-id", "of-ann")
    request.add("cseq", "1 INVITE")
    return request


def within(tag: str) -> Request:
    """A request within the dialog with this tag of ours."""
    request = Request("INFO", "sip:call-1@acme.test")
    request.add("to", f"<sip:ben@acme.test>;tag={tag}")
    request.add("call-id", "of-ann")
    return request


def test_a_call_taken_over_stays_when_a_copy_of_its_invite_is_refused(
    calls: Calls, invite: Request
) -> None:
    taken_over = cast(Mailbox, object())
    calls.begin(CALL, invite)
    calls.adopt(CALL, taken_over, invite)

    calls.remove(CALL, invite)

    assert calls.get(CALL) is taken_over
    assert calls.made_by(invite) == CALL
    assert not calls.is_pending(CALL)


def test_a_call_taken_over_stays_when_one_made_of_its_invite_meanwhile_is_fenced(
    calls: Calls, invite: Request, registry: Registry
) -> None:
    taken_over, fenced = cast(Mailbox, object()), cast(Mailbox, object())
    calls.begin(CALL, invite)
    calls.add(CALL, fenced)
    calls.adopt(CALL, taken_over, invite)

    calls.remove(CALL, invite, fenced)

    assert calls.get(CALL) is taken_over
    assert registry.value("parley_callmanager_calls") == 1
    calls.remove(CALL, invite, taken_over)
    assert not len(calls)
    assert registry.value("parley_callmanager_calls") == 0


def test_the_dialogs_of_a_fenced_call_go_and_those_of_who_took_it_over_stay(
    calls: Calls, invite: Request
) -> None:
    taken_over, fenced = cast(Mailbox, object()), cast(Mailbox, object())
    calls.begin(CALL, invite)
    calls.add(CALL, fenced)
    for tag in ("first", "both"):
        calls.bind(CALL, BindDialog("of-ann", tag, "a"))
    calls.adopt(CALL, taken_over, invite)
    calls.bind(CALL, BindDialog("of-ann", "both", "a"))

    calls.remove(CALL, invite, fenced)

    assert calls.find_dialog(within("first")) is None
    assert calls.find_dialog(within("both")) == (taken_over, "a")
    calls.remove(CALL, invite, taken_over)
    assert calls.find_dialog(within("both")) is None
