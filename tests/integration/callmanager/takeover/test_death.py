"""The owner of a call dies at any point; phones notice nothing, or a clean end, and one record."""

import asyncio
from typing import Any

import msgspec
import pytest

from parley.model.call import CallResult
from parley.sip.transaction import AckReceived

REPLAYED = {"call.started", "call.ringing", "call.answered", "call.updated"}
"""Events that a successor may publish once more, under their old ids."""


async def hang_up(cluster: Any, script: Any, by: Any, other: Any, to: Any) -> None:
    """Ends the call through its new owner, and finds one record and nothing left."""
    by.to = other.to = to.hop
    by.ask("BYE")
    await script.request(other, "BYE")
    other.respond(200)
    await script.response(by, 200)
    await assert_ended(cluster, to, CallResult.ANSWERED)


async def assert_ended(cluster: Any, member: Any, result: CallResult) -> Any:
    world = cluster.world
    ended = await world.wait_event("call.ended")
    assert ended.data.termination.result is result
    assert set(world.seen[:-1]) <= REPLAYED
    async with asyncio.timeout(5):
        await member.manager.calls.wait_idle()

    async def is_nothing_left() -> bool:
        left = await world.snapshot_keys()
        owned = await world.backing.state.set_range(f"owned:{{{member.manager.instance}}}")
        return not left and not owned

    await cluster.eventually(is_nothing_left, 2.0)
    assert world.media.sessions == set()
    assert world.events.empty()
    return ended


async def answer(script: Any, ann: Any, bob: Any) -> None:
    bob.respond(200, script.sdp_of_bob)
    await script.response(ann, 200)
    ann.ack()
    await script.expect(bob, AckReceived)


@pytest.fixture
async def two(cluster: Any) -> tuple[Any, Any]:
    """The owner-to-be and the one that is left."""
    return await cluster.member("cm-1"), await cluster.member("cm-2")


@pytest.mark.parametrize("by", ["caller", "callee"])
async def test_a_bye_right_after_the_death_reaches_the_other_side(
    cluster: Any, script: Any, two: Any, by: str
) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    await one.kill()
    sides = (ann, bob) if by == "caller" else (bob, ann)
    await hang_up(cluster, script, *sides, other)


