"""INVITEs that come again when their call has ended: the same id is the same call."""

from typing import Any

import pytest

from .test_calls import assert_nothing_left


@pytest.mark.parametrize(
    ("dialled", "status", "told", "again"),
    [("1002", 486, 486, 486), ("1002", 302, 302, 480), ("404404", 0, 404, 404)],
)
async def test_an_invite_that_comes_again_after_its_call_makes_no_second_one(
    world: Any, dialled: str, status: int, told: int, again: int, manager: Any
) -> None:
    ann, bob, edge = [await world.phone(number, number) for number in ("1001", "1002", "1003")]
    await world.register(bob)
    ann.call(dialled)
    if dialled == "1002":
        await bob.request()
        bob.respond(status)
    assert (await ann.response()).status == told
    await assert_nothing_left(world, manager)
    # The refusal was lost with the edge; the phone repeats its INVITE through another one.
    edge.send(ann.invite.copy())
    # Where it was sent elsewhere is not kept: a 302 without it would say nothing.
    assert (await edge.response()).status == again
    assert len(manager.calls) == 0
    assert await world.snapshot_keys() == []


async def test_an_invite_that_comes_again_after_its_answered_call_is_refused(
    world: Any, manager: Any, ann: Any, bob: Any, talking: None
) -> None:
    ann.ask("BYE")
    await bob.request()
    bob.respond(200)
    await ann.response()
    await assert_nothing_left(world, manager)
    edge = await world.phone("1003")
    edge.send(ann.invite.copy())
    assert (await edge.response()).status == 482
    assert bob.handler.events.empty()
