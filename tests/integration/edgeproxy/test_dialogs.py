"""Requests within dialogs and towards phones, through sockets: tokens, flows, two edges."""

from typing import TYPE_CHECKING

import pytest

from parley.edgeproxy.app import EdgeProxy
from parley.sip.hop import Hop
from parley.sip.message import response_to
from parley.sip.transaction import RequestReceived, ResponseReceived

if TYPE_CHECKING:
    from tests.integration.edgeproxy.conftest import CallManager, Phone, World


async def test_binding_is_called_over_its_path(
    world: "World", manager: "CallManager", edge: EdgeProxy
) -> None:
    callee = await world.phone(edge, "1002", "tcp")
    await callee.register()
    (binding,) = await world.bindings("1002")
    invite = manager.request("INVITE", binding.contact, binding.path)
    invite.add("x-parley-call", "call-7")

    manager.node.send_request(invite, Hop("local", "edge", 0))

    got = await callee.handler.next(RequestReceived)
    assert got.request.uri_text == callee.contact
    assert not got.request.has("x-parley-call")
    for internal in (b"parley.internal", b"call-7", b"transport=local"):
        assert internal not in bytes(got.request)
    (outside,) = got.request.record_routes
    assert "transport=tcp" in str(outside.uri)
    token = edge._proxy._routes._token_of(outside.uri)
    assert token is not None
    assert (token.call_id, token.owner) == ("call-7", "cm1")
    response = response_to(got.request, 180, to_tag="callee")
    response.copy_lines("record-route", got.request)
    callee.node.respond(got.transaction, response)
    ringing = (await manager.handler.next(ResponseReceived)).response
    while ringing.status == 100:
        ringing = (await manager.handler.next(ResponseReceived)).response
    shown, inside = ringing.record_routes
    assert shown == outside
    assert str(inside.uri).endswith("@edge;transport=local;lr")
    assert edge._proxy._routes._token_of(inside.uri) == token


async def test_a_phone_is_not_told_what_the_edge_is_called_inside(
    manager: "CallManager", phone: "Phone"
) -> None:
    _, transaction, ok = await phone.answered(manager)

    inside, outside = transaction.request.record_routes
    assert "transport=local" in str(inside.uri)
    assert ok.record_routes == [outside]


async def test_flow_that_is_gone_is_told(
    world: "World", manager: "CallManager", edge: EdgeProxy
) -> None:
    callee = await world.phone(edge, "1002", "tcp")
    await callee.register()
    (binding,) = await world.bindings("1002")
    await callee.node.aclose()
    invite = manager.request("INVITE", binding.contact, binding.path)

    manager.node.send_request(invite, Hop("local", "edge", 0))

    response = await manager.final()
    assert response.status == 430


async def test_inside_request_without_flow_has_nowhere_to_go(
    world: "World", manager: "CallManager"
) -> None:
    await world.edge()

    manager.node.send_request(
        manager.request("INVITE", "sip:x@10.0.0.1", []), Hop("local", "edge", 0)
    )

    assert (await manager.final()).status == 480


async def test_call_manager_hangs_up_over_the_callers_flow(
    world: "World", manager: "CallManager"
) -> None:
    phone = await world.phone(await world.edge(), transport="tcp")
    _, transaction, _ = await phone.answered(manager)
    routes = transaction.request.get_all("record-route")
    bye = manager.request("BYE", phone.contact, routes, to_tag="phone-1001")
    bye.add("x-parley-call", "secret")

    manager.node.send_request(bye, Hop("local", "edge", 0))

    got = await phone.handler.next(RequestReceived)
    assert got.request.method == "BYE"
    assert not got.request.has("route")
    assert not got.request.has("x-parley-call")


async def test_call_crosses_two_edges(world: "World", manager: "CallManager") -> None:
    caller_edge, callee_edge = await world.edge("edge-1"), await world.edge("edge-2")
    caller = await world.phone(caller_edge, "1001")
    callee = await world.phone(callee_edge, "1002")
    await callee.register()
    _, transaction = await caller.call(manager)
    (binding,) = await world.bindings("1002")
    invite = manager.request("INVITE", binding.contact, binding.path)

    manager.node.send_request(invite, Hop("local", "edge-2", 0))
    got = await callee.handler.next(RequestReceived)
    manager.answer(transaction, 200)

    assert got.request.method == "INVITE"
    assert (await caller.response()).status == 200


