"""Deaths of call managers and edges, seen over real sockets."""

import asyncio
import socket
from typing import TYPE_CHECKING, TypeVar

from parley.backing.discovery.base import InstanceState
from parley.edgeproxy.app import EdgeProxy
from parley.sip.hop import Hop
from parley.sip.message import Request, Response, response_to
from parley.sip.transaction import CancelReceived, RequestReceived, ResponseReceived, StrayResponse
from parley.sip.uri import SipUri
from parley.testkit.contracts.arms import settled

if TYPE_CHECKING:
    from tests.integration.edgeproxy.conftest import CallManager, Phone, World

BRANCH = "z9hG4bK-call7-1-1"
E = TypeVar("E")


def _free_port() -> int:
    """A port that is free for both UDP and TCP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
        ):
            stream.bind(("127.0.0.1", 0))
            port = int(stream.getsockname()[1])
            try:
                datagram.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


async def _next(peer: "CallManager | Phone", kind: type[E]) -> E:
    """Waits for an event of a kind; others that come before are left out."""
    async with asyncio.timeout(8):
        while True:
            event = await peer.handler.events.get()
            if isinstance(event, kind):
                return event


async def _final(peer: "CallManager | Phone") -> Response:
    while True:
        response = (await _next(peer, ResponseReceived)).response
        if response.status >= 200:
            return response


async def _managers(world: "World") -> tuple["CallManager", "CallManager"]:
    first = await world.call_manager("cm1", is_remote=True)
    return first, await world.call_manager("cm2", calls=1000, is_remote=True)


async def _shared(world: "World") -> tuple[EdgeProxy, EdgeProxy]:
    """Two edges with one public address."""
    port = _free_port()
    values = {"udp_port": port, "tcp_port": port, "tls_port": port, "shared_address": True}
    first = await world.edge("edge1", is_remote=True, **values)
    return first, await world.edge("edge2", is_remote=True, **values)


def _split(edges: tuple[EdgeProxy, EdgeProxy], request: Request) -> tuple[EdgeProxy, EdgeProxy]:
    """Returns the edge that forwarded a request, and the other."""
    first, second = edges
    assert first.addresses.inside is not None
    return (first, second) if request.via.port == first.addresses.inside.port else (second, first)


def _ringing(manager: "CallManager", path: str, uri: str) -> Request:
    request = manager.request("INVITE", uri, [path])
    request.add("x-parley-call", "call7")
    return request


async def test_an_invite_goes_on_to_another_call_manager_as_the_same_call(world: "World") -> None:
    first, second = await _managers(world)
    phone = await world.phone(await world.edge(is_remote=True))
    _, transaction = await phone.call(first)
    first.answer(transaction, 180)
    assert (await phone.response()).status == 180
    await first.node.aclose()

    again = await _next(second, RequestReceived)
    assert again.request.get("x-parley-call") == transaction.request.get("x-parley-call")
    assert again.request.via.branch == transaction.request.via.branch
    second.answer(again.transaction, 486)
    assert (await _final(phone)).status == 486


async def test_a_cancel_reaches_who_took_the_call_over(world: "World") -> None:
    first, second = await _managers(world)
    phone = await world.phone(await world.edge(is_remote=True))
    invite = phone.request("INVITE", "sip:1002@demo.test")
    client = phone.send(phone.authorized(invite, await phone.exchange(invite)))
    first.answer((await _next(first, RequestReceived)).transaction, 180)
    assert (await phone.response()).status == 180
    await first.node.aclose()
    again = await _next(second, RequestReceived)

    phone.node.cancel(client)
    assert (await _next(second, CancelReceived)).transaction is again.transaction
    second.answer(again.transaction, 487)
    assert (await _final(phone)).status == 487


async def test_a_bye_goes_on_to_another_call_manager_as_the_same_request(world: "World") -> None:
    first, second = await _managers(world)
    phone = await world.phone(await world.edge(is_remote=True))
    invite, _, answer = await phone.answered(first)
    phone.send(phone.in_dialog("BYE", invite, answer))
    bye = (await _next(first, RequestReceived)).request
    await first.node.aclose()

    again = await _next(second, RequestReceived)
    assert again.request.method == "BYE"
    assert again.request.via.branch == bye.via.branch
    assert again.request.get("x-parley-call") == bye.get("x-parley-call")
    second.answer(again.transaction, 200)
    assert (await _final(phone)).cseq.method == "BYE"


async def test_a_call_manager_that_freezes_is_left_after_a_moment(world: "World") -> None:
    first, second = await _managers(world)
    phone = await world.phone(await world.edge(is_remote=True))
    invite, _, answer = await phone.answered(first)
    phone.send(phone.in_dialog("BYE", invite, answer))
    await _next(first, RequestReceived)

    again = await _next(second, RequestReceived)
    second.answer(again.transaction, 200)
    assert (await _final(phone)).status == 200


async def test_a_call_manager_that_is_not_the_owner_names_it(world: "World") -> None:
    first, second = await _managers(world)
    phone = await world.phone(await world.edge(is_remote=True))
    invite, _, answer = await phone.answered(first)
    phone.send(phone.in_dialog("INFO", invite, answer))
    asked = await _next(first, RequestReceived)
    redirect = response_to(asked.request, 503, headers=[("x-parley-owner", "cm2")])
    first.node.respond(asked.transaction, redirect)

    again = await _next(second, RequestReceived)
    second.answer(again.transaction, 200)
    response = await _final(phone)
    assert response.status == 200
    assert not response.has("x-parley-owner")


async def test_a_response_reaches_the_successor_of_who_asked(world: "World") -> None:
    first, second = await _managers(world)
    edge = await world.edge(is_remote=True)
    phone = await world.phone(edge)
    assert (await phone.register()).status == 200
    (binding,) = await world.bindings("1001")
    assert edge.addresses.inside is not None
    request = _ringing(first, binding.path[0], binding.contact)
    first.node.send_request(request, edge.addresses.inside, branch=BRANCH)
    ringing = await _next(phone, RequestReceived)
    await first.node.aclose()
    await world.backing.state.hash_delete("load:{callmanager}", "cm1")

    phone.node.respond(ringing.transaction, response_to(ringing.request, 486, to_tag="p"))
    stray = await _next(second, StrayResponse)
    assert stray.response.status == 486
    assert stray.response.via.branch == BRANCH


async def test_an_invite_is_the_same_call_through_another_edge(world: "World") -> None:
    manager, _ = await _managers(world)
    edges = await _shared(world)
    phone = await world.phone(edges[0])
    invite = phone.request("INVITE", "sip:1002@demo.test")
    authorized = phone.authorized(invite, await phone.exchange(invite))
    phone.node.send(authorized.copy(), phone.edge_hop, "z9hG4bKphone")
    first = (await _next(manager, RequestReceived)).request
    served, other = _split(edges, first)
    await served.aclose()

    phone.node.send(authorized.copy(), phone.edge_hop, "z9hG4bKphone")
    second = (await _next(manager, RequestReceived)).request
    assert other.addresses.inside is not None
    assert second.via.port == other.addresses.inside.port
    assert second.via.branch == first.via.branch
    assert second.get("x-parley-call") == first.get("x-parley-call")


async def test_a_request_repeated_through_another_edge_is_a_retransmission_to_the_phone(
    world: "World",
) -> None:
    manager, _ = await _managers(world)
    edges = await _shared(world)
    phone = await world.phone(edges[0])
    assert (await phone.register()).status == 200
    (binding,) = await world.bindings("1001")
    request = _ringing(manager, binding.path[0], binding.contact)
    for edge in edges:
        assert edge.addresses.inside is not None
    first_inside, second_inside = (edge.addresses.inside for edge in edges)
    assert first_inside is not None and second_inside is not None
    client = manager.node.send_request(request.copy(), first_inside, branch=BRANCH)
    ringing = await _next(phone, RequestReceived)
    manager.node.abandon(client)
    await edges[0].aclose()

    manager.node.send_request(request.copy(), second_inside, branch=BRANCH)
    assert (await _next(manager, ResponseReceived)).response.status == 100
    phone.node.respond(ringing.transaction, response_to(ringing.request, 486, to_tag="p"))
    assert (await _final(manager)).status == 486
    assert phone.handler.events.empty()


async def test_a_phones_response_passes_through_another_edge(world: "World") -> None:
    manager, _ = await _managers(world)
    edges = await _shared(world)
    phone = await world.phone(edges[0])
    assert (await phone.register()).status == 200
    (binding,) = await world.bindings("1001")
    request = _ringing(manager, binding.path[0], binding.contact)
    assert edges[0].addresses.inside is not None
    manager.node.send_request(request, edges[0].addresses.inside, branch=BRANCH)
    ringing = await _next(phone, RequestReceived)
    await edges[0].aclose()

    response = response_to(ringing.request, 200, to_tag="p")
    response.copy_lines("record-route", ringing.request)
    phone.node.respond(ringing.transaction, response)
    stray = (await _next(manager, StrayResponse)).response
    assert (stray.status, stray.via.branch) == (200, BRANCH)
    _, inside = stray.record_routes
    assert edges[1].addresses.inside is not None
    assert isinstance(inside.uri, SipUri)
    assert inside.uri.port == edges[1].addresses.inside.port


async def test_a_call_managers_answer_passes_through_another_edge(world: "World") -> None:
    manager, _ = await _managers(world)
    edges = await _shared(world)
    phone = await world.phone(edges[0])
    _, transaction = await phone.call(manager)
    served, other = _split(edges, transaction.request)
    await served.aclose()
    assert other.addresses.inside is not None

    response = response_to(transaction.request, 200, to_tag="cm")
    response.copy_lines("record-route", transaction.request)
    manager.node.send(response, other.addresses.inside)
    answer = await _final(phone)
    assert answer.status == 200
    # An edge that has the same public address hides what the one that is gone was called inside.
    assert answer.record_routes == transaction.request.record_routes[1:]


async def test_a_draining_edge_gives_its_phones_to_the_other(world: "World") -> None:
    await _managers(world)
    edges = await _shared(world)
    leaving = edges[0]
    over_tcp = [await world.phone(leaving, transport="tcp") for _ in range(8)]
    for phone in over_tcp:
        assert (await phone.register()).status == 200
    held = leaving.node.transports["tcp"].flows(leaving.addresses.outside["tcp"])

    await leaving.drain(5.0)
    assert not leaving.is_ready()
    states = {one.id: one.state for one in world.backing.discovery.instances("edgeproxy")}
    assert states[leaving.instance] is InstanceState.DRAINING
    left = leaving.node.transports["tcp"].flows(leaving.addresses.outside["tcp"])
    assert held
    assert left == []
    for number in range(8):
        phone = await world.phone(leaving, "1002", transport=("udp", "tcp")[number % 2])
        assert (await phone.register()).status == 200
    bindings = await world.bindings("1002")
    assert {one.edge for one in bindings} == {edges[1].instance}


async def test_an_edge_that_leaves_serves_until_call_managers_can_know(world: "World") -> None:
    manager, _ = await _managers(world)
    leaving, _ = await _shared(world)
    phone = await world.phone(leaving)
    assert (await phone.register()).status == 200
    (binding,) = await world.bindings("1001")
    assert leaving.addresses.inside is not None
    draining = asyncio.create_task(leaving.drain(5.0))
    await settled(lambda: not leaving.is_ready())

    request = _ringing(manager, binding.path[0], binding.contact)
    manager.node.send_request(request, leaving.addresses.inside, branch=BRANCH)
    ringing = await _next(phone, RequestReceived)
    phone.node.respond(ringing.transaction, response_to(ringing.request, 486, to_tag="p"))
    assert (await _final(manager)).status == 486
    await draining
    assert not leaving.addresses.has_outside("udp")


async def test_a_token_of_a_udp_flow_is_good_only_where_the_address_is(world: "World") -> None:
    manager, _ = await _managers(world)
    edge, stranger = await world.edge(is_remote=True), await world.edge("other", is_remote=True)
    phone = await world.phone(edge)
    assert (await phone.register()).status == 200
    (binding,) = await world.bindings("1001")
    inside: Hop | None = stranger.addresses.inside
    assert inside is not None

    manager.node.send_request(_ringing(manager, binding.path[0], binding.contact), inside)
    assert (await _final(manager)).status == 430
