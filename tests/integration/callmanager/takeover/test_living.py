"""Owners that live: asked to stop, frozen, cut off; and messages that come to the wrong one."""

import asyncio

from parley.backing.discovery.base import InstanceState
from parley.model.call import CallResult
from parley.sip.transaction import AckReceived, RequestReceived, ResponseReceived

from .scene import Scene
from .script import SDP_OF_BOB, expect, hang_up, moved, refused, request, response, unsent


async def test_a_request_for_the_call_of_another_is_redirected(talking: Scene) -> None:
    talking.ann.to = talking.other.hop
    talking.ann.ask("INFO")
    await refused(talking.ann, owner=talking.one)
    await talking.hang_up(to=talking.one)


async def test_a_call_whose_living_owner_an_edge_cannot_reach_is_taken_from_it(
    talking: Scene,
) -> None:
    ann, bob = talking.ann, talking.bob
    ann.to = talking.other.hop
    ann.ask("INFO", headers=(("x-parley-unreachable", talking.one.manager.instance),))
    await request(bob, "INFO")
    bob.respond(200)
    await response(ann, 200)
    await talking.hang_up(by="bob")


async def test_an_ack_that_comes_to_another_is_forwarded_to_the_owner(idle: Scene) -> None:
    ann, bob = idle.ann, idle.bob
    ann.call("1002", b"")
    await request(bob, "INVITE")
    bob.respond(200, SDP_OF_BOB)
    await response(ann, 200)
    ann.to = idle.other.hop
    ann.ack(SDP_OF_BOB)
    await expect(bob, AckReceived)
    await idle.hang_up(by="bob", to=idle.one)


async def test_a_response_that_comes_to_another_is_forwarded_to_the_owner(calling: Scene) -> None:
    calling.bob.transaction.move(calling.other.hop)
    calling.bob.respond(200, SDP_OF_BOB)
    await response(calling.ann, 200)
    calling.ann.ack()
    await calling.hang_up(to=calling.one)


async def test_an_invite_that_comes_to_another_is_not_a_second_call(calling: Scene) -> None:
    ann = calling.ann
    ann.node.send_request(unsent(ann.invite), calling.other.hop)
    await refused(ann, owner=calling.one)
    calling.bob.respond(486)
    await response(ann, 486)


async def test_an_invite_by_another_way_to_the_owner_gets_the_answer(calling: Scene) -> None:
    ann = calling.ann
    again = ann.node.send_request(unsent(ann.invite), calling.one.hop)
    await expect(ann, ResponseReceived, lambda event: event.transaction is again)
    calling.bob.respond(486)
    await expect(
        ann,
        ResponseReceived,
        lambda event: event.transaction is again and event.response.status == 486,
    )


async def test_asked_to_stop_it_hands_its_calls_over_and_they_go_on_at_once(
    talking: Scene,
) -> None:
    ann, bob, one, other = talking.ann, talking.bob, talking.one, talking.other
    draining = asyncio.ensure_future(one.manager.drain(30.0))
    await talking.dropped(within_s=1.0)
    ann.ask("INFO")
    await refused(ann, owner=other)
    ann.to = other.hop
    ann.ask("INVITE", SDP_OF_BOB)
    await request(bob, "INVITE")
    bob.respond(200, SDP_OF_BOB)
    await response(ann, 200)
    ann.ack(cseq=3)
    async with asyncio.timeout(2.0):
        await draining
    assert not len(one.manager.calls)
    await one.manager.aclose()
    await talking.hang_up()
    ended = await talking.world.wait_event("call.ended")
    assert ended.data.termination.result is CallResult.ANSWERED
    owners = await talking.world.backing.state.index_range("owners:{callmanager}")
    assert [name for name, _ in owners] == [other.manager.instance]


async def test_an_unanswered_invite_is_redirected_when_its_call_is_handed_over(
    calling: Scene,
) -> None:
    ann, bob = calling.ann, calling.bob
    before = bob.transaction.hop
    await calling.ring()
    draining = asyncio.ensure_future(calling.one.manager.drain(30.0))
    await refused(ann, owner=calling.other)
    ann.to = calling.other.hop
    ann.send(unsent(ann.invite))
    await moved(bob, before)
    bob.respond(200, SDP_OF_BOB)
    await response(ann, 200)
    ann.ack()
    async with asyncio.timeout(5.0):
        await draining
    await calling.hang_up()


async def test_many_calls_are_handed_over_within_seconds(idle: Scene) -> None:
    one, other, cluster = idle.one.manager, idle.other.manager, idle.cluster
    for _ in range(40):
        idle.dial()
    idle.bob.handler.answer = lambda transaction, request: None

    def are_here() -> bool:
        return len(one.calls) == 40 and not any(mailbox.is_busy for mailbox in one.calls)

    await cluster.eventually(are_here, 5.0)
    start = idle.world.clock.now()
    await one.drain(30.0)
    assert idle.world.clock.now() - start < 5.0
    await cluster.eventually(lambda: len(other.calls) == 40, 5.0)


async def test_a_frozen_owner_wakes_up_fenced_and_stays_silent(talking: Scene) -> None:
    one, other, world = talking.one, talking.other, talking.world
    one.freeze()
    await talking.taken()
    assert one.holds(talking.call_id)
    talking.ann.ask("INFO")
    await refused(talking.ann, owner=other)
    assert not one.holds(talking.call_id)
    one.thaw()
    await talking.hang_up()
    assert world.seen.count("call.ended") == 0
    await world.wait_event("call.ended")
    assert world.events.empty()


