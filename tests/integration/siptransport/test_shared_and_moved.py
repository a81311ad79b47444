"""What several instances of one service need of a node: one address, one name, other ways back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest

from parley.service.clock import SystemClock
from parley.service.ids import RandomIds
from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.sip.transaction import (
    RequestReceived,
    ResponseReceived,
    StrayResponse,
    TransactionFailed,
)
from parley.siptransport.node import SipNode
from parley.siptransport.policy import DEFAULT_POLICY, NodePolicy
from parley.siptransport.transport import ListenOptions
from parley.siptransport.vias import listener_of
from parley.testkit.phones.ports import reserve_ports
from parley.testkit.sip_handler import RecordingHandler
from parley.testkit.sip_messages import make_request, make_response

TCP = Hop("tcp", "127.0.0.1", 0)
UDP = Hop("udp", "127.0.0.1", 0)
NAME = "callmanager.parley.internal"


class Node:
    """A node with its events."""

    def __init__(self, sent_by: str | None, policy: NodePolicy) -> None:
        self.handler = RecordingHandler()
        self.node = SipNode(
            SystemClock(), RandomIds(), self.handler, sent_by=sent_by, policy=policy
        )


MakeNode = Callable[..., Node]
E = TypeVar("E")


@pytest.fixture
async def make_node() -> AsyncIterator[MakeNode]:
    nodes: list[Node] = []

    def make(sent_by: str | None = None, policy: NodePolicy = DEFAULT_POLICY) -> Node:
        nodes.append(Node(sent_by, policy))
        return nodes[-1]

    yield make
    for one in nodes:
        await one.node.aclose()


async def _next(node: Node, kind: type[E]) -> E:
    """Waits for an event of a kind; ends of connections that come before are left out."""
    async with asyncio.timeout(5):
        while True:
            event = await node.handler.events.get()
            if isinstance(event, kind):
                return event
            assert isinstance(event, Hop | TransactionFailed), event


async def test_a_services_name_stands_in_the_via_and_its_listener_beside_it(
    make_node: MakeNode,
) -> None:
    calls, edge = make_node(NAME), make_node()
    listener, there = await calls.node.listen(TCP), await edge.node.listen(TCP)
    calls.node.send_request(make_request(), there, branch="z9hG4bK-call-1-1")

    received = await _next(edge, RequestReceived)
    via = received.request.via
    assert (via.host, via.port, via.branch) == (NAME, None, "z9hG4bK-call-1-1")
    assert listener_of(via) == ("127.0.0.1", listener.port)


async def test_a_successor_repeats_a_request_and_gets_the_answer(make_node: MakeNode) -> None:
    is_repeated = asyncio.Event()

    def follows(request: Request) -> bool:
        is_repeated.set()
        return True

    first, second = make_node(NAME), make_node(NAME)
    edge = make_node(policy=NodePolicy(follows=follows))
    there = await edge.node.listen(TCP)
    first.node.send_request(make_request(), there, branch="z9hG4bK-call-1-1")
    received = await _next(edge, RequestReceived)
    await first.node.aclose()

    second.node.send_request(make_request(), there, branch="z9hG4bK-call-1-1")
    async with asyncio.timeout(5):
        await is_repeated.wait()
    edge.node.respond(received.transaction, make_response(received.transaction, 486))
    assert (await _next(second, ResponseReceived)).response.status == 486


async def test_the_2xx_that_was_lost_with_its_owner_comes_to_the_successor(
    make_node: MakeNode,
) -> None:
    policy = NodePolicy(follows=lambda request: True)
    first, second, edge = make_node(NAME), make_node(NAME), make_node(policy=policy)
    there = await edge.node.listen(TCP)
    first.node.send_request(make_request(), there, branch="z9hG4bK-call-1-1")
    received = await _next(edge, RequestReceived)
    edge.node.respond(received.transaction, make_response(received.transaction, 200))
    await first.node.aclose()

    second.node.send_request(make_request(), there, branch="z9hG4bK-call-1-1")
    assert (await _next(second, ResponseReceived)).response.status == 200


async def test_a_response_finds_another_way_when_its_connection_is_gone(
    make_node: MakeNode,
) -> None:
    other = make_node()
    elsewhere = await other.node.listen(TCP)
    asked: list[Hop] = []

    def reroute(response: Response, failed: Hop) -> Hop | None:
        asked.append(failed)
        return elsewhere if len(asked) > 1 else Hop("tcp", "127.0.0.1", refusing)

    refusing = reserve_ports()
    phone, edge = make_node(NAME), make_node(policy=NodePolicy(reroute=reroute))
    there = await edge.node.listen(TCP)
    phone.node.send_request(make_request(), there)
    received = await _next(edge, RequestReceived)
    assert received.request.source is not None
    await phone.node.aclose()
    await _next(edge, Hop)

    edge.node.respond(received.transaction, make_response(received.transaction, 486))
    assert (await _next(other, StrayResponse)).response.status == 486
    assert asked == [received.request.source, Hop("tcp", "127.0.0.1", refusing)]


async def test_an_adopted_request_is_answered_over_a_new_connection(make_node: MakeNode) -> None:
    edge, first, second = make_node(), make_node(NAME), make_node(NAME)
    await edge.node.listen(TCP)
    client = edge.node.send_request(make_request(), await first.node.listen(TCP))
    received = await _next(first, RequestReceived)
    await first.node.aclose()
    edge.node.abandon(client)
    again = edge.node.send_request(
        make_request(), await second.node.listen(TCP), branch=client.request.via.branch
    )
    assert (await _next(second, RequestReceived)).request.via == received.request.via

    third = make_node(NAME)
    adopted = third.node.adopt(received.request.copy())
    third.node.respond(adopted, make_response(adopted, 486))
    response = await _next(edge, ResponseReceived)
    assert response.transaction is again
    assert response.response.status == 486


async def test_the_home_listener_is_named_on_connections_that_we_open(make_node: MakeNode) -> None:
    edge, calls = make_node(), make_node()
    await edge.node.listen(TCP)
    home = await edge.node.listen(TCP, ListenOptions(is_home=True))
    edge.node.send_request(make_request(), await calls.node.listen(TCP))

    assert (await _next(calls, RequestReceived)).request.via.port == home.port


async def test_a_request_that_is_not_admitted_can_be_answered_without_transaction(
    make_node: MakeNode,
) -> None:
    def refuse(request: Request) -> bool:
        assert request.source is not None
        edge.node.send(make_response(request, 503), request.source)
        return False

    edge, phone = make_node(policy=NodePolicy(admits=refuse)), make_node()
    await phone.node.listen(UDP)
    phone.node.send_request(make_request(), await edge.node.listen(UDP))

    assert (await _next(phone, ResponseReceived)).response.status == 503
    assert edge.node.layer.server_count == 0


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_two_nodes_share_an_address_and_one_takes_over_when_the_other_stops(
    make_node: MakeNode, transport: str
) -> None:
    hop = Hop(transport, "127.0.0.1", reserve_ports())
    first, second = make_node(), make_node()
    for node in (first, second):
        await node.node.listen(hop, ListenOptions(is_shared=True))
    with pytest.raises(OSError, match="in use"):
        await make_node().node.listen(hop)

    first.node.transports[transport].stop_listening(hop)
    for number in range(8):
        phone = make_node()
        if transport == "udp":
            await phone.node.listen(UDP)
        phone.node.send_request(make_request(call_id=f"c{number}"), hop)
        assert (await _next(second, RequestReceived)).request.call_id == f"c{number}"
    assert first.handler.events.empty()


async def test_flows_of_one_listener_are_listed_and_closed(make_node: MakeNode) -> None:
    edge, phone = make_node(), make_node()
    outside, inside = await edge.node.listen(TCP), await edge.node.listen(TCP)
    phone.node.send_request(make_request(), outside)
    await _next(edge, RequestReceived)
    stream = edge.node.transports["tcp"]
    assert stream.flows(inside) == []

    (flow,) = stream.flows(outside)
    assert edge.node.layer.is_in_use(flow)
    stream.close_flow(flow)
    stream.close_flow(flow._replace(flow=1))
    assert await _next(edge, Hop) == flow
    assert stream.flows(outside) == []
