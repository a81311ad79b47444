"""INVITE and what follows, through sockets: to a call manager, to a phone, within a dialog."""

from typing import TYPE_CHECKING

import pytest

from parley.edgeproxy.app import EdgeProxy
from parley.sip.message import Response
from parley.sip.transaction import (
    AckReceived,
    CancelReceived,
    RequestReceived,
    ResponseReceived,
)
from parley.siptransport.stream import StreamTransport
from parley.testkit.contracts.arms import settled

if TYPE_CHECKING:
    from tests.integration.edgeproxy.conftest import CallManager, Phone, World

DIALLED = "sip:1002@demo.test"


async def test_invite_reaches_a_call_manager_with_what_the_edge_asserts(
    world: "World", manager: "CallManager", phone: "Phone"
) -> None:
    _, transaction = await phone.call(manager)

    got = transaction.request
    assert got.uri_text == DIALLED
    assert got.get("p-asserted-identity") == "<sip:1001@demo.test>"
    assert got.get("x-parley-tenant") == world.tenant
    assert got.get("x-parley-source") == "127.0.0.1"
    assert got.get("x-parley-call")
    assert got.get("max-forwards") == "69"
    assert not got.has("proxy-authorization")
    inside, outside = got.record_routes
    assert str(inside.uri).endswith("@edge;transport=local;lr")
    assert str(outside.uri).endswith(f"@127.0.0.1:{phone.edge_hop.port};lr")


async def test_smuggled_headers_of_a_phone_are_removed(
    world: "World", manager: "CallManager", phone: "Phone"
) -> None:
    _, transaction = await phone.call(
        manager,
        x_parley_tenant="other",
        x_parley_call="mine",
        x_parley_secret="x",
        p_asserted_identity="<sip:boss@demo.test>",
        diversion="<sip:boss@demo.test>",
        route="<sip:10.0.0.1;lr>",
        subject="stays",
    )

    got = transaction.request
    assert got.get_all("p-asserted-identity") == ["<sip:1001@demo.test>"]
    assert got.get_all("x-parley-tenant") == [world.tenant]
    assert len(got.get_all("x-parley-call")) == 1
    assert got.get("x-parley-call") != "mine"
    assert not any(got.has(name) for name in ("x-parley-secret", "diversion", "route"))
    assert got.get("subject") == "stays"


async def test_phone_that_dials_the_edge_means_its_own_tenant(
    manager: "CallManager", phone: "Phone"
) -> None:
    _, transaction = await phone.call(manager, f"sip:1002@127.0.0.1:{phone.edge_hop.port}")

    assert transaction.request.uri_text == DIALLED


async def test_call_lives_from_invite_to_bye(manager: "CallManager", phone: "Phone") -> None:
    invite, transaction, ok = await phone.answered(manager)
    assert ok.status == 200

    phone.node.send(phone.ack(invite, ok), phone.edge_hop)
    ack = (await manager.handler.next(AckReceived)).request
    phone.send(phone.in_dialog("BYE", invite, ok))
    bye = await manager.handler.next(RequestReceived)
    manager.answer(bye.transaction, 200)

    assert (await phone.response()).status == 200
    call_id = transaction.request.get("x-parley-call")
    assert ack.get("x-parley-call") == call_id
    assert bye.request.get("x-parley-call") == call_id
    assert not bye.request.has("route")


async def test_cancel_reaches_the_call_manager_with_its_reason(
    manager: "CallManager", phone: "Phone"
) -> None:
    _, transaction = await phone.call(manager)
    manager.answer(transaction, 180)
    ringing = await phone.handler.next(ResponseReceived)
    while ringing.response.status == 100:
        ringing = await phone.handler.next(ResponseReceived)

    phone.node.cancel(ringing.transaction, [("reason", "SIP;cause=600")])

    cancelled = await manager.handler.next(CancelReceived)
    assert cancelled.transaction is transaction
    assert cancelled.request.get("reason") == "SIP;cause=600"
    manager.answer(transaction, 487)
    assert (await phone.response()).status == 487


@pytest.mark.parametrize("status", [404, 486, 480, 603])
async def test_failures_of_the_call_manager_reach_the_phone(
    status: int, manager: "CallManager", phone: "Phone"
) -> None:
    _, transaction = await phone.call(manager)

    manager.answer(transaction, status)

    assert (await phone.response()).status == status


async def test_without_call_manager_a_call_is_refused_for_now(phone: "Phone") -> None:
    response = await phone.authenticated(phone.request("INVITE", DIALLED))

    assert response.status == 503
    assert response.has("retry-after")


async def test_unreachable_call_manager_is_replaced_by_another(world: "World") -> None:
    gone, alive = await world.call_manager("cm1"), await world.call_manager("cm2", calls=1000)
    edge = await world.edge()
    phone = await world.phone(edge)
    await gone.node.aclose()

    for _ in range(3):
        _, transaction = await phone.call(alive)
        token = edge._proxy._routes._token_of(transaction.request.record_routes[0].uri)
        assert token is not None
        assert token.owner == "cm2"
        assert len(transaction.request.record_routes) == 2
        alive.answer(transaction, 486)
        assert (await phone.response()).status == 486


async def test_busy_call_manager_is_replaced_by_another(world: "World") -> None:
    first, second = await world.call_manager("cm1"), await world.call_manager("cm2", calls=50)
    phone = await world.phone(await world.edge())
    _, transaction = await phone.call(first)

    first.answer(transaction, 503)

    again = await second.handler.next(RequestReceived)
    assert again.request.get("x-parley-call") == transaction.request.get("x-parley-call")


