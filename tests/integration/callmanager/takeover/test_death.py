"""The owner of a call dies at any point; phones notice nothing, or a clean end, and one record."""

import asyncio

import msgspec
import pytest

from parley.model.call import CallResult

from .scene import Scene
from .script import SDP_OF_BOB, accept, cancelled, moved, request, response


@pytest.mark.parametrize("by", ["ann", "bob"], ids=["caller", "callee"])
async def test_a_bye_right_after_the_death_reaches_the_other_side(talking: Scene, by: str) -> None:
    await talking.one.kill()
    await talking.end(by=by)


async def test_a_sweeper_claims_the_calls_of_the_dead_in_time(talking: Scene) -> None:
    await talking.one.kill()
    assert await talking.taken() < 1.5
    assert await talking.other.owns(talking.call_id)
    await talking.end()


async def test_a_snapshot_that_nobody_can_read_stays_until_somebody_can(
    talking: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.callmanager.restorer.UNREADABLE_S", 0.3)
    one, other, ann = talking.one.manager, talking.other.manager, talking.ann
    state, key = talking.world.backing.state, f"call:{{{talking.call_id}}}"
    known = await state.get(key)
    await talking.one.kill()
    newer = msgspec.msgpack.encode({**msgspec.msgpack.decode(known), "version": 99})
    assert await state.put_owned(key, one.instance, 1, newer)

    def is_left() -> bool:
        return other._sweeper._takeovers.is_for_others(ann.call_id)

    await talking.cluster.eventually(is_left, 3.0)
    assert (await state.owner_of(key)).owner == one.instance
    assert await state.index_range(f"owned:{{{one.instance}}}")
    assert await state.index_range(f"owned:{{{other.instance}}}") == []
    # Who asks for it hears that it cannot be told whose it is, and asks others.
    ann.to = talking.other.hop
    ann.ask("INFO")
    assert (await response(ann, 503)).has("x-parley-unknown")
    assert await state.put_owned(key, one.instance, 1, known)
    await talking.cluster.eventually(lambda: talking.other.owns(ann.call_id), 3.0)
    await talking.end()


async def test_1_died_before_anything_was_written_the_invite_begins_the_call_anew(
    idle: Scene,
) -> None:
    await idle.die_at("create_owned", idle.dial, is_done=False)
    await idle.repeat()
    await request(idle.bob, "INVITE")
    await idle.answer()
    await idle.end()


async def test_2_died_before_the_phone_was_called_the_successor_calls_it(idle: Scene) -> None:
    await idle.die_at("create_owned", idle.dial, is_done=True)
    await idle.repeat()
    await request(idle.bob, "INVITE")
    await idle.answer()
    await idle.end()


async def test_2_without_a_repeated_invite_the_sweeper_finds_the_call(idle: Scene) -> None:
    await idle.die_at("create_owned", idle.dial, is_done=True)
    await request(idle.bob, "INVITE")
    await idle.repeat()
    await idle.answer()
    await idle.end()


@pytest.mark.parametrize("is_ringing", [False, True])
async def test_3_and_4_died_while_the_phone_rings_the_same_invite_goes_on(
    calling: Scene, is_ringing: bool
) -> None:
    before = calling.bob.transaction.hop
    if is_ringing:
        await calling.ring()
    await calling.one.kill()
    await calling.repeat()
    # To the phone the INVITE of the successor is a retransmission by another way.
    await moved(calling.bob, before)
    await calling.answer()
    await calling.end(by="bob")


async def test_a_call_taken_over_while_its_repeated_invite_is_admitted_goes_on(
    calling: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_taken = asyncio.Event()

    async def look_late(_call_id: str) -> None:
        await is_taken.wait()

    other, before = calling.other, calling.bob.transaction.hop
    monkeypatch.setattr(other.manager._handler, "_owner_of", look_late)
    await calling.one.kill()
    await calling.repeat()
    await calling.taken()
    [taken_over] = other.manager.calls
    is_taken.set()
    await moved(calling.bob, before)
    await calling.answer()
    assert list(other.manager.calls) == [taken_over]
    await calling.end()


async def test_5_died_with_the_answer_read_and_not_written(calling: Scene) -> None:
    await calling.die_at("put_owned", lambda: accept(calling.bob), is_done=False)
    await calling.repeat()
    await calling.connect()
    await calling.end()


async def test_6_died_with_the_answer_written_the_successor_tells_both(calling: Scene) -> None:
    bob = calling.bob
    await calling.die_at("put_owned", lambda: bob.respond(200, SDP_OF_BOB), is_done=True)
    await calling.repeat()
    await calling.connect()
    await calling.end()


async def test_7_died_before_the_ack_the_successor_repeats_the_200_until_it_comes(
    calling: Scene,
) -> None:
    ann = calling.ann
    calling.bob.respond(200, SDP_OF_BOB)
    await response(ann, 200)
    await calling.one.kill()
    await response(ann, 200)
    ann.to = calling.other.hop
    ann.ack()
    await calling.end()


@pytest.mark.parametrize("is_written", [False, True])
async def test_9_died_with_a_re_invite_read(talking: Scene, is_written: bool) -> None:
    ann = talking.ann
    sent = await talking.die_at(
        "put_owned", lambda: ann.ask("INVITE", SDP_OF_BOB), is_done=is_written
    )
    if not is_written:
        # The ACK of the call had not been written either: the 200 comes once more.
        ann.to = talking.other.hop
        await response(ann, 200)
        ann.ack()
    await talking.repeat(sent)
    await request(talking.bob, "INVITE")
    await talking.answer(cseq=2)
    await talking.end()


async def test_10_died_with_the_answer_to_a_re_invite_read(talking: Scene) -> None:
    sent = talking.ann.ask("INVITE", SDP_OF_BOB)
    await request(talking.bob, "INVITE")
    await talking.die_at("put_owned", lambda: accept(talking.bob), is_done=False)
    await talking.repeat(sent)
    await talking.connect(cseq=2)
    await talking.end()


@pytest.mark.parametrize("is_written", [False, True])
async def test_12_died_with_a_cancel_read(calling: Scene, is_written: bool) -> None:
    ann, bob = calling.ann, calling.bob
    await calling.ring()
    await calling.die_at("put_owned", lambda: ann.node.cancel(calling.sent), is_done=is_written)
    repeated = await calling.repeat()
    if not is_written:
        ann.node.cancel(repeated)
    await cancelled(bob)
    bob.respond(487)
    await response(ann, 487)
    await calling.over(CallResult.CANCELLED)


@pytest.mark.parametrize("is_written", [False, True])
async def test_13_and_14_died_with_a_bye_read(talking: Scene, is_written: bool) -> None:
    ann, bob = talking.ann, talking.bob
    sent = await talking.die_at("put_owned", lambda: ann.ask("BYE"), is_done=is_written)
    await talking.repeat(sent)
    await request(bob, "BYE")
    bob.respond(200)
    await response(ann, 200)
    await talking.over(CallResult.ANSWERED)


async def test_two_deaths_in_a_row_are_survived(talking: Scene) -> None:
    await talking.one.kill()
    await talking.taken()
    third = await talking.cluster.member("cm-3")
    await talking.other.kill()
    await talking.end(to=third)


async def test_who_has_just_started_takes_calls_over_too(talking: Scene) -> None:
    await talking.one.kill()
    await talking.taken()
    third = await talking.cluster.member("cm-3", delay_s=0.05)
    await talking.other.kill()
    await talking.cluster.eventually(lambda: third.holds(talking.call_id), 5.0)
    await talking.end(to=third)
