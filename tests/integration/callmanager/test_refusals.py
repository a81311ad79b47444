"""Requests that make no call."""

from typing import Any

import pytest


async def test_callers_that_are_nobody_are_refused(ann: Any) -> None:
    ann.call("1002", p_asserted_identity="<sip:4242@demo.test>")
    assert (await ann.response()).status == 403
    ann.call("1002", x_parley_tenant="nobody")
    assert (await ann.response()).status == 403


async def test_the_record_of_a_foreign_number_tells_its_domain(world: Any, ann: Any) -> None:
    invite = ann.make_invite("1002")
    invite.uri = "sip:1002@elsewhere.example"
    ann.send(invite)
    assert (await ann.response()).status == 403

    record = (await world.wait_event("call.ended")).data
    assert record.termination.reason == "foreign-domain"
    assert (record.callee, record.dialled) == ("1002@elsewhere.example",) * 2


async def test_merged_looped_and_stray_requests_are_refused(ann: Any, bob: Any) -> None:
    ann.call("1002")
    await bob.request()
    assert ann.invite is not None
    again = ann.invite.copy()
    again.remove("via")
    again.set("x-parley-call", "another")
    ann.send(again)
    assert (await ann.response()).status == 482
    for expected, headers in (
        (483, {"max_forwards": "0"}),
        (420, {"require": "100rel"}),
        (481, {"to": "<sip:1002@demo.test>;tag=none"}),
    ):
        ann.call("1002", **headers)
        assert (await ann.response()).status == expected
    bob.respond(486)


@pytest.mark.parametrize(("dialled", "status"), [("1002", 200), ("1001", 480), ("4711", 404)])
async def test_options_are_answered_as_a_call_would_be(
    dialled: str, status: int, ann: Any, bob: Any
) -> None:
    options = ann.make_invite(dialled)
    options.method = "OPTIONS"
    options.set("cseq", "1 OPTIONS")
    ann.send(options)
    response = await ann.response()
    assert response.status == status
    assert "UPDATE" in response.get("allow")
