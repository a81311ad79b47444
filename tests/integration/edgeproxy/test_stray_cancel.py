"""A caller gives up after the death of the edge that had its INVITE, seen over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.callmanager.conftest import FakeMedia

from parley.backing.bus.base import Record
from parley.callmanager.app import CallManager, create_app
from parley.callmanager.settings import CallManagerSettings
from parley.edgeproxy.app import EdgeProxy
from parley.model.call import CallResult
from parley.model.events import Event, decode_event
from parley.service.ids import RandomIds
from parley.service.metrics import Registry
from parley.sip.derived_requests import cancel_for
from parley.sip.message import Request, Response, parse_message, response_to
from parley.sip.transaction import (
    CancelReceived,
    ClientTransaction,
    RequestReceived,
    ResponseReceived,
)
from parley.testkit.phones.ports import reserve_ports

if TYPE_CHECKING:
    from tests.integration.edgeproxy.conftest import Phone, World


class Stage:
    """Two edges with one address and two call managers.

    Attributes:
        ended: the events of calls that are over.
    """

    def __init__(self, world: "World") -> None:
        self.world = world
        self.edges: list[EdgeProxy] = []
        self.managers: list[CallManager] = []
        self.ended: asyncio.Queue[Any] = asyncio.Queue()

    async def start(self, *, is_remote: bool = True) -> None:
        """Starts all, joined by TCP or, as in one process, by the local network."""
        world = self.world
        for name in ("cm1", "cm2"):
            settings = CallManagerSettings.load(hang_up_s=0.05, port=0, name=name)
            manager = create_app(
                settings,
                world.backing,
                world.directory,
                FakeMedia(),
                world.clock,
                RandomIds(),
                None if is_remote else world.network,
                Registry(),
            )
            await manager.start()
            self.managers.append(manager)
        port = reserve_ports()
        values = {"udp_port": port, "tcp_port": port, "tls_port": port, "shared_address": True}
        for name in ("edge1", "edge2"):
            edge = await world.edge(name, is_remote=is_remote, **(values if is_remote else {}))
            self.edges.append(edge)

    async def aclose(self) -> None:
        """Ends the call managers; the edges are the world's."""
        for manager in self.managers:
            await manager.aclose()

    async def remember(self, records: Sequence[Record]) -> None:
        for record in records:
            event: Event = decode_event(record.value)
            if event.type == "call.ended":
                self.ended.put_nowait(event)

    def edge_of(self, client: ClientTransaction) -> EdgeProxy:
        """The edge that has a phone's INVITE."""
        branch = client.request.via.branch
        (found,) = [
            edge
            for edge in self.edges
            if any(key[:2] == (branch, "INVITE") for key in edge.node.layer.servers)
        ]
        return found

    async def kill(self, edge: EdgeProxy) -> None:
        """Ends it as SIGKILL does: nobody is told, its sockets close."""
        for task in list(edge._tasks._tasks):
            task.cancel()
        await edge.node.aclose()

    def count(self, result: str) -> int:
        """How many CANCELs without their INVITE came to this end."""
        name = "parley_edgeproxy_stray_cancels_total"
        return int(self.world.registry.value(name, {"result": result}))


