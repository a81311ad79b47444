"""Forwarding with a fake node: what a failed next hop is answered with, strays, draining."""

import asyncio
from typing import cast

import msgspec
import pytest

from parley.backing.discovery.embedded import EmbeddedDiscovery
from parley.backing.state.embedded import EmbeddedState
from parley.edgeproxy.addresses import EdgeAddresses
from parley.edgeproxy.callmanagers import LOAD_KEY, CallManagers
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.proxy import Forwarding, Proxy
from parley.edgeproxy.routes import Routes
from parley.edgeproxy.token import TokenCodec
from parley.model.ids import InstanceId
from parley.model.load import Load
from parley.service.metrics import Registry
from parley.sip.hop import Hop
from parley.sip.message import Request, Response, response_to
from parley.sip.transaction import ClientTransaction, ServerTransaction
from parley.testkit.clock import FakeClock
from parley.testkit.ids import CountingIds
from parley.testkit.sip_messages import make_request

PHONE = Hop("udp", "192.0.2.1", 5060)
PHONE_TCP = Hop("tcp", "192.0.2.1", 40000, 17)


class FakeTransaction:
    """Either side's transaction, as far as a proxy looks at it."""

    def __init__(self, request: Request, hop: Hop) -> None:
        self.request = request
        self.hop = hop
        self.user: object = None
        self.is_invite = request.method == "INVITE"
        self.is_answered = False
        self.is_terminated = False
        self.is_cancelled = False


class FakeNode:
    """Remembers what a proxy sends."""

    def __init__(self) -> None:
        self.requests: list[FakeTransaction] = []
        self.responses: list[Response] = []
        self.sent: list[tuple[Request | Response, Hop]] = []
        self.cancelled: list[tuple[object, tuple[tuple[str, str], ...]]] = []

    def send_request(self, request: Request, hop: Hop, user: object = None) -> ClientTransaction:
        request.prepend("via", f"SIP/2.0/{hop.transport} edge.test;branch=z9hG4bK-own")
        transaction = FakeTransaction(request, hop)
        transaction.user = user
        self.requests.append(transaction)
        return cast("ClientTransaction", transaction)

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        self.responses.append(response)
        if response.status >= 200:
            cast("FakeTransaction", transaction).is_answered = True

    def cancel(
        self, transaction: ClientTransaction, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.cancelled.append((transaction, headers))

    def send(self, message: Request | Response, hop: Hop) -> None:
        self.sent.append((message, hop))


class Bench:
    """A proxy between a fake node and two call managers."""

    def __init__(self) -> None:
        self.node = FakeNode()
        self.clock = FakeClock()
        self.state = EmbeddedState(self.clock, None)
        self.callmanagers = CallManagers(self.state, EmbeddedDiscovery())
        addresses = EdgeAddresses()
        addresses.add_outside(Hop("udp", "192.0.2.100", 5060))
        addresses.set_inside(Hop("local", "edge", 0))
        self.proxy = Proxy(
            sender=self.node,
            routes=Routes(TokenCodec(b"secret"), addresses),
            callmanagers=self.callmanagers,
            clock=self.clock,
            ids=CountingIds(),
            metrics=EdgeMetrics(Registry()),
        )

    async def start(self) -> None:
        for name, calls in (("cm1", 0), ("cm2", 10)):
            load = Load(
                instance=InstanceId(name),
                address=("local", name, 0),
                calls=calls,
                cpu=0.0,
                at=self.clock.wall_s(),
            )
            await self.state.hash_put(LOAD_KEY, name, msgspec.json.encode(load))
        await self.callmanagers.refresh(self.clock.now(), self.clock.wall_s())

    def server(self, method: str = "INVITE") -> ServerTransaction:
        request = make_request(method)
        request.prepend("via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-phone")
        return cast("ServerTransaction", FakeTransaction(request, PHONE))

    def call(self, server: ServerTransaction) -> FakeTransaction:
        """Forwards a new call; returns the client transaction."""
        forwarding = Forwarding(server, is_inward=True, call_id="call-1", new_from=PHONE)
        self.proxy.forward_inward(server.request.copy(), forwarding)
        return self.node.requests[-1]

    def ring(self, server: ServerTransaction, hop: Hop) -> FakeTransaction:
        """Forwards a request to a phone."""
        self.proxy.forward_outward(server.request.copy(), hop, server)
        return self.node.requests[-1]

    def fail(self, client: FakeTransaction, cause: str) -> None:
        client.is_terminated = True
        self.proxy.on_failure(cast("ClientTransaction", client), cause)

    def respond(self, client: FakeTransaction, status: int) -> None:
        response = response_to(client.request, status, to_tag="b1")
        self.proxy.on_response(cast("ClientTransaction", client), response)

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.node.responses]


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.start()
    return bench