async def test_any_edge_takes_a_request_of_a_dialog(world: "World", manager: "CallManager") -> None:
    first, second = await world.edge("edge-1"), await world.edge("edge-2")
    phone = await world.phone(first)
    invite, transaction, ok = await phone.answered(manager)
    phone.edge = second

    phone.send(phone.in_dialog("BYE", invite, ok))

    bye = await manager.handler.next(RequestReceived)
    assert bye.request.get("x-parley-call") == transaction.request.get("x-parley-call")
    assert not bye.request.has("route")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_phone_that_moved_is_told_with_its_new_route(
    world: "World", transport: str, manager: "CallManager", edge: EdgeProxy
) -> None:
    phone = await world.phone(edge, transport=transport)
    invite, _, ok = await phone.answered(manager)
    moved = await world.phone(edge, transport=transport)
    moved.cseq = phone.cseq

    for each, method in ((phone, "INVITE"), (moved, "INFO"), (moved, "INVITE"), (moved, "UPDATE")):
        moved.cseq = phone.cseq = moved.cseq + 1
        request = each.in_dialog(method, invite, ok)
        request.add("x-parley-route", "<sip:stranger@192.0.2.66;lr>")
        each.send(request)
        got = (await manager.handler.next(RequestReceived)).request
        is_news = each is moved and method != "INFO"
        assert [method, len(got.get_all("x-parley-route"))] == [method, int(is_news)]

    bye = manager.request("BYE", moved.contact, got.get_all("x-parley-route"), "phone-1001")
    manager.node.send_request(bye, Hop("local", "edge", 0))
    reached = await moved.handler.next(RequestReceived)
    assert reached.request.method == "BYE"
    assert not reached.request.has("route")


async def test_dialog_goes_to_another_call_manager_when_its_owner_is_gone(world: "World") -> None:
    owner = await world.call_manager("cm1")
    edge = await world.edge()
    phone = await world.phone(edge)
    invite, _, ok = await phone.answered(owner)
    await owner.node.aclose()
    heir = await world.call_manager("cm2")
    await edge._refresh_callmanagers()

    phone.send(phone.in_dialog("BYE", invite, ok))

    bye = await heir.handler.next(RequestReceived)
    heir.answer(bye.transaction, 200)
    assert (await phone.response()).status == 200


async def test_forged_and_foreign_tokens_are_refused(
    world: "World", manager: "CallManager", phone: "Phone"
) -> None:
    invite, _, ok = await phone.answered(manager)
    await phone.register()
    (binding,) = await world.bindings("1001")
    route = ok.values("record-route")[-1]
    user = route[len("<sip:") : route.index("@")]
    forged = user[:-1] + ("A" if user[-1] != "A" else "B")

    for bad in (route.replace(user, forged), binding.path[0]):
        response = await phone.exchange(phone.in_dialog("BYE", invite, ok, routes=[bad]))
        assert response.status == 481


async def test_request_without_token_is_not_in_a_dialog(
    manager: "CallManager", phone: "Phone"
) -> None:
    invite, _, ok = await phone.answered(manager)

    response = await phone.exchange(phone.in_dialog("BYE", invite, ok, routes=[]))

    assert response.status == 481


async def test_an_ack_without_token_is_dropped_and_no_refused_request(
    world: "World", manager: "CallManager", edge: EdgeProxy, phone: "Phone"
) -> None:
    # As phones with an outbound proxy acknowledge a 407.
    invite, _, ok = await phone.answered(manager)
    routes = [f"<sip:{phone.edge_hop.host}:{phone.edge_hop.port};lr>"]
    phone.node.send(phone.ack(invite, ok, routes), phone.edge_hop)

    assert (await phone.exchange(phone.in_dialog("BYE", invite, ok, routes))).status == 481
    assert world.registry.value("parley_edgeproxy_refused_total", {"cause": "no_token"}) == 1
