"""A node over the local transport: events, failures, re-entrance, copies, metrics."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from parley.service.clock import SystemClock
from parley.service.ids import RandomIds
from parley.service.metrics import Metrics, Registry
from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.sip.timers import Timers
from parley.sip.transaction import (
    AckReceived,
    CancelReceived,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    StrayResponse,
    TransactionFailed,
)
from parley.siptransport.local import LocalNetwork
from parley.siptransport.node import SipNode
from parley.siptransport.policy import DEFAULT_POLICY, NodePolicy
from parley.testkit.sip_handler import RecordingHandler
from parley.testkit.sip_messages import make_request, make_response

FAST = Timers(t1=0.01, t2=0.04, t4=0.05, trying=0.01)
EDGE = Hop("local", "edge", 0)
CALLS = Hop("local", "calls", 0)


class Peer:
    """A node with its handler."""

    def __init__(self, network: LocalNetwork, policy: NodePolicy) -> None:
        self.registry = Registry()
        self.handler = RecordingHandler()
        self.node = SipNode(
            SystemClock(),
            RandomIds(),
            self.handler,
            FAST,
            Metrics(self.registry, "test"),
            network=network,
            policy=policy,
        )


class StartPeer(Protocol):
    async def __call__(self, hop: Hop, policy: NodePolicy = DEFAULT_POLICY) -> Peer: ...


@pytest.fixture
def network() -> LocalNetwork:
    return LocalNetwork()


@pytest.fixture
async def start(network: LocalNetwork) -> AsyncIterator[StartPeer]:
    peers: list[Peer] = []

    async def start_peer(hop: Hop, policy: NodePolicy = DEFAULT_POLICY) -> Peer:
        peer = Peer(network, policy)
        peers.append(peer)
        assert await peer.node.listen(hop) == hop
        return peer

    yield start_peer
    for peer in peers:
        await peer.node.aclose()


async def test_a_call_goes_through(start: StartPeer) -> None:
    edge, calls = await start(EDGE), await start(CALLS)
    client = edge.node.send_request(make_request(), CALLS, user="leg")

    received = await calls.handler.next(RequestReceived)
    assert received.request.source == EDGE
    assert received.request.listener == CALLS
    calls.node.respond(received.transaction, make_response(received.transaction, 180))
    reliable = calls.node.respond_until_ack(
        received.transaction, make_response(received.transaction, 200)
    )
    assert reliable is not None
    statuses = [(await edge.handler.next(ResponseReceived)).response.status for _ in range(2)]
    assert statuses == [180, 200]
    edge.node.send(make_request("ACK", to_tag="b1"), CALLS)
    ack = await calls.handler.next(AckReceived)
    assert ack.request.via.host == "edge"
    assert client.user == "leg"


async def test_cancel_and_487(start: StartPeer) -> None:
    edge, calls = await start(EDGE), await start(CALLS)
    client = edge.node.send_request(make_request(), CALLS)
    server = (await calls.handler.next(RequestReceived)).transaction
    calls.node.respond(server, make_response(server, 180))
    await edge.handler.next(ResponseReceived)

    edge.node.cancel(client, [("reason", "SIP;cause=200")])
    cancelled = await calls.handler.next(CancelReceived)
    assert cancelled.transaction is server
    assert cancelled.request.get("reason") == "SIP;cause=200"
    calls.node.respond(server, make_response(server, 487))
    assert (await edge.handler.next(ResponseReceived)).response.status == 487


async def test_what_is_sent_is_a_copy(start: StartPeer) -> None:
    edge, calls = await start(EDGE), await start(CALLS)
    request = make_request("MESSAGE")
    edge.node.send_request(request, CALLS)
    request.set("subject", "changed after sending")
    received = await calls.handler.next(RequestReceived)
    assert not received.request.has("subject")
    received.request.set("subject", "changed by the receiver")
    assert request.get("subject") == "changed after sending"


async def test_a_handler_that_raises_costs_a_500_and_nothing_else(start: StartPeer) -> None:
    edge, calls = await start(EDGE), await start(CALLS)

    def fail(transaction: ServerTransaction, request: Request) -> None:
        raise ZeroDivisionError

    calls.handler.answer = fail
    edge.node.send_request(make_request("OPTIONS"), CALLS)
    assert (await edge.handler.next(ResponseReceived)).response.status == 500
    calls.handler.answer = lambda transaction, request: calls.node.respond(
        transaction, make_response(transaction, 200)
    )
    edge.node.send_request(make_request("OPTIONS"), CALLS)
    assert (await edge.handler.next(ResponseReceived)).response.status == 200
    assert calls.node.counts.handler_errors == 1


async def test_an_unknown_host_fails_later_never_inside_the_call(start: StartPeer) -> None:
    edge = await start(EDGE)
    client = edge.node.send_request(make_request(), CALLS)
    assert edge.handler.events.empty()
    failed = await edge.handler.next(TransactionFailed)
    assert failed == (client, "transport")
    assert edge.node.counts.send_failures == 1


@pytest.mark.parametrize("transport", ["ws", "sctp"])
async def test_a_transport_we_do_not_have_fails_the_request(
    start: StartPeer, transport: str
) -> None:
    edge = await start(EDGE)
    edge.node.send_request(make_request(), Hop(transport, "192.0.2.1", 80))
    assert (await edge.handler.next(TransactionFailed)).cause == "transport"
    with pytest.raises(ValueError, match=transport):
        await edge.node.listen(Hop(transport, "127.0.0.1", 0))


async def test_by_a_transport_that_the_owner_does_not_want_nothing_leaves() -> None:
    handler = RecordingHandler()
    policy = NodePolicy(transports=frozenset(("tls",)))
    node = SipNode(SystemClock(), RandomIds(), handler, policy=policy)

    client = node.send_request(make_request(), Hop("udp", "127.0.0.1", 5060))

    assert await handler.next(TransactionFailed) == (client, "transport")
    with pytest.raises(ValueError, match="no transport udp"):
        await node.listen(Hop("udp", "127.0.0.1", 0))
    await node.aclose()


async def test_a_request_without_answer_times_out(start: StartPeer) -> None:
    edge, calls = await start(EDGE), await start(CALLS)
    client = edge.node.send_request(make_request("INFO"), CALLS)
    await calls.handler.next(RequestReceived)
    failed = await edge.handler.next(TransactionFailed)
    assert failed == (client, "timeout")


async def test_100_is_sent_when_the_handler_is_slow(start: StartPeer) -> None:
    edge, _ = await start(EDGE), await start(CALLS)
    edge.node.send_request(make_request(), CALLS)
    assert (await edge.handler.next(ResponseReceived)).response.status == 100


async def test_a_2xx_without_ack_ends_in_a_failure_of_the_invite(start: StartPeer) -> None:
    edge, calls = await start(EDGE), await start(CALLS)
    edge.node.send_request(make_request(), CALLS)
    server = (await calls.handler.next(RequestReceived)).transaction
    calls.node.respond_until_ack(server, make_response(server, 200))
    failed = await calls.handler.next(TransactionFailed)
    assert failed == (server, "timeout")
    assert edge.handler.events.qsize() > 5


async def test_a_stray_response_is_handed_on(start: StartPeer) -> None:
    edge, calls = await start(EDGE), await start(CALLS)
    stray = Response(200)
    stray.add("via", "SIP/2.0/LOCAL edge;branch=z9hG4bKnone")
    for name, value in (("from", "<sip:a@b>;tag=1"), ("to", "<sip:c@d>;tag=2")):
        stray.add(name, value)
    stray.add("call-id", "x")
    stray.add("cseq", "1 INVITE")
    calls.node.send(stray, EDGE)
    assert (await edge.handler.next(StrayResponse)).response.status == 200


async def test_many_messages_of_one_turn_arrive_in_order(start: StartPeer) -> None:
    edge, calls = await start(EDGE), await start(CALLS)
    for number in range(1, 101):
        edge.node.send_request(make_request("INFO", cseq=number), CALLS)
    numbers = [(await calls.handler.next(RequestReceived)).request.cseq.number for _ in range(100)]
    assert numbers == list(range(1, 101))


async def test_what_one_turn_brought_is_settled_once_before_it_is_answered(
    start: StartPeer, network: LocalNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    asker = await start(EDGE)
    server = await start(CALLS, NodePolicy(before_sending=lambda: done.append("settled")))
    wire = network.listeners[EDGE.host]
    deliver = wire.put

    def put(message: Request | Response, source: Hop) -> None:
        done.append("sent")
        deliver(message, source)

    def answer(transaction: ServerTransaction, request: Request) -> None:
        done.append("handled")
        server.node.respond(transaction, make_response(transaction, 200))

    monkeypatch.setattr(wire, "put", put)
    server.handler.answer = answer
    for _ in range(3):
        asker.node.send_request(make_request("OPTIONS"), CALLS)

    for _ in range(3):
        await asker.handler.next(ResponseReceived)

    assert done == ["handled"] * 3 + ["settled"] + ["sent"] * 3


async def test_a_failing_preparation_silences_nobody(start: StartPeer) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    asker, server = await start(EDGE), await start(CALLS, NodePolicy(before_sending=fail))
    server.handler.answer = lambda transaction, _: server.node.respond(
        transaction, make_response(transaction, 200)
    )
    asker.node.send_request(make_request("OPTIONS"), CALLS)
    await asker.handler.next(ResponseReceived)
    assert server.node.counts.handler_errors == 1


async def test_a_local_name_is_taken_once_and_given_back(start: StartPeer) -> None:
    edge = await start(EDGE)
    other = await start(CALLS)
    with pytest.raises(OSError, match="taken"):
        await other.node.listen(EDGE)
    await edge.node.aclose()
    assert await other.node.listen(EDGE) == EDGE


async def test_a_closed_node_neither_sends_nor_reports(start: StartPeer) -> None:
    edge, calls = await start(EDGE), await start(CALLS)
    edge.node.send_request(make_request(), CALLS)
    await calls.node.aclose()
    await edge.node.aclose()
    edge.node.send_request(make_request(), CALLS)
    for _ in range(3):
        await asyncio.sleep(0)
    assert edge.handler.events.empty()
    assert calls.handler.events.empty()


async def test_counts_reach_prometheus(start: StartPeer) -> None:
    edge, calls = await start(EDGE), await start(CALLS)
    edge.node.send_request(make_request("INFO"), CALLS)
    await calls.handler.next(RequestReceived)
    await calls.node.aclose()
    await edge.node.aclose()
    assert calls.registry.value("parley_test_sip_received_total") == 1
    assert edge.registry.value("parley_test_sip_sent_total") == 1
    assert edge.registry.value("parley_test_sip_transactions", {"kind": "client"}) == 1


async def test_one_timer_serves_all_transactions(start: StartPeer) -> None:
    edge, _ = await start(EDGE), await start(CALLS)
    edge.node.send_request(make_request("INFO"), CALLS)
    armed = edge.node._timer
    assert armed is not None
    for _ in range(50):
        # Deadlines that are not earlier leave the timer alone.
        edge.node.send_request(make_request("INFO"), CALLS)
    assert edge.node._timer is armed


@pytest.mark.parametrize("rest", ['SIP/2.0/UDP a;x="', "nonsense", ""])
async def test_a_response_that_a_neighbour_bared_to_a_malformed_via_is_dropped(
    start: StartPeer, rest: str
) -> None:
    calls = await start(CALLS)
    request = make_request("OPTIONS")
    request.prepend("via", "SIP/2.0/LOCAL calls;branch=z9hG4bKx")
    response = make_response(request, 200)
    response.remove("via")
    if rest:
        response.add("via", rest)
    calls.node.receive(response, EDGE, CALLS)
    assert calls.node.counts.malformed == 1
    assert calls.node.counts.handler_errors == 0
