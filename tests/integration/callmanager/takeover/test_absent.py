"""Requests for calls that are not here: over, or those of another that cannot be looked for."""

import asyncio
from typing import Any

import pytest

from parley.sip.transaction import ResponseReceived


@pytest.fixture
async def two(cluster: Any) -> tuple[Any, Any]:
    """The owner-to-be and another."""
    return await cluster.member("cm-1"), await cluster.member("cm-2")


async def hang_up(script: Any, by: Any, other: Any, to: Any) -> None:
    by.to = to.hop
    by.ask("BYE")
    await script.request(other, "BYE")
    other.respond(200)
    await script.response(by, 200)


async def test_who_does_not_reach_state_says_that_it_cannot_tell_whose_a_call_is(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    ann.to = other.hop
    other.wire.is_cut = True
    ann.ask("INFO")
    refused = await script.response(ann, 503)
    assert refused.get("x-parley-unknown") and refused.get("retry-after")
    assert not refused.has("x-parley-owner")
    other.wire.is_cut = False
    ann.ask("INFO")
    refused = await script.response(ann, 503)
    assert refused.get("x-parley-owner") == one.manager.instance
    assert not refused.has("x-parley-unknown")
    await hang_up(script, ann, bob, one)


async def test_requests_for_no_call_are_refused(cluster: Any, script: Any, two: Any) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    await hang_up(script, ann, bob, one)
    for member in (one, other):
        ann.to = member.hop
        ann.ask("INFO")
        await script.response(ann, 481)


async def test_an_invite_that_is_good_as_a_repeated_one_only_begins_no_call(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.pair(one)
    ann.call("1002", x_parley_repeated="1")
    await script.response(ann, 481)
    ann.call("1002")
    await script.request(bob, "INVITE")
    copy = ann.invite.copy()
    copy.remove_first_value("via")
    copy.add("x-parley-repeated", "1")
    ann.node.send_request(copy.copy(), other.hop)
    refused = await script.response(ann, 503)
    assert refused.get("x-parley-owner") == one.manager.instance
    again = ann.node.send_request(copy, one.hop)
    bob.respond(486)
    await script.expect(
        ann,
        ResponseReceived,
        lambda event: event.transaction is again and event.response.status == 486,
    )


async def test_the_bye_that_ended_a_call_gets_its_answer_again_when_it_is_repeated(
    cluster: Any, script: Any, two: Any
) -> None:
    one, _ = two
    ann, bob = await cluster.talk(one)
    bye = ann.ask("BYE").request.copy()
    await script.request(bob, "BYE")
    bob.respond(200)
    await script.response(ann, 200)
    async with asyncio.timeout(5.0):
        await one.manager.calls.wait_idle()
    bye.remove_first_value("via")
    ann.send(bye)
    await script.response(ann, 200)
    ann.ask("BYE")
    await script.response(ann, 481)


async def test_an_invite_that_comes_again_elsewhere_after_its_call_makes_no_second_one(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    await hang_up(script, ann, bob, one)

    async def is_nothing_left() -> bool:
        return not await cluster.world.snapshot_keys()

    await cluster.eventually(is_nothing_left, 3.0)
    ann.to = other.hop
    again = ann.invite.copy()
    again.remove("via")
    ann.send(again)
    await script.response(ann, 482)
    assert bob.handler.events.empty()


async def test_a_call_that_ended_while_state_was_away_leaves_it_when_that_is_back(
    cluster: Any, script: Any, two: Any
) -> None:
    one, _ = two
    ann, bob = await cluster.talk(one)
    for member in two:
        member.wire.is_cut = True

    async def is_unprotected() -> bool:
        return not one.manager.keeper.is_valid

    await cluster.eventually(is_unprotected, 3.0)
    await hang_up(script, ann, bob, one)
    assert await cluster.world.snapshot_keys()
    for member in two:
        member.wire.is_cut = False

    async def is_nothing_left() -> bool:
        return not await cluster.world.snapshot_keys()

    await cluster.eventually(is_nothing_left, 3.0)
