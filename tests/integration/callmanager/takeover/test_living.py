"""Owners that live: asked to stop, frozen, cut off; and messages that come to the wrong one."""

import asyncio
from typing import Any

import pytest

from parley.backing.discovery.base import InstanceState
from parley.model.call import CallResult
from parley.sip.transaction import AckReceived, RequestReceived, ResponseReceived


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


def is_here(member: Any, call_id: str) -> Any:
    async def check() -> bool:
        return member.manager.calls.get(call_id) is not None

    return check


def is_not_here(member: Any, call_id: str) -> Any:
    async def check() -> bool:
        return member.manager.calls.get(call_id) is None

    return check


async def test_a_request_for_the_call_of_another_is_redirected(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    ann.to = other.hop
    ann.ask("INFO")
    refused = await script.response(ann, 503)
    assert refused.get("x-parley-owner") == one.manager.instance
    await hang_up(script, ann, bob, one)


async def test_a_call_whose_living_owner_an_edge_cannot_reach_is_taken_from_it(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    ann.to = other.hop
    ann.ask("INFO", headers=(("x-parley-unreachable", one.manager.instance),))
    await script.request(bob, "INFO")
    bob.respond(200)
    await script.response(ann, 200)
    await hang_up(script, bob, ann, other)


async def test_an_ack_that_comes_to_another_is_forwarded_to_the_owner(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.pair(one)
    ann.call("1002", b"")
    await script.request(bob, "INVITE")
    bob.respond(200, script.sdp_of_bob)
    await script.response(ann, 200)
    ann.to = other.hop
    ann.ack(script.sdp_of_bob)
    await script.expect(bob, AckReceived)
    await hang_up(script, bob, ann, one)


async def test_a_response_that_comes_to_another_is_forwarded_to_the_owner(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.pair(one)
    ann.call("1002")
    await script.request(bob, "INVITE")
    bob.transaction.move(other.hop)
    bob.respond(200, script.sdp_of_bob)
    await script.response(ann, 200)
    ann.ack()
    await hang_up(script, ann, bob, one)


async def test_an_invite_that_comes_to_another_is_not_a_second_call(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.pair(one)
    ann.call("1002")
    await script.request(bob, "INVITE")
    copy = ann.invite.copy()
    copy.remove_first_value("via")
    ann.node.send_request(copy, other.hop)
    refused = await script.response(ann, 503)
    assert refused.get("x-parley-owner") == one.manager.instance
    bob.respond(486)
    await script.response(ann, 486)


async def test_an_invite_by_another_way_to_the_owner_gets_the_answer(
    cluster: Any, script: Any, two: Any
) -> None:
    one, _ = two
    ann, bob = await cluster.pair(one)
    ann.call("1002")
    await script.request(bob, "INVITE")
    copy = ann.invite.copy()
    copy.remove_first_value("via")
    again = ann.node.send_request(copy, one.hop)
    await script.expect(ann, ResponseReceived, lambda event: event.transaction is again)
    bob.respond(486)
    await script.expect(
        ann,
        ResponseReceived,
        lambda event: event.transaction is again and event.response.status == 486,
    )


async def test_asked_to_stop_it_hands_its_calls_over_and_they_go_on_at_once(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    draining = asyncio.ensure_future(one.manager.drain(30.0))
    await cluster.eventually(is_not_here(one, ann.call_id), 1.0)
    ann.ask("INFO")
    refused = await script.response(ann, 503)
    assert refused.get("x-parley-owner") == other.manager.instance
    ann.to = other.hop
    ann.ask("INVITE", script.sdp_of_bob)
    await script.request(bob, "INVITE")
    bob.respond(200, script.sdp_of_bob)
    await script.response(ann, 200)
    ann.ack(cseq=3)
    async with asyncio.timeout(2.0):
        await draining
    assert not len(one.manager.calls)
    await one.manager.aclose()
    await hang_up(script, ann, bob, other)
    ended = await cluster.world.wait_event("call.ended")
    assert ended.data.termination.result is CallResult.ANSWERED
    owners = await cluster.world.backing.state.set_range("owners:{callmanager}")
    assert [name for name, _ in owners] == [other.manager.instance]


async def test_an_unanswered_invite_is_redirected_when_its_call_is_handed_over(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.pair(one)
    ann.call("1002")
    await script.request(bob, "INVITE")
    before = bob.transaction.hop
    bob.respond(180)
    await script.response(ann, 180)
    draining = asyncio.ensure_future(one.manager.drain(30.0))
    refused = await script.response(ann, 503)
    assert refused.get("x-parley-owner") == other.manager.instance
    ann.to = other.hop
    copy = ann.invite.copy()
    copy.remove_first_value("via")
    ann.send(copy)
    await script.moved(bob, before)
    bob.respond(200, script.sdp_of_bob)
    await script.response(ann, 200)
    ann.ack()
    await draining
    await hang_up(script, ann, bob, other)


async def test_many_calls_are_handed_over_within_seconds(cluster: Any, two: Any) -> None:
    one, other = two
    ann, bob = await cluster.pair(one)
    for _ in range(40):
        ann.call("1002")
    bob.handler.answer = lambda transaction, request: None

    async def are_here() -> bool:
        return len(one.manager.calls) == 40 and not any(m.is_busy for m in one.manager.calls)

    await cluster.eventually(are_here, 5.0)
    start = cluster.world.clock.now()
    await one.manager.drain(30.0)
    assert cluster.world.clock.now() - start < 5.0

    async def are_there() -> bool:
        return len(other.manager.calls) == 40

    await cluster.eventually(are_there, 5.0)


async def test_a_frozen_owner_wakes_up_fenced_and_stays_silent(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    one.freeze()
    await cluster.eventually(is_here(other, ann.call_id), 3.0)
    assert one.manager.calls.get(ann.call_id) is not None
    ann.ask("INFO")
    refused = await script.response(ann, 503)
    assert refused.get("x-parley-owner") == other.manager.instance
    assert one.manager.calls.get(ann.call_id) is None
    one.thaw()
    await hang_up(script, ann, bob, other)
    assert cluster.world.seen.count("call.ended") == 0
    await cluster.world.wait_event("call.ended")
    assert cluster.world.events.empty()


async def test_a_frozen_owner_drops_its_calls_by_itself_when_it_wakes_up(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    one.freeze()
    await cluster.eventually(is_here(other, ann.call_id), 3.0)
    one.thaw()
    await cluster.eventually(is_not_here(one, ann.call_id), 2.0)
    await hang_up(script, ann, bob, other)


async def test_an_owner_that_alone_lost_state_leaves_its_calls(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    one.wire.is_cut = True
    await cluster.eventually(is_here(other, ann.call_id), 3.0)
    await cluster.eventually(is_not_here(one, ann.call_id), 2.0)
    ann.ask("INFO")
    refused = await script.response(ann, 503)
    assert refused.get("x-parley-owner") == other.manager.instance
    ann.to = one.hop
    ann.call("1002")
    assert (await script.response(ann, 503)).get("retry-after")
    await hang_up(script, bob, ann, other)


async def test_without_state_for_all_calls_go_on_and_are_protected_later(
    cluster: Any, script: Any, two: Any
) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    for member in two:
        member.wire.is_cut = True

    async def is_unprotected() -> bool:
        return not one.manager.keeper.is_valid and not other.manager.keeper.is_valid

    await cluster.eventually(is_unprotected, 3.0)
    carl = await cluster.phone("1001", one)
    carl.call("1002")
    await script.request(bob, "INVITE")
    bob.dialog = None
    bob.call_id = ""
    bob.respond(200, script.sdp_of_bob)
    await script.response(carl, 200)
    carl.ack()
    for member in two:
        member.wire.is_cut = False

    async def is_written() -> bool:
        return all([await one.owns(carl.call_id), await one.owns(ann.call_id)])

    await cluster.eventually(is_written, 3.0)
    await one.kill()
    await cluster.eventually(is_here(other, carl.call_id), 6.0)
    await hang_up(script, carl, bob, other)


async def test_what_a_failover_forgot_is_written_again(cluster: Any, script: Any, two: Any) -> None:
    one, other = two
    ann, bob = await cluster.talk(one)
    state = cluster.world.backing.state
    await state.delete(f"call:{{{ann.call_id}}}", f"owned:{{{one.manager.instance}}}")
    for member in two:
        member.wire.forget()

    async def is_written() -> bool:
        return bool(await one.owns(ann.call_id))

    await cluster.eventually(is_written, 2.0)
    await one.kill()
    await cluster.eventually(is_here(other, ann.call_id), 6.0)
    await hang_up(script, ann, bob, other)


async def test_calls_that_nobody_held_end_as_lost_with_bye_to_both(
    cluster: Any, script: Any
) -> None:
    one = await cluster.member("cm-1")
    ann, bob = await cluster.talk(one)
    await one.kill()
    await cluster.member("cm-1")
    for phone in (ann, bob):
        await script.request(phone, "BYE")
        phone.respond(200)
    ended = await cluster.world.wait_event("call.ended")
    assert ended.data.termination.result is CallResult.LOST
    assert ended.data.answered_at <= ended.data.ended_at
    assert cluster.world.events.empty()


async def test_a_request_whose_edge_is_gone_leaves_by_another(
    cluster: Any, script: Any, two: Any
) -> None:
    one, _ = two
    ann, bob = await cluster.talk(one)
    spare = await cluster.phone("1002", one)
    await cluster.announce_edges(bob, spare)
    await bob.node.aclose()
    ann.ask("BYE")
    event = await script.expect(spare, RequestReceived)
    assert event.request.method == "BYE"
    assert event.request.routes[0].uri_text.startswith("sip:token@")
    spare.transaction = event.transaction
    spare.respond(200)
    await script.response(ann, 200)


async def test_a_request_that_a_leaving_edge_gives_back_goes_by_another(
    cluster: Any, script: Any, two: Any
) -> None:
    one, _ = two
    ann, bob = await cluster.talk(one)
    spare = await cluster.phone("1002", one)
    await cluster.announce_edges(bob, state=InstanceState.DRAINING)
    await cluster.announce_edges(spare)
    ann.ask("BYE")
    given_back = await script.request(bob, "BYE")
    bob.respond(430)
    event = await script.expect(spare, RequestReceived)
    assert event.request.via.branch == given_back.via.branch
    spare.transaction = event.transaction
    spare.respond(200)
    await script.response(ann, 200)


async def test_a_call_costs_few_operations_and_three_waits(cluster: Any, script: Any) -> None:
    one = await cluster.member("cm-1")
    ann, bob = await cluster.pair(one)
    one.freeze()
    one.wire.counts.clear()
    ann.call("1002")
    await script.request(bob, "INVITE")
    bob.respond(200, script.sdp_of_bob)
    await script.response(ann, 200)
    ann.ack()
    await script.expect(bob, AckReceived)
    await hang_up(script, ann, bob, one)

    async def is_over() -> bool:
        return not len(one.manager.calls) and not await cluster.world.snapshot_keys()

    await cluster.eventually(is_over, 2.0)
    counts = one.wire.counts
    assert counts["create_owned"] == 1
    assert counts["put_owned"] <= 3
    assert counts["delete_owned"] == 1
    assert sum(counts.values()) <= 12, counts


async def test_a_call_that_is_lost_before_its_next_step_began_just_goes(
    cluster: Any, script: Any, two: Any
) -> None:
    one, _ = two
    await cluster.talk(one)
    [mailbox] = one.manager.calls
    mailbox.doubt()
    [step] = [task for task in asyncio.all_tasks() if task.get_name() == f"call {mailbox.call_id}"]
    mailbox.drop()
    await asyncio.wait_for(step, 5.0)
    assert mailbox._breaks == 0
