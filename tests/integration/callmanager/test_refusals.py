"""Requests that make no call."""

from typing import Any

import pytest

from parley.backing.db.extensions import ExtensionRepository, NewExtension


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


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
async def test_a_request_whose_contact_cannot_be_read_is_refused(
    method: str, world: Any, ann: Any, bob: Any
) -> None:
    request = ann.make_invite("1002", contact="<sip:1001@192.0.2.9")
    request.method = method
    request.set("cseq", f"1 {method}")
    ann.send(request)
    assert (await ann.response()).status == 400
    ann.send(ann.make_invite("4711"))
    assert (await ann.response()).status == 404


async def test_an_invite_of_a_nameless_caller_whose_from_cannot_be_read_is_refused(
    ann: Any, bob: Any
) -> None:
    # The directory has no name for 1002: what the phone writes is read.
    bob.call("1001", **{"from": "<sip:1002@demo.test"})
    assert (await bob.response()).status == 400


async def test_an_extension_that_memory_does_not_know_is_looked_up(world: Any, ann: Any) -> None:
    ann.call("4711")
    assert (await ann.response()).status == 404
    assert "1003" not in world.directory.peek_by_id(world.tenant).extensions
    await ExtensionRepository(world.backing.db).create_many(
        world.tenant, [NewExtension(number="1003", password="correct-horse")]
    )
    cara = await world.phone("1003")
    await world.register(cara)
    ann.call("1003")
    assert (await cara.request()).method == "INVITE"
    cara.respond(486)