async def test_trusted_peer_calls_without_digest(world: "World", manager: "CallManager") -> None:
    phone = await world.phone(await world.edge(trusted_peers="127.0.0.1=demo.test"), "4711")

    phone.send(phone.request("INVITE", DIALLED))

    got = (await manager.handler.next(RequestReceived)).request
    assert got.get("p-asserted-identity") == "<sip:4711@demo.test>"
    assert got.get("x-parley-tenant") == world.tenant


@pytest.mark.parametrize(
    ("method", "status"),
    [
        *[(method, 405) for method in ("MESSAGE", "NOTIFY", "PRACK", "REFER", "SUBSCRIBE")],
        *[("BYE", 481), ("UPDATE", 481), ("FROBNICATE", 501)],
    ],
)
async def test_other_methods_are_challenged_and_then_refused(
    method: str, status: int, phone: "Phone"
) -> None:
    response = await phone.authenticated(phone.request(method, DIALLED))

    assert response.status == status
    allow = (response.get("allow") or "").split(", ")
    assert (method not in allow) if response.has("allow") else status == 481


async def test_an_extension_required_of_us_is_refused(phone: "Phone") -> None:
    request = phone.request("OPTIONS", "sip:demo.test")
    request.add("require", "made-up-extension")

    response = await phone.exchange(request)

    assert (response.status, response.get("unsupported")) == (420, "made-up-extension")


async def test_a_call_by_sips_needs_tls(phone: "Phone") -> None:
    assert (await phone.exchange(phone.request("INVITE", "sips:1002@demo.test"))).status == 403


async def test_options_to_an_extension_are_a_call_managers_once_the_caller_is_known(
    world: "World", manager: "CallManager", phone: "Phone"
) -> None:
    options = phone.request("OPTIONS", DIALLED)
    phone.send(phone.authorized(options, await phone.exchange(options)))

    received = await manager.handler.next(RequestReceived)
    assert received.request.get("x-parley-tenant") == world.tenant
    manager.answer(received.transaction, 480)
    assert (await phone.response()).status == 480


async def test_options_to_the_edge_are_answered(phone: "Phone") -> None:
    response = await phone.exchange(phone.request("OPTIONS", "sip:demo.test"))

    assert response.status == 200
    assert "INVITE" in (response.get("allow") or "")


async def test_request_out_of_hops_is_refused(phone: "Phone") -> None:
    request = phone.request("INVITE", DIALLED)
    request.set("max-forwards", "0")

    assert (await phone.exchange(request)).status == 483


async def test_own_via_below_the_top_is_a_loop(phone: "Phone") -> None:
    request = phone.request("INVITE", DIALLED)
    request.add("via", f"SIP/2.0/UDP 127.0.0.1:{phone.edge_hop.port};branch=z9hG4bKold")

    assert (await phone.exchange(request)).status == 482


async def test_unknown_proxy_extension_is_refused(phone: "Phone") -> None:
    request = phone.request("INVITE", DIALLED)
    request.add("proxy-require", "foo")

    response = await phone.exchange(request)

    assert (response.status, response.get("unsupported")) == (420, "foo")


async def test_stray_response_from_outside_goes_nowhere(world: "World") -> None:
    await world.call_manager()
    edge = await world.edge()
    phone, victim = await world.phone(edge), await world.phone(edge)
    edge_via = f"SIP/2.0/UDP 127.0.0.1:{phone.edge_hop.port};branch=z9hG4bKnone"
    stray = Response(200)
    stray.add("via", edge_via)
    stray.add("via", f"SIP/2.0/UDP 127.0.0.1:{victim.hop.port};branch=z9hG4bKvictim")
    stray.add("from", "<sip:a@b.test>;tag=1")
    stray.add("to", "<sip:a@b.test>;tag=2")
    stray.add("call-id", "stray")
    stray.add("cseq", "1 INVITE")

    phone.node.send(stray, phone.edge_hop)
    assert (await phone.exchange(phone.request("OPTIONS", "sip:demo.test"))).status == 200

    assert victim.handler.events.empty()


async def test_draining_edge_refuses_new_calls_and_ends_when_idle(
    manager: "CallManager", edge: EdgeProxy, phone: "Phone"
) -> None:
    invite, _, ok = await phone.answered(manager)

    await edge.drain(1.0)

    assert not edge.is_ready()
    assert (await phone.exchange(phone.request("INVITE", DIALLED))).status == 503
    phone.send(phone.in_dialog("BYE", invite, ok))
    assert (await manager.handler.next(RequestReceived)).request.method == "BYE"


async def test_a_caller_whose_connection_broke_is_answered_over_his_new_one(
    world: "World", manager: "CallManager", edge: EdgeProxy
) -> None:
    phone = await world.phone(edge, transport="tcp")
    invite, transaction = await phone.call(manager)
    branch = invite.via.branch
    stream = phone.node.transports["tcp"]
    assert isinstance(stream, StreamTransport)
    for connection in list(stream._by_flow.values()):
        connection.abort()
    await settled(lambda: edge.node.transports["tcp"].connection_count == 0)

    invite.remove("via")
    repeated = phone.node.send_request(invite, phone.edge_hop, branch=branch)
    await phone.handler.find(ResponseReceived)  # 100
    manager.answer(transaction, 200)
    answer = await phone.handler.next(ResponseReceived)

    assert (answer.transaction, answer.response.status) == (repeated, 200)
    assert manager.handler.events.empty()
