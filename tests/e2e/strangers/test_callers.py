"""What a caller may ask for, and what the called phone sees of it."""

from collections.abc import AsyncIterator

import pytest

from parley.sip.message import Request
from parley.testkit.phones.raw_phone import RawPhone
from parley.testkit.platform.desk import Desk

_ECHO = "999"
_COMMANDS = {
    "alert-info": "<http://x.example>;info=alert-autoanswer",
    "call-info": "<sip:x.example>;answer-after=0",
    "answer-mode": "Auto;require",
    "priv-answer-mode": "Auto",
    "p-auto-answer": "normal",
    "priority": "emergency",
}


@pytest.fixture
async def phones(desk: Desk) -> AsyncIterator[tuple[RawPhone, RawPhone]]:
    """One that calls and one that can be called."""
    one, two = await desk.lines(2)
    with (
        RawPhone(one, desk.platform.demo.sip) as caller,
        RawPhone(two, desk.platform.demo.sip) as callee,
    ):
        callee.register()
        yield caller, callee


def offered(caller: RawPhone, callee: RawPhone, **headers: str) -> Request:
    """Calls with such headers; returns what the other phone gets, which is busy."""
    invite = caller.request("INVITE", callee.line.number, caller.description())
    for name, value in headers.items():
        invite.set(name, value)
    invite = caller.authorized(invite)
    caller.send(invite)
    seen = callee.expect("INVITE")
    callee.respond(seen, 486)
    assert caller.final_of(invite).status == 486
    return seen


@pytest.mark.parametrize("service", [_ECHO, ""])
async def test_a_number_of_another_domain_is_not_ours(
    phones: tuple[RawPhone, RawPhone], service: str
) -> None:
    caller, callee = phones
    number = service or callee.line.number
    invite = caller.request("INVITE", number, caller.description())
    invite.uri = f"sip:{number}@elsewhere.example"
    assert caller.transact_authorized(invite).status == 403
    assert list(callee.overheard()) == []


async def test_the_address_of_the_edge_stands_for_the_tenant_s_domain(
    desk: Desk, phones: tuple[RawPhone, RawPhone]
) -> None:
    caller, callee = phones
    invite = caller.request("INVITE", callee.line.number, caller.description())
    invite.uri = f"sip:{callee.line.number}@{desk.platform.demo.sip}"
    invite = caller.authorized(invite)
    caller.send(invite)
    callee.respond(callee.expect("INVITE"), 486)
    assert caller.final_of(invite).status == 486


async def test_a_caller_commands_no_phone(phones: tuple[RawPhone, RawPhone]) -> None:
    caller, callee = phones
    seen = offered(caller, callee, **_COMMANDS)
    assert not set(_COMMANDS) & set(seen.header_names())


async def test_an_anonymous_caller_shows_no_number(phones: tuple[RawPhone, RawPhone]) -> None:
    caller, callee = phones
    seen = offered(caller, callee, **{"from": "<sip:anonymous@anonymous.invalid>;tag=x"})
    assert seen.from_.uri_text == "sip:anonymous@anonymous.invalid"
    assert not seen.has("p-asserted-identity")
    assert caller.line.number.encode() not in bytes(seen)


async def test_a_caller_is_told_where_a_phone_sends_the_call(
    phones: tuple[RawPhone, RawPhone],
) -> None:
    caller, callee = phones
    target = f"<sip:{_ECHO}@{caller.line.domain}>"
    invite = caller.request("INVITE", callee.line.number, caller.description())
    invite = caller.authorized(invite)
    caller.send(invite)
    callee.respond(callee.expect("INVITE"), 302, headers=(("contact", target),))
    answer = caller.final_of(invite)
    assert (answer.status, answer.get_all("contact")) == (302, [target])
