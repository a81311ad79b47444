"""CANCELs that come, or have to leave, by another edge than their INVITE did."""

from typing import Any

import pytest

from parley.backing.discovery.base import InstanceState
from parley.model.call import CallResult
from parley.sip.message import Request, Response
from parley.sip.transaction import StrayResponse

from .members import Member
from .scene import Scene
from .script import SDP_OF_BOB, cancelled, expect, request, response


@pytest.fixture
async def spare(alone: Scene) -> Any:
    """Another edge of Ann's."""
    return await alone.cluster.phone("1001", alone.one)


@pytest.fixture
async def ringing(alone: Scene) -> Scene:
    """Ann has called by her first edge, and hears it ring."""
    await alone.call()
    await alone.ring()
    return alone


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


def branch_of(scene: Scene) -> str:
    """Of Ann's INVITE."""
    return str(scene.sent.request.via.branch)


def cancel(scene: Scene, edge: Any, at: Member | None = None) -> None:
    """An edge that did not bring Ann's INVITE sends its CANCEL."""
    to = (at or scene.one).hop
    edge.node.send_request(cancel_of(scene.ann), to, branch=branch_of(scene))


async def stray_487(phone: Any) -> Response:
    """The end of another phone's INVITE; who takes a call over repeats its 180 before."""
    event = await expect(phone, StrayResponse, lambda each: each.response.status == 487)
    return event.response


async def test_it_cancels_and_the_487_goes_to_the_edge_that_waits_for_it(
    ringing: Scene, spare: Any
) -> None:
    cancel(ringing, spare)
    assert (await response(spare, 200)).cseq.method == "CANCEL"
    await cancelled(ringing.bob)
    ringing.bob.respond(487)
    await response(ringing.ann, 487)
    ended = await ringing.world.wait_event("call.ended")
    assert ended.data.termination.result is CallResult.CANCELLED


async def test_the_487_does_not_go_to_an_edge_that_leaves(ringing: Scene, spare: Any) -> None:
    await ringing.cluster.announce_edges(ringing.ann, state=InstanceState.DRAINING)

    cancel(ringing, spare)
    await response(spare, 200)
    assert (await stray_487(spare)).via.branch == branch_of(ringing)


async def test_it_cancels_a_call_that_was_taken_over(idle: Scene, spare: Any) -> None:
    await idle.call()
    await idle.ring()
    await idle.ann.node.aclose()
    await idle.cluster.announce_edges(spare)
    await idle.one.kill()
    await idle.taken()

    cancel(idle, spare, at=idle.other)
    await response(spare, 200)
    await cancelled(idle.bob)
    assert (await stray_487(spare)).via.branch == branch_of(idle)
    ended = await idle.world.wait_event("call.ended")
    assert ended.data.termination.result is CallResult.CANCELLED


async def test_it_cancels_a_call_that_is_being_admitted(alone: Scene, spare: Any) -> None:
    alone.one.wire.delay_s = 0.5
    alone.dial()
    await alone.cluster.eventually(lambda: alone.one.manager.calls.pending_count > 0, 3.0)

    cancel(alone, spare)
    assert (await response(spare, 200)).cseq.method == "CANCEL"
    await response(alone.ann, 487)
    assert alone.bob.handler.events.empty()


async def test_it_cancels_a_re_invite(alone: Scene, spare: Any) -> None:
    ann, bob, one = alone.ann, alone.bob, alone.one
    await alone.talk()
    sent = ann.ask("INVITE", SDP_OF_BOB, headers=(("x-parley-source", "127.0.0.1"),))
    await request(bob, "INVITE")
    stray = cancel_of(ann)
    stray.set("to", sent.request.get("to"))
    stray.set("cseq", f"{sent.request.cseq.number} CANCEL")

    spare.node.send_request(stray, one.hop, branch=sent.request.via.branch)
    await response(spare, 200)
    await cancelled(bob)
    bob.respond(487)
    await response(ann, 487)
    assert one.holds(alone.call_id)


async def test_it_cancels_nothing_without_the_branch_or_from_another_address(
    ringing: Scene, spare: Any
) -> None:
    ann, hop, branch = ringing.ann, ringing.one.hop, branch_of(ringing)
    later = cancel_of(ann)
    later.set("cseq", "2 CANCEL")

    spare.node.send_request(cancel_of(ann), hop)
    await response(spare, 481)
    spare.node.send_request(cancel_of(ann, "192.0.2.66"), hop, branch=branch)
    await response(spare, 481)
    spare.node.send_request(later, hop, branch=branch)
    await response(spare, 481)
    ringing.bob.respond(486)
    await response(ann, 486)


async def test_it_comes_too_late_for_a_call_that_has_ended(ringing: Scene, spare: Any) -> None:
    ringing.bob.respond(486)
    await response(ringing.ann, 486)

    cancel(ringing, spare)
    await response(spare, 481)


async def test_a_cancel_whose_edge_is_gone_leaves_by_another(alone: Scene) -> None:
    ann, bob = alone.ann, alone.bob
    spare = await alone.cluster.phone("1002", alone.one)
    await alone.cluster.announce_edges(bob, spare)
    await alone.call()
    await alone.ring()
    ann.node.cancel(alone.sent, [("reason", "SIP;cause=487")])
    await cancelled(bob)
    await bob.node.aclose()

    await request(spare, "INVITE")
    spare.respond(180)
    assert (await cancelled(spare)).get("reason") == "SIP;cause=487"
    spare.respond(487)
    await response(ann, 487)