async def test_a_sweeper_claims_the_calls_of_the_dead_in_time(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    await one.kill()

    async def is_taken() -> bool:
        return other.manager.calls.get(ann.call_id) is not None

    assert await cluster.eventually(is_taken, 3.0) < 1.5
    assert await other.owns(ann.call_id)
    await hang_up(cluster, script, ann, bob, other)


async def test_a_snapshot_that_nobody_can_read_stays_until_somebody_can(
    cluster: Any, script: Any, two: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.callmanager.restorer.UNREADABLE_S", 0.3)
    one, other = two
    ann, bob = await cluster.talk(one)
    state, key = cluster.world.backing.state, f"call:{{{ann.call_id}}}"
    known = await state.get(key)
    await one.kill()
    newer = msgspec.msgpack.encode({**msgspec.msgpack.decode(known), "version": 99})
    assert await state.put_owned(key, one.manager.instance, 1, newer)

    async def is_left() -> bool:
        return bool(other.manager._sweeper._takeovers.is_for_others(ann.call_id))

    async def is_taken() -> bool:
        return bool(await other.owns(ann.call_id))

    await cluster.eventually(is_left, 3.0)
    assert (await state.owner_of(key)).owner == one.manager.instance
    assert await state.set_range(f"owned:{{{one.manager.instance}}}")
    assert await state.set_range(f"owned:{{{other.manager.instance}}}") == []
    # Who asks for it hears that it cannot be told whose it is, and asks others.
    ann.to = other.hop
    ann.ask("INFO")
    assert (await script.response(ann, 503)).has("x-parley-unknown")
    assert await state.put_owned(key, one.manager.instance, 1, known)
    await cluster.eventually(is_taken, 3.0)
    await hang_up(cluster, script, ann, bob, other)


async def test_1_died_before_anything_was_written_the_invite_begins_the_call_anew(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.pair(one)
    one.wire.trap("create_owned", is_done=False)
    sent = ann.call("1002")
    await one.wire.reached.wait()
    await one.kill()
    await script.again(ann, sent, other)
    await script.request(bob, "INVITE")
    await answer(script, ann, bob)
    await hang_up(cluster, script, ann, bob, other)


async def test_2_died_before_the_phone_was_called_the_successor_calls_it(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.pair(one)
    one.wire.trap("create_owned", is_done=True)
    sent = ann.call("1002")
    await one.wire.reached.wait()
    await one.kill()
    await script.again(ann, sent, other)
    await script.request(bob, "INVITE")
    await answer(script, ann, bob)
    await hang_up(cluster, script, ann, bob, other)


async def test_2_without_a_repeated_invite_the_sweeper_finds_the_call(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.pair(one)
    one.wire.trap("create_owned", is_done=True)
    sent = ann.call("1002")
    await one.wire.reached.wait()
    await one.kill()
    await script.request(bob, "INVITE")
    await script.again(ann, sent, other)
    await answer(script, ann, bob)
    await hang_up(cluster, script, ann, bob, other)


@pytest.mark.parametrize("is_ringing", [False, True])
async def test_3_and_4_died_while_the_phone_rings_the_same_invite_goes_on(
    cluster: Any, script: Any, two: Any, is_ringing: bool
) -> None:
    one, other = two
    ann, bob = await cluster.pair(one)
    sent = ann.call("1002")
    await script.request(bob, "INVITE")
    before = bob.transaction.hop
    if is_ringing:
        bob.respond(180)
        await script.response(ann, 180)
    await one.kill()
    await script.again(ann, sent, other)
    # To the phone the INVITE of the successor is a retransmission by another way.
    await script.moved(bob, before)
    await answer(script, ann, bob)
    await hang_up(cluster, script, bob, ann, other)


async def test_5_died_with_the_answer_read_and_not_written(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.pair(one)
    sent = ann.call("1002")
    await script.request(bob, "INVITE")
    one.wire.trap("put_owned", is_done=False)
    script.accept(bob)
    await one.wire.reached.wait()
    await one.kill()
    await script.again(ann, sent, other)
    await script.response(ann, 200)
    ann.ack()
    await script.expect(bob, AckReceived)
    await hang_up(cluster, script, ann, bob, other)


async def test_6_died_with_the_answer_written_the_successor_tells_both(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.pair(one)
    sent = ann.call("1002")
    await script.request(bob, "INVITE")
    one.wire.trap("put_owned", is_done=True)
    bob.respond(200, script.sdp_of_bob)
    await one.wire.reached.wait()
    await one.kill()
    await script.again(ann, sent, other)
    await script.response(ann, 200)
    ann.ack()
    await script.expect(bob, AckReceived)
    await hang_up(cluster, script, ann, bob, other)


async def test_7_died_before_the_ack_the_successor_repeats_the_200_until_it_comes(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.pair(one)
    ann.call("1002")
    await script.request(bob, "INVITE")
    bob.respond(200, script.sdp_of_bob)
    await script.response(ann, 200)
    await one.kill()
    await script.response(ann, 200)
    ann.to = other.hop
    ann.ack()
    await hang_up(cluster, script, ann, bob, other)


@pytest.mark.parametrize("is_written", [False, True])
async def test_9_died_with_a_re_invite_read(
    cluster: Any, script: Any, two: Any, is_written: bool
) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    one.wire.trap("put_owned", is_done=is_written)
    sent = ann.ask("INVITE", script.sdp_of_bob)
    await one.wire.reached.wait()
    await one.kill()
    if not is_written:
        # The ACK of the call had not been written either: the 200 comes once more.
        ann.to = other.hop
        await script.response(ann, 200)
        ann.ack()
    await script.again(ann, sent, other)
    await script.request(bob, "INVITE")
    bob.respond(200, script.sdp_of_bob)
    await script.response(ann, 200)
    ann.ack(cseq=2)
    await script.expect(bob, AckReceived)
    await hang_up(cluster, script, ann, bob, other)


async def test_10_died_with_the_answer_to_a_re_invite_read(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    sent = ann.ask("INVITE", script.sdp_of_bob)
    await script.request(bob, "INVITE")
    one.wire.trap("put_owned", is_done=False)
    script.accept(bob)
    await one.wire.reached.wait()
    await one.kill()
    await script.again(ann, sent, other)
    await script.response(ann, 200)
    ann.ack(cseq=2)
    await script.expect(bob, AckReceived)
    await hang_up(cluster, script, ann, bob, other)


@pytest.mark.parametrize("is_written", [False, True])
async def test_12_died_with_a_cancel_read(
    cluster: Any, script: Any, two: Any, is_written: bool
) -> None:
    one, other = two
    ann, bob = await cluster.pair(one)
    sent = ann.call("1002")
    await script.request(bob, "INVITE")
    bob.respond(180)
    await script.response(ann, 180)
    one.wire.trap("put_owned", is_done=is_written)
    ann.node.cancel(sent)
    await one.wire.reached.wait()
    await one.kill()
    repeated = await script.again(ann, sent, other)
    if not is_written:
        ann.node.cancel(repeated)
    await script.cancelled(bob)
    bob.respond(487)
    await script.response(ann, 487)
    await assert_ended(cluster, other, CallResult.CANCELLED)


@pytest.mark.parametrize("is_written", [False, True])
async def test_13_and_14_died_with_a_bye_read(
    cluster: Any, script: Any, two: Any, is_written: bool
) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    one.wire.trap("put_owned", is_done=is_written)
    sent = ann.ask("BYE")
    await one.wire.reached.wait()
    await one.kill()
    await script.again(ann, sent, other)
    await script.request(bob, "BYE")
    bob.respond(200)
    await script.response(ann, 200)
    await assert_ended(cluster, other, CallResult.ANSWERED)


async def test_two_deaths_in_a_row_are_survived(cluster: Any, script: Any, two: Any) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    await one.kill()

    async def is_taken() -> bool:
        return other.manager.calls.get(ann.call_id) is not None

    await cluster.eventually(is_taken, 3.0)
    third = await cluster.member("cm-3")
    await other.kill()
    await hang_up(cluster, script, ann, bob, third)
