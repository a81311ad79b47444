"""Deaths of call managers and edges, seen over real sockets."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from parley.backing.discovery.base import InstanceState
from parley.backing.state.loads import callmanager_loads
from parley.edgeproxy.app import EdgeProxy
from parley.sip.hop import Hop
from parley.sip.message import Request, Response, response_to
from parley.sip.transaction import CancelReceived, RequestReceived, ResponseReceived, StrayResponse
from parley.sip.uri import SipUri
from parley.testkit.contracts.arms import settled
from parley.testkit.phones.ports import reserve_ports

if TYPE_CHECKING:
    from tests.integration.edgeproxy.conftest import CallManager, Phone, World

BRANCH = "z9hG4bK-call7-1-1"


async def _final(peer: "CallManager | Phone") -> Response:
    while True:
        response = (await peer.handler.find(ResponseReceived)).response
        if response.status >= 200:
            return response


@pytest.fixture
async def first(world: "World") -> "CallManager":
    """The call manager that an edge chooses."""
    return await world.call_manager("cm1", is_remote=True)


@pytest.fixture
async def second(world: "World", first: "CallManager") -> "CallManager":
    """The one that is left when the first is gone."""
    return await world.call_manager("cm2", calls=1000, is_remote=True)


@pytest.fixture
async def manager(first: "CallManager", second: "CallManager") -> "CallManager":
    """The one of two that an edge chooses."""
    return first


@pytest.fixture
async def edge(world: "World") -> EdgeProxy:
    """An edge that call managers meet over TCP."""
    return await world.edge(is_remote=True)


@pytest.fixture
async def edges(world: "World") -> tuple[EdgeProxy, EdgeProxy]:
    """Two edges with one public address."""
    port = reserve_ports()
    values = {"udp_port": port, "tcp_port": port, "tls_port": port, "shared_address": True}
    first = await world.edge("edge1", is_remote=True, **values)
    return first, await world.edge("edge2", is_remote=True, **values)


def _inside(edge: EdgeProxy) -> Hop:
    """Where call managers reach an edge."""
    assert edge.addresses.inside is not None
    return edge.addresses.inside


def _flows(edge: EdgeProxy) -> list[Hop]:
    """The connections of phones that an edge holds."""
    return edge.node.transports["tcp"].flows(edge.addresses.outside["tcp"])


def _split(edges: tuple[EdgeProxy, EdgeProxy], request: Request) -> tuple[EdgeProxy, EdgeProxy]:
    """Returns the edge that forwarded a request, and the other."""
    first, second = edges
    return (first, second) if request.via.port == _inside(first).port else (second, first)


async def _invite(manager: "CallManager", phone: "Phone") -> Request:
    """Registers a phone; returns what a call manager sends to make it ring."""
    assert (await phone.register()).status == 200
    (binding,) = await phone.world.bindings("1001")
    request = manager.request("INVITE", binding.contact, [binding.path[0]])
    request.add("x-parley-call", "call7")
    return request


async def test_an_invite_goes_on_to_another_call_manager_as_the_same_call(
    first: "CallManager", second: "CallManager", phone: "Phone"
) -> None:
    _, transaction = await phone.call(first)
    first.answer(transaction, 180)
    assert (await phone.response()).status == 180
    await first.node.aclose()

    again = await second.handler.find(RequestReceived)
    assert again.request.get("x-parley-call") == transaction.request.get("x-parley-call")
    assert again.request.via.branch == transaction.request.via.branch
    second.answer(again.transaction, 486)
    assert (await _final(phone)).status == 486


async def test_a_cancel_reaches_who_took_the_call_over(
    first: "CallManager", second: "CallManager", phone: "Phone"
) -> None:
    invite = phone.request("INVITE", "sip:1002@demo.test")
    client = phone.send(phone.authorized(invite, await phone.exchange(invite)))
    first.answer((await first.handler.find(RequestReceived)).transaction, 180)
    assert (await phone.response()).status == 180
    await first.node.aclose()
    again = await second.handler.find(RequestReceived)

    phone.node.cancel(client)
    assert (await second.handler.find(CancelReceived)).transaction is again.transaction
    second.answer(again.transaction, 487)
    assert (await _final(phone)).status == 487


async def test_a_bye_goes_on_to_another_call_manager_as_the_same_request(
    first: "CallManager", second: "CallManager", phone: "Phone"
) -> None:
    invite, _, answer = await phone.answered(first)
    phone.send(phone.in_dialog("BYE", invite, answer))
    bye = (await first.handler.find(RequestReceived)).request
    await first.node.aclose()

    again = await second.handler.find(RequestReceived)
    assert again.request.method == "BYE"
    assert again.request.via.branch == bye.via.branch
    assert again.request.get("x-parley-call") == bye.get("x-parley-call")
    second.answer(again.transaction, 200)
    assert (await _final(phone)).cseq.method == "BYE"


async def test_a_call_manager_that_freezes_is_left_after_a_moment(
    first: "CallManager", second: "CallManager", phone: "Phone"
) -> None:
    invite, _, answer = await phone.answered(first)
    phone.send(phone.in_dialog("BYE", invite, answer))
    await first.handler.find(RequestReceived)

    again = await second.handler.find(RequestReceived)
    second.answer(again.transaction, 200)
    assert (await _final(phone)).status == 200


async def test_a_call_manager_that_is_not_the_owner_names_it(
    first: "CallManager", second: "CallManager", phone: "Phone"
) -> None:
    invite, _, answer = await phone.answered(first)
    phone.send(phone.in_dialog("INFO", invite, answer))
    asked = await first.handler.find(RequestReceived)
    redirect = response_to(asked.request, 503, headers=[("x-parley-owner", "cm2")])
    first.node.respond(asked.transaction, redirect)

    again = await second.handler.find(RequestReceived)
    second.answer(again.transaction, 200)
    response = await _final(phone)
    assert response.status == 200
    assert not response.has("x-parley-owner")


async def test_a_response_reaches_the_successor_of_who_asked(
    world: "World", first: "CallManager", second: "CallManager", edge: EdgeProxy, phone: "Phone"
) -> None:
    first.node.send_request(await _invite(first, phone), _inside(edge), branch=BRANCH)
    ringing = await phone.handler.find(RequestReceived)
    await first.node.aclose()
    await callmanager_loads(world.backing.state).withdraw("cm1")

    phone.node.respond(ringing.transaction, response_to(ringing.request, 486, to_tag="p"))
    stray = await second.handler.find(StrayResponse)
    assert stray.response.status == 486
    assert stray.response.via.branch == BRANCH


async def test_an_invite_is_the_same_call_through_another_edge(
    world: "World", manager: "CallManager", edges: tuple[EdgeProxy, EdgeProxy]
) -> None:
    phone = await world.phone(edges[0])
    invite = phone.request("INVITE", "sip:1002@demo.test")
    authorized = phone.authorized(invite, await phone.exchange(invite))
    phone.node.send(authorized.copy(), phone.edge_hop, "z9hG4bKphone")
    first = (await manager.handler.find(RequestReceived)).request
    served, other = _split(edges, first)
    await served.aclose()

    phone.node.send(authorized.copy(), phone.edge_hop, "z9hG4bKphone")
    second = (await manager.handler.find(RequestReceived)).request
    assert second.via.port == _inside(other).port
    assert second.via.branch == first.via.branch
    for name in ("x-parley-call", "x-parley-flow"):
        assert second.get(name) == first.get(name) is not None


async def test_a_request_repeated_through_another_edge_is_a_retransmission_to_the_phone(
    world: "World", manager: "CallManager", edges: tuple[EdgeProxy, EdgeProxy]
) -> None:
    phone = await world.phone(edges[0])
    request = await _invite(manager, phone)
    client = manager.node.send_request(request.copy(), _inside(edges[0]), branch=BRANCH)
    ringing = await phone.handler.find(RequestReceived)
    manager.node.abandon(client)
    await edges[0].aclose()

    manager.node.send_request(request.copy(), _inside(edges[1]), branch=BRANCH)
    assert (await manager.handler.find(ResponseReceived)).response.status == 100
    phone.node.respond(ringing.transaction, response_to(ringing.request, 486, to_tag="p"))
    assert (await _final(manager)).status == 486
    assert phone.handler.events.empty()


async def test_a_phones_response_passes_through_another_edge(
    world: "World", manager: "CallManager", edges: tuple[EdgeProxy, EdgeProxy]
) -> None:
    phone = await world.phone(edges[0])
    manager.node.send_request(await _invite(manager, phone), _inside(edges[0]), branch=BRANCH)
    ringing = await phone.handler.find(RequestReceived)
    await edges[0].aclose()

    response = response_to(ringing.request, 200, to_tag="p")
    response.copy_lines("record-route", ringing.request)
    phone.node.respond(ringing.transaction, response)
    stray = (await manager.handler.find(StrayResponse)).response
    assert (stray.status, stray.via.branch) == (200, BRANCH)
    _, inside = stray.record_routes
    assert isinstance(inside.uri, SipUri)
    assert inside.uri.port == _inside(edges[1]).port


async def test_a_call_managers_answer_passes_through_another_edge(
    world: "World", manager: "CallManager", edges: tuple[EdgeProxy, EdgeProxy]
) -> None:
    phone = await world.phone(edges[0])
    _, transaction = await phone.call(manager)
    served, other = _split(edges, transaction.request)
    await served.aclose()

    response = response_to(transaction.request, 200, to_tag="cm")
    response.copy_lines("record-route", transaction.request)
    manager.node.send(response, _inside(other))
    answer = await _final(phone)
    assert answer.status == 200
    # An edge that has the same public address hides what the one that is gone was called inside.
    assert answer.record_routes == transaction.request.record_routes[1:]


@pytest.mark.usefixtures("manager")
async def test_a_draining_edge_gives_its_phones_to_the_other(
    world: "World", edges: tuple[EdgeProxy, EdgeProxy]
) -> None:
    leaving, other = edges
    # The kernel gives each connection to one of the two, by chance.
    while len(held := _flows(leaving)) < 3:
        phone = await world.phone(leaving, transport="tcp")
        assert (await phone.register()).status == 200
        if _flows(leaving) == held:
            assert (await phone.register(expires="0")).status == 200

    await leaving.drain(5.0)
    assert not leaving.is_ready()
    states = {one.id: one.state for one in world.backing.discovery.instances("edgeproxy")}
    assert states[leaving.instance] is InstanceState.DRAINING
    assert _flows(leaving) == []
    for number in range(8):
        phone = await world.phone(leaving, "1002", transport=("udp", "tcp")[number % 2])
        assert (await phone.register()).status == 200
    bindings = await world.bindings("1002")
    assert {one.edge for one in bindings} == {other.instance}


async def test_an_edge_that_leaves_serves_until_call_managers_can_know(
    world: "World", manager: "CallManager", edges: tuple[EdgeProxy, EdgeProxy]
) -> None:
    leaving, _ = edges
    phone = await world.phone(leaving)
    request = await _invite(manager, phone)
    draining = asyncio.create_task(leaving.drain(5.0))
    await settled(lambda: not leaving.is_ready())

    manager.node.send_request(request, _inside(leaving), branch=BRANCH)
    ringing = await phone.handler.find(RequestReceived)
    phone.node.respond(ringing.transaction, response_to(ringing.request, 486, to_tag="p"))
    assert (await _final(manager)).status == 486
    await draining
    assert not leaving.addresses.has_outside("udp")


async def test_a_token_of_a_udp_flow_is_good_only_where_the_address_is(
    world: "World", manager: "CallManager", phone: "Phone"
) -> None:
    stranger = await world.edge("other", is_remote=True)

    manager.node.send_request(await _invite(manager, phone), _inside(stranger))
    assert (await _final(manager)).status == 430