async def test_response_goes_back_without_our_via(bench: Bench) -> None:
    client = bench.call(bench.server())

    for status in (100, 180, 200, 200):
        bench.respond(client, status)

    assert bench.statuses == [180, 200, 200]
    assert all("z9hG4bK-own" not in (one.get("via") or "") for one in bench.node.responses)


@pytest.mark.parametrize(
    ("hop", "cause", "method", "statuses"),
    [
        (PHONE_TCP, "transport", "INVITE", [430]),
        (PHONE_TCP, "transport", "BYE", [430]),
        (PHONE, "transport", "INVITE", [480]),
        (PHONE, "timeout", "INVITE", [408]),
        (PHONE, "timeout", "BYE", []),
    ],
)
async def test_phone_that_cannot_be_reached(
    bench: Bench, hop: Hop, cause: str, method: str, statuses: list[int]
) -> None:
    client = bench.ring(bench.server(method), hop)

    bench.fail(client, cause)

    assert bench.statuses == statuses


async def test_call_manager_that_cannot_be_reached_is_tried_once(bench: Bench) -> None:
    first = bench.call(bench.server())
    bench.fail(first, "transport")
    second = bench.node.requests[-1]
    bench.fail(second, "transport")

    assert (first.hop.host, second.hop.host) == ("cm1", "cm2")
    assert bench.statuses == [503]
    assert len(second.request.get_all("record-route")) == 2
    assert len(second.request.get_all("via")) == 2


async def test_cancelled_call_that_fails_is_ended_as_cancelled(bench: Bench) -> None:
    client = bench.call(bench.server())
    client.is_cancelled = True

    bench.fail(client, "timeout")

    assert bench.statuses == [487]


async def test_cancel_before_the_call_went_on_ends_it(bench: Bench) -> None:
    server = bench.server()

    bench.proxy.on_cancel(server, server.request)

    assert bench.statuses == [487]
    assert bench.node.cancelled == []


async def test_cancel_takes_its_reason_along(bench: Bench) -> None:
    server = bench.server()
    client = bench.call(server)
    cancel = server.request.copy()
    cancel.add("reason", 'SIP;cause=200;text="Call completed elsewhere"')

    bench.proxy.on_cancel(server, cancel)

    ((cancelled, headers),) = bench.node.cancelled
    assert cancelled is client
    assert headers == (("reason", 'SIP;cause=200;text="Call completed elsewhere"'),)


async def test_wait_for_idle_ends_with_the_last_answer(bench: Bench) -> None:
    first, second = bench.call(bench.server()), bench.ring(bench.server("BYE"), PHONE)
    waiting = asyncio.ensure_future(bench.proxy.wait_idle())
    bench.respond(first, 200)
    bench.respond(first, 200)
    await asyncio.sleep(0)
    assert not waiting.done()

    bench.fail(second, "timeout")

    await asyncio.wait_for(waiting, 5)


@pytest.mark.parametrize(
    ("status", "method", "next_via", "is_inside", "goes_on"),
    [
        (200, "INVITE", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx", True, True),
        (200, "INVITE", "SIP/2.0/LOCAL cm1;branch=z9hG4bKx", False, True),
        (200, "INVITE", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx", False, False),
        (486, "INVITE", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx", True, False),
        (200, "BYE", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx", True, False),
    ],
)
async def test_stray_responses(  # the table is the sentence
    bench: Bench, status: int, method: str, next_via: str, is_inside: bool, goes_on: bool
) -> None:
    response = response_to(bench.server(method).request, status, to_tag="b1")
    response.set("via", f"SIP/2.0/UDP 192.0.2.100:5060;branch=z9hG4bKo, {next_via}")

    bench.proxy.on_stray_response(response, is_inside=is_inside)

    assert len(bench.node.sent) == goes_on


async def test_an_answered_call_leaves_no_way_back_to_what_it_used(bench: Bench) -> None:
    server = bench.server()
    client = bench.call(server)
    bench.respond(client, 200)
    bench.respond(client, 200)

    assert bench.statuses == [200, 200]
    assert server.user is None
    assert isinstance(client.user, Forwarding)
    assert client.user.client is None
