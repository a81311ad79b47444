"""Phones that answer when nobody waits for them any more."""

from typing import Any

from parley.sip.transaction import AckReceived, CancelReceived

from .test_calls import assert_nothing_left


async def test_who_answers_as_the_caller_gives_up_shows_a_missed_call(
    world: Any, make_sdp: Any, manager: Any, ann: Any, bob: Any
) -> None:
    calling = ann.call("1002")
    await bob.request()
    bob.respond(180)
    assert (await ann.response()).status == 180
    ann.node.cancel(calling)
    assert (await ann.response()).status == 487
    await bob.handler.next(CancelReceived)
    bob.respond(200, make_sdp("127.0.0.1", 5000))
    await bob.handler.next(AckReceived)
    bye = await bob.request()
    assert bye.method == "BYE"
    assert not bye.has("reason")
    bob.respond(200)
    await assert_nothing_left(world, manager)


async def test_a_phone_that_answers_too_late_and_hangs_up_ends_no_call(
    world: Any, make_sdp: Any, manager: Any
) -> None:
    ann, *bobs = [await world.phone(*each) for each in (("1001",), ("1002", "b1"), ("1002", "b2"))]
    await world.register(*bobs)
    ann.call("1002")
    for bob in bobs:
        await bob.request()
    for place, bob in enumerate(bobs):
        bob.respond(200, make_sdp("127.0.0.1", 5000 + place))
    assert (await ann.response()).status == 200
    ann.ack()
    first, late = bobs
    await first.handler.next(AckReceived)
    while not isinstance(await late.handler.events.get(), AckReceived):
        pass
    late.ask("BYE")
    hung_up = await late.request()
    assert hung_up.method == "BYE"
    late.respond(200)
    assert (await late.response()).status == 200
    assert first.handler.events.empty()
    ann.ask("BYE")
    assert (await first.request()).method == "BYE"
    first.respond(200)
    await assert_nothing_left(world, manager)
