"""INVITEs that come again by another edge: the phone's own, and copies of what was overheard."""

from typing import Any

import pytest

from parley.sip.derived_requests import cancel_for
from parley.sip.message import Request

from .scene import Scene
from .script import SDP_OF_BOB, request, response, unsent

PHONE = "udp:198.51.100.7:5060"
THIEF = "udp:198.51.100.7:40000"
CONNECTION = "tcp:198.51.100.7:50000:17"
OTHER_CONNECTION = "tcp:198.51.100.7:50001:18"


def via(port: int, branch: str = "z9hG4bKphone") -> str:
    return f"SIP/2.0/UDP 10.0.0.9:5060;branch={branch};received=198.51.100.7;rport={port}"


def invite_of(phone: Any, flow: str, port: int) -> Request:
    """An INVITE as an edge sends it on."""
    invite: Request = phone.make_invite("1002", b"", x_parley_source="198.51.100.7")
    invite.add("x-parley-flow", flow)
    invite.add("via", via(port))
    return invite


def copy_of(invite: Request, changes: dict[str, str]) -> Request:
    """The same without the first edge's Via, and with what another sender changed."""
    copied = invite.copy()
    copied.remove_first_value("via")
    for name, value in changes.items():
        copied.set(name.replace("_", "-"), value)
    return copied


async def ringing(scene: Scene, flow: str = PHONE, port: int = 5060) -> None:
    """Ann calls by this flow and hears it ring."""
    scene.ann.invite = invite_of(scene.ann, flow, port)
    scene.ann.send(scene.ann.invite)
    await request(scene.bob, "INVITE")
    await scene.ring()


async def third(scene: Scene) -> Any:
    """Somebody else's way to the call manager: a thief's, or another edge's."""
    return await scene.cluster.phone("1003", scene.one)


@pytest.mark.parametrize(
    "changes",
    [
        {"x_parley_flow": THIEF, "via": via(40000)},
        {"x_parley_flow": THIEF},
        {"via": via(5060, "z9hG4bKthief")},
        {"contact": "<sip:1001@203.0.113.5:5060>"},
        {"x_parley_source": "203.0.113.5"},
    ],
    ids=["another port", "hidden port", "another branch", "another contact", "another address"],
)
async def test_a_copy_is_not_answered_in_the_place_of_the_first(
    alone: Scene, changes: dict[str, str]
) -> None:
    thief = await third(alone)
    await ringing(alone)

    thief.send(copy_of(alone.ann.invite, changes))
    assert (await thief.response()).status == 482
    await alone.answer()
    assert thief.handler.events.empty()


async def test_a_copy_is_not_answered_while_its_call_is_admitted(alone: Scene) -> None:
    ann, thief = alone.ann, await third(alone)
    alone.one.wire.delay_s = 0.2
    ann.invite = invite_of(ann, PHONE, 5060)
    ann.send(ann.invite)
    calls = alone.one.manager.calls
    await alone.cluster.eventually(lambda: calls.pending_count == 1, 3.0)
    copied = thief.send(copy_of(ann.invite, {"x_parley_flow": THIEF})).request
    cancel = unsent(cancel_for(copied))
    thief.node.send_request(cancel, alone.one.hop, branch=copied.via.branch)
    heard = [await thief.response() for _ in range(2)]
    assert ("INVITE", 482) in [(each.cseq.method, each.status) for each in heard]

    await request(alone.bob, "INVITE")
    await alone.answer()


async def test_the_phones_own_repetition_by_another_edge_is_answered(alone: Scene) -> None:
    other_edge = await third(alone)
    await ringing(alone)

    other_edge.invite = alone.ann.invite
    other_edge.send(copy_of(alone.ann.invite, {}))
    await response(other_edge, 180)
    alone.bob.respond(200, SDP_OF_BOB)
    await response(other_edge, 200)


async def test_after_the_death_of_its_edge_a_phone_goes_on_by_another_connection(
    alone: Scene,
) -> None:
    ann, other_edge = alone.ann, await third(alone)
    await ringing(alone, CONNECTION, 50000)
    again = {"x_parley_flow": OTHER_CONNECTION, "via": via(50001, "z9hG4bKagain")}
    other_edge.send(copy_of(ann.invite, again))
    assert (await other_edge.response()).status == 482

    await ann.node.aclose()

    async def is_taken() -> bool:
        other_edge.send(copy_of(ann.invite, again))
        return bool((await other_edge.response()).status == 180)

    await alone.cluster.eventually(is_taken, 5.0)


async def test_who_comes_after_the_ack_hears_no_answer(alone: Scene) -> None:
    other_edge = await third(alone)
    await ringing(alone)
    await alone.answer()

    [mailbox] = alone.one.manager.calls
    await alone.cluster.eventually(lambda: mailbox.call.parts.caller.is_settled, 5.0)

    other_edge.send(copy_of(alone.ann.invite, {}))
    assert (await other_edge.response()).status == 482


async def test_a_successor_too_takes_an_invite_from_its_own_flow_only(idle: Scene) -> None:
    idle.dial(x_parley_flow=PHONE)
    await request(idle.bob, "INVITE")
    await idle.ring()
    await idle.one.kill()
    await idle.taken()
    thief, other_edge = [await idle.cluster.phone("1003", idle.other) for _ in range(2)]

    thief.send(copy_of(idle.ann.invite, {"x_parley_flow": THIEF}))
    assert (await thief.response()).status == 482
    other_edge.send(copy_of(idle.ann.invite, {}))
    await response(other_edge, 180)
