"""Requests for calls that are not here: over, or those of another that cannot be looked for."""

import asyncio

from parley.sip.transaction import ResponseReceived

from .scene import Scene
from .script import expect, refused, request, response, unsent


async def test_who_does_not_reach_state_says_that_it_cannot_tell_whose_a_call_is(
    talking: Scene,
) -> None:
    ann, one, other = talking.ann, talking.one, talking.other
    ann.to = other.hop
    other.wire.is_cut = True
    ann.ask("INFO")
    answer = await response(ann, 503)
    assert answer.get("x-parley-unknown") and answer.get("retry-after")
    assert not answer.has("x-parley-owner")
    other.wire.is_cut = False
    ann.ask("INFO")
    answer = await response(ann, 503)
    assert answer.get("x-parley-owner") == one.manager.instance
    assert not answer.has("x-parley-unknown")
    await talking.hang_up(to=one)


async def test_requests_for_no_call_are_refused(talking: Scene) -> None:
    ann = talking.ann
    await talking.hang_up(to=talking.one)
    for member in (talking.one, talking.other):
        ann.to = member.hop
        ann.ask("INFO")
        await response(ann, 481)


async def test_an_invite_that_is_good_as_a_repeated_one_only_begins_no_call(idle: Scene) -> None:
    ann, one, other = idle.ann, idle.one, idle.other
    idle.dial(x_parley_repeated="1")
    await response(ann, 481)
    await idle.call()
    copy = unsent(ann.invite)
    copy.add("x-parley-repeated", "1")
    ann.node.send_request(copy.copy(), other.hop)
    await refused(ann, one)
    again = ann.node.send_request(copy, one.hop)
    idle.bob.respond(486)
    await expect(
        ann,
        ResponseReceived,
        lambda event: event.transaction is again and event.response.status == 486,
    )


async def test_the_bye_that_ended_a_call_gets_its_answer_again_when_it_is_repeated(
    talking: Scene,
) -> None:
    ann, bob = talking.ann, talking.bob
    bye = ann.ask("BYE").request.copy()
    await request(bob, "BYE")
    bob.respond(200)
    await response(ann, 200)
    async with asyncio.timeout(5.0):
        await talking.one.manager.calls.wait_idle()
    ann.send(unsent(bye))
    await response(ann, 200)
    ann.ask("BYE")
    await response(ann, 481)


async def test_an_invite_that_comes_again_elsewhere_after_its_call_makes_no_second_one(
    talking: Scene,
) -> None:
    ann = talking.ann
    await talking.hang_up(to=talking.one)
    await talking.cluster.eventually(talking.cluster.is_nothing_left, 3.0)
    ann.to = talking.other.hop
    ann.send(unsent(ann.invite))
    await response(ann, 482)
    assert talking.bob.handler.events.empty()


async def test_a_call_that_ended_while_state_was_away_leaves_it_when_that_is_back(
    talking: Scene,
) -> None:
    cluster = talking.cluster
    await cluster.without_state()
    await talking.hang_up(to=talking.one)
    assert not await cluster.is_nothing_left()
    cluster.with_state()
    await cluster.eventually(cluster.is_nothing_left, 3.0)
