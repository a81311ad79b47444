"""CANCELs that come, or have to leave, by another edge than their INVITE did."""

from typing import Any, cast

import pytest

from parley.backing.discovery.base import InstanceState
from parley.model.call import CallResult
from parley.sip.message import Request, Response
from parley.sip.transaction import StrayResponse


@pytest.fixture
async def one(cluster: Any) -> Any:
    """The owner-to-be."""
    return await cluster.member("cm-1")


def cancel_of(phone: Any, source: str = "127.0.0.1") -> Request:
    """What another edge makes of the CANCEL of a phone's INVITE."""
    invite = phone.invite
    cancel = Request("CANCEL", invite.uri_text)
    for name in ("from", "to", "call-id"):
        cancel.add(name, invite.get(name))
    cancel.add("cseq", f"{invite.cseq.number} CANCEL")
    cancel.add("max-forwards", "70")
    cancel.add("x-parley-source", source)
    return cancel


async def ringing(script: Any, ann: Any, bob: Any) -> str:
    """Ann calls and hears it ring; returns the branch of her INVITE."""
    sent = ann.call("1002")
    await script.request(bob, "INVITE")
    bob.respond(180)
    await script.response(ann, 180)
    return str(sent.request.via.branch)


async def stray_487(script: Any, phone: Any) -> Response:
    """The end of another phone's INVITE; who takes a call over repeats its 180 before."""
    event = await script.expect(phone, StrayResponse, lambda each: each.response.status == 487)
    return cast(Response, event.response)


async def test_it_cancels_and_the_487_goes_to_the_edge_that_waits_for_it(
    cluster: Any, script: Any, one: Any
) -> None:
    ann, bob = await cluster.pair(one)
    spare = await cluster.phone("1001", one)
    branch = await ringing(script, ann, bob)

    spare.node.send_request(cancel_of(ann), one.hop, branch=branch)
    assert (await script.response(spare, 200)).cseq.method == "CANCEL"
    await script.cancelled(bob)
    bob.respond(487)
    await script.response(ann, 487)
    ended = await cluster.world.wait_event("call.ended")
    assert ended.data.termination.result is CallResult.CANCELLED


async def test_the_487_does_not_go_to_an_edge_that_leaves(
    cluster: Any, script: Any, one: Any
) -> None:
    ann, bob = await cluster.pair(one)
    spare = await cluster.phone("1001", one)
    await cluster.announce_edges(ann, state=InstanceState.DRAINING)
    branch = await ringing(script, ann, bob)

    spare.node.send_request(cancel_of(ann), one.hop, branch=branch)
    await script.response(spare, 200)
    assert (await stray_487(script, spare)).via.branch == branch


async def test_it_cancels_a_call_that_was_taken_over(cluster: Any, script: Any, one: Any) -> None:
    other = await cluster.member("cm-2")
    ann, bob = await cluster.pair(one)
    spare = await cluster.phone("1001", other)
    branch = await ringing(script, ann, bob)
    await ann.node.aclose()
    await cluster.announce_edges(spare)
    await one.kill()

    async def is_taken() -> bool:
        return other.manager.calls.get(ann.call_id) is not None

    await cluster.eventually(is_taken, 3.0)
    spare.node.send_request(cancel_of(ann), other.hop, branch=branch)
    await script.response(spare, 200)
    await script.cancelled(bob)
    assert (await stray_487(script, spare)).via.branch == branch
    ended = await cluster.world.wait_event("call.ended")
    assert ended.data.termination.result is CallResult.CANCELLED


async def test_it_cancels_a_call_that_is_being_admitted(
    cluster: Any, script: Any, one: Any
) -> None:
    ann, bob = await cluster.pair(one)
    spare = await cluster.phone("1001", one)
    one.wire.delay_s = 0.5
    sent = ann.call("1002")

    async def is_pending() -> bool:
        return bool(one.manager.calls.pending_count)

    await cluster.eventually(is_pending, 3.0)
    spare.node.send_request(cancel_of(ann), one.hop, branch=sent.request.via.branch)
    assert (await script.response(spare, 200)).cseq.method == "CANCEL"
    await script.response(ann, 487)
    assert bob.handler.events.empty()


async def test_it_cancels_a_re_invite(cluster: Any, script: Any, one: Any) -> None:
    ann, bob = await cluster.talk(one)
    spare = await cluster.phone("1001", one)
    sent = ann.ask("INVITE", script.sdp_of_bob, headers=(("x-parley-source", "127.0.0.1"),))
    await script.request(bob, "INVITE")
    cancel = cancel_of(ann)
    cancel.set("to", sent.request.get("to"))
    cancel.set("cseq", f"{sent.request.cseq.number} CANCEL")

    spare.node.send_request(cancel, one.hop, branch=sent.request.via.branch)
    await script.response(spare, 200)
    await script.cancelled(bob)
    bob.respond(487)
    await script.response(ann, 487)
    assert one.manager.calls.get(ann.call_id) is not None


async def test_it_cancels_nothing_without_the_branch_or_from_another_address(
    cluster: Any, script: Any, one: Any
) -> None:
    ann, bob = await cluster.pair(one)
    spare = await cluster.phone("1001", one)
    branch = await ringing(script, ann, bob)

    spare.node.send_request(cancel_of(ann), one.hop)
    await script.response(spare, 481)
    spare.node.send_request(cancel_of(ann, "192.0.2.66"), one.hop, branch=branch)
    await script.response(spare, 481)
    later = cancel_of(ann)
    later.set("cseq", "2 CANCEL")
    spare.node.send_request(later, one.hop, branch=branch)
    await script.response(spare, 481)
    bob.respond(486)
    await script.response(ann, 486)


async def test_it_comes_too_late_for_a_call_that_has_ended(
    cluster: Any, script: Any, one: Any
) -> None:
    ann, bob = await cluster.pair(one)
    spare = await cluster.phone("1001", one)
    branch = await ringing(script, ann, bob)
    bob.respond(486)
    await script.response(ann, 486)

    spare.node.send_request(cancel_of(ann), one.hop, branch=branch)
    await script.response(spare, 481)


async def test_a_cancel_whose_edge_is_gone_leaves_by_another(
    cluster: Any, script: Any, one: Any
) -> None:
    ann, bob = await cluster.pair(one)
    spare = await cluster.phone("1002", one)
    await cluster.announce_edges(bob, spare)
    sent = ann.call("1002")
    await script.request(bob, "INVITE")
    bob.respond(180)
    await script.response(ann, 180)
    ann.node.cancel(sent, [("reason", "SIP;cause=487")])
    await script.cancelled(bob)
    await bob.node.aclose()

    await script.request(spare, "INVITE")
    spare.respond(180)
    assert (await script.cancelled(spare)).get("reason") == "SIP;cause=487"
    spare.respond(487)
    await script.response(ann, 487)