@pytest.fixture
async def stage(world: "World", request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Joined by TCP, unless the test asks for something else."""
    stage = Stage(world)
    subscription = world.backing.bus.tail("call", stage.remember)
    try:
        await stage.start(is_remote=getattr(request, "param", True))
        yield stage
    finally:
        await subscription.aclose()
        await stage.aclose()


async def _response(phone: "Phone", status: int) -> Response:
    while True:
        response = (await phone.handler.find(ResponseReceived)).response
        if response.status == status:
            return response


async def _ringing(caller: "Phone", callee: "Phone") -> tuple[ClientTransaction, RequestReceived]:
    """Calls; returns the caller's INVITE and the callee's, once the caller hears it ring."""
    assert (await callee.register()).status == 200
    invite = caller.request("INVITE", "sip:1002@demo.test")
    client = caller.send(caller.authorized(invite, await caller.exchange(invite)))
    ringing = await callee.handler.find(RequestReceived)
    response = response_to(ringing.request, 180, to_tag="callee")
    response.add("contact", f"<{callee.contact}>")
    callee.node.respond(ringing.transaction, response)
    await _response(caller, 180)
    return client, ringing


async def _is_cancelled(stage: Stage, caller: "Phone", callee: "Phone", there: Any) -> None:
    """The callee hears it, the caller is told, and there is one record."""
    cancelled = await callee.handler.find(CancelReceived)
    assert cancelled.transaction is there.transaction
    callee.node.respond(there.transaction, response_to(there.request, 487, to_tag="callee"))
    assert (await _response(caller, 487)).cseq.method == "INVITE"
    async with asyncio.timeout(5):
        ended = await stage.ended.get()
    assert ended.data.termination.result is CallResult.CANCELLED
    assert stage.ended.empty()


async def test_a_caller_gives_up_through_the_edge_that_is_left(
    world: "World", stage: Stage
) -> None:
    caller, callee = await world.phone(stage.edges[0]), await world.phone(stage.edges[0], "1002")
    client, ringing = await _ringing(caller, callee)
    await stage.kill(stage.edge_of(client))

    caller.node.cancel(client)
    await _is_cancelled(stage, caller, callee, ringing)
    assert stage.count("taken") == 1
    async with asyncio.timeout(5):
        for manager in stage.managers:
            await manager.calls.wait_idle()


async def test_a_caller_gives_up_after_edge_and_call_manager_died_together(
    world: "World", stage: Stage
) -> None:
    caller, callee = await world.phone(stage.edges[0]), await world.phone(stage.edges[0], "1002")
    client, ringing = await _ringing(caller, callee)
    owner, successor = sorted(stage.managers, key=lambda manager: -len(manager.calls))
    async with asyncio.timeout(3):
        while owner.instance not in successor._sweeper._seen:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    await stage.kill(stage.edge_of(client))
    await _kill(owner)

    caller.node.cancel(client)
    await _is_cancelled(stage, caller, callee, ringing)


@pytest.mark.parametrize("stage", [True, False], ids=["tcp", "local"], indirect=True)
async def test_a_cancel_may_come_by_another_edge_while_the_first_one_lives(
    world: "World", stage: Stage
) -> None:
    first, second = stage.edges
    caller, callee = await world.phone(first), await world.phone(first, "1002")
    client, ringing = await _ringing(caller, callee)
    if stage.edge_of(client) is second:
        first, second = second, first
    # Which edge gets a datagram is the kernel's choice; here this one is handed it.
    cancel = parse_message(bytes(cancel_for(client.request)))
    second.node.receive(cancel, caller.hop, second.addresses.outside["udp"])
    second.node.flush()
    await _is_cancelled(stage, caller, callee, ringing)
    assert stage.count("taken") == 1


async def test_a_stranger_cannot_cancel_from_another_address(world: "World", stage: Stage) -> None:
    caller, callee = await world.phone(stage.edges[0]), await world.phone(stage.edges[0], "1002")
    client, ringing = await _ringing(caller, callee)
    await stage.kill(stage.edge_of(client))

    assert await _forge(caller, cancel_for(client.request)) == 481
    assert stage.count("unknown") == 1
    callee.node.respond(ringing.transaction, response_to(ringing.request, 486, to_tag="callee"))
    await _response(caller, 486)


async def test_a_cancel_that_belongs_to_nothing_is_refused(world: "World", stage: Stage) -> None:
    caller = await world.phone(stage.edges[0])
    caller.send(caller.request("CANCEL", "sip:1002@demo.test"))

    assert (await caller.response()).status == 481
    assert stage.count("unknown") == 1


async def _kill(manager: CallManager) -> None:
    for task in list(manager._tasks._tasks):
        task.cancel()
    for mailbox in manager.calls:
        mailbox._forget()
    await manager.node.aclose()


async def _forge(victim: "Phone", request: Request) -> int:
    """Sends a phone's request from another address; returns the status of the answer."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        stranger.bind(("127.0.0.2", victim.hop.port))
        await loop.sock_sendto(
            stranger, bytes(request), (victim.edge_hop.host, victim.edge_hop.port)
        )
        async with asyncio.timeout(5):
            return int((await loop.sock_recv(stranger, 65536)).split()[1])