async def test_a_frozen_owner_drops_its_calls_by_itself_when_it_wakes_up(talking: Scene) -> None:
    talking.one.freeze()
    await talking.taken()
    talking.one.thaw()
    await talking.dropped()
    await talking.hang_up()


async def test_a_call_ends_when_its_bye_came_however_slow_state_is(talking: Scene) -> None:
    one, world = talking.one, talking.world
    [mailbox] = one.manager.calls
    one.wire.gate.clear()
    one.wire.forget()
    talking.ann.ask("BYE")
    await talking.cluster.eventually(lambda: mailbox.is_busy, 3.0)
    answered_at = world.clock.wall_s()
    one.wire.gate.set()
    await request(talking.bob, "BYE")
    talking.bob.respond(200)
    ended = await world.wait_event("call.ended")
    assert ended.data.ended_at.timestamp() < answered_at


async def test_an_owner_that_alone_lost_state_leaves_its_calls(talking: Scene) -> None:
    ann, one = talking.ann, talking.one
    one.wire.is_cut = True
    await talking.taken()
    await talking.dropped()
    ann.ask("INFO")
    await refused(ann, owner=talking.other)
    ann.to = one.hop
    talking.dial()
    assert (await response(ann, 503)).get("retry-after")
    await talking.hang_up(by="bob")


async def test_without_state_for_all_calls_go_on_and_are_protected_later(talking: Scene) -> None:
    cluster, one, other, bob = talking.cluster, talking.one, talking.other, talking.bob
    await cluster.without_state()
    carl = await cluster.phone("1001", one)
    carl.call("1002")
    await request(bob, "INVITE")
    bob.dialog = None
    bob.call_id = ""
    bob.respond(200, SDP_OF_BOB)
    await response(carl, 200)
    carl.ack()
    cluster.with_state()

    async def are_written() -> bool:
        return all([await one.owns(carl.call_id), await one.owns(talking.call_id)])

    await cluster.eventually(are_written, 3.0)
    await one.kill()
    await cluster.eventually(lambda: other.holds(carl.call_id), 6.0)
    await hang_up(carl, bob, other)


async def test_what_a_failover_forgot_is_written_again(talking: Scene) -> None:
    cluster, one = talking.cluster, talking.one
    state = talking.world.backing.state
    for key in (f"call:{{{talking.call_id}}}", f"owned:{{{one.manager.instance}}}"):
        await state.delete(key)
    for member in cluster.members:
        member.wire.forget()
    await cluster.eventually(lambda: one.owns(talking.call_id), 2.0)
    await one.kill()
    await talking.taken(within_s=6.0)
    await talking.hang_up()


async def test_calls_that_nobody_held_end_as_lost_with_bye_to_both(alone: Scene) -> None:
    await alone.talk()
    await alone.one.kill()
    await alone.cluster.member("cm-1")
    for phone in (alone.ann, alone.bob):
        await request(phone, "BYE")
        phone.respond(200)
    ended = await alone.world.wait_event("call.ended")
    assert ended.data.termination.result is CallResult.LOST
    assert ended.data.answered_at <= ended.data.ended_at
    assert alone.world.events.empty()


async def test_a_request_whose_edge_is_gone_leaves_by_another(talking: Scene) -> None:
    ann, bob = talking.ann, talking.bob
    spare = await talking.cluster.phone("1002", talking.one)
    await talking.cluster.announce_edges(bob, spare)
    await bob.node.aclose()
    ann.ask("BYE")
    event = await expect(spare, RequestReceived)
    assert event.request.method == "BYE"
    assert event.request.routes[0].uri_text.startswith("sip:token@")
    spare.transaction = event.transaction
    spare.respond(200)
    await response(ann, 200)


async def test_a_request_that_a_leaving_edge_gives_back_goes_by_another(talking: Scene) -> None:
    ann, bob, cluster = talking.ann, talking.bob, talking.cluster
    spare = await cluster.phone("1002", talking.one)
    await cluster.announce_edges(bob, state=InstanceState.DRAINING)
    await cluster.announce_edges(spare)
    ann.ask("BYE")
    given_back = await request(bob, "BYE")
    bob.respond(430)
    event = await expect(spare, RequestReceived)
    assert event.request.via.branch == given_back.via.branch
    spare.transaction = event.transaction
    spare.respond(200)
    await response(ann, 200)


async def test_a_call_costs_few_operations_and_three_waits(alone: Scene) -> None:
    one, cluster = alone.one, alone.cluster
    one.freeze()
    one.wire.counts.clear()
    await alone.talk()
    await alone.hang_up()

    async def is_over() -> bool:
        return not len(one.manager.calls) and await cluster.is_nothing_left()

    await cluster.eventually(is_over, 2.0)
    counts = one.wire.counts
    assert counts["create_owned"] == 1
    assert counts["put_owned"] <= 3
    assert counts["end_owned"] == 1
    assert sum(counts.values()) <= 12, counts


async def test_a_call_that_is_lost_before_its_next_step_began_just_goes(talking: Scene) -> None:
    [mailbox] = talking.one.manager.calls
    mailbox.doubt()
    [step] = [task for task in asyncio.all_tasks() if task.get_name() == f"call {mailbox.call_id}"]
    mailbox.drop()
    await asyncio.wait_for(step, 5.0)
    assert mailbox._breaks == 0
