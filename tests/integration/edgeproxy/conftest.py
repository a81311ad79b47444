"""Edges on loopback with embedded backing, phones of our own stack and a fake call manager."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import pytest

from parley.backing.bus.base import Record
from parley.backing.db.extensions import ExtensionRepository, NewExtension
from parley.backing.db.tenants import TenantRepository
from parley.backing.directory import TenantDirectory
from parley.backing.factory import Backing, Port
from parley.backing.state.bindings import Bindings
from parley.backing.state.loads import callmanager_loads
from parley.edgeproxy.app import EdgeProxy, create_app
from parley.edgeproxy.settings import EdgeSettings
from parley.model.events import Event, decode_event
from parley.model.ids import InstanceId, TenantId
from parley.model.load import Load
from parley.model.registration import Binding
from parley.service.clock import SystemClock
from parley.service.ids import RandomIds
from parley.service.metrics import Registry
from parley.sip.digest import authorization, choose_challenge
from parley.sip.hop import Hop
from parley.sip.message import Request, Response, response_to
from parley.sip.transaction import (
    ClientTransaction,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
)
from parley.siptransport.local import LocalNetwork
from parley.siptransport.node import SipNode
from parley.siptransport.policy import NodePolicy
from parley.testkit.backing import in_memory
from parley.testkit.sip_handler import RecordingHandler

DOMAIN = "demo.test"
PASSWORD = "correct-horse"
SECRET = "integration-test-secret"
PORTS = Port.DATABASE | Port.STATE | Port.DISCOVERY | Port.BUS
DIALLED = "sip:1002@demo.test"


class World:
    """What all parts of a test share."""

    def __init__(self, backing: Backing, directory: TenantDirectory, stack: AsyncExitStack) -> None:
        self.backing = backing
        self.directory = directory
        self.network = LocalNetwork()
        self.clock = SystemClock()
        self.registry = Registry()
        self.tenant = TenantId("")
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self._stack = stack

    async def outlive(self, life_s: float) -> None:
        """Waits until what was just made and lives so long is over, in whole milliseconds."""
        await asyncio.sleep(life_s + 0.002)

    async def edge(
        self, name: str = "edge", *, is_remote: bool = False, **values: object
    ) -> EdgeProxy:
        """Starts an edge on free ports; a remote one has no part in the local network."""
        given = {"udp_port": 0, "tcp_port": 0, "secret": SECRET, "name": name, **values}
        given.setdefault("inside_port", 0)
        settings = EdgeSettings.load(**given)
        edge = create_app(
            settings,
            self.backing,
            self.directory,
            self.clock,
            RandomIds(),
            None if is_remote else self.network,
            self.registry,
        )
        await edge.start()
        self._stack.push_async_callback(edge.aclose)
        return edge

    async def call_manager(
        self, name: str = "cm1", calls: int = 0, *, is_remote: bool = False
    ) -> "CallManager":
        """Starts a call manager that publishes its load once; a remote one is met over TCP."""
        manager = CallManager(self, name, is_remote=is_remote)
        await manager.start(calls)
        self._stack.push_async_callback(manager.node.aclose)
        return manager

    async def phone(
        self,
        edge: EdgeProxy,
        number: str = "1001",
        transport: str = "udp",
        host: str = "127.0.0.1",
    ) -> "Phone":
        """Makes a phone with a socket of its own."""
        phone = Phone(self, edge, number, transport)
        await phone.start(host)
        self._stack.push_async_callback(phone.node.aclose)
        return phone

    async def bindings(self, number: str) -> list[Binding]:
        """Reads what is registered."""
        return (await Bindings(self.backing.state).find(f"{number}@{DOMAIN}")).bindings

    async def next_event(self) -> Event:
        """Waits for the next registration event."""
        async with asyncio.timeout(5):
            return await self.events.get()


class CallManager:
    """A node on the local network, or behind TCP, that answers as the test says."""

    def __init__(self, world: World, name: str, *, is_remote: bool) -> None:
        self.name = name
        self.hop = Hop("tcp", "127.0.0.1", 0) if is_remote else Hop("local", name, 0)
        self._world = world
        self.handler = RecordingHandler()
        self.node = SipNode(
            world.clock,
            RandomIds(),
            self.handler,
            network=None if is_remote else world.network,
            sent_by="callmanager.parley.internal",
            policy=NodePolicy(follows=lambda request: True),
        )

    async def start(self, calls: int) -> None:
        self.hop = await self.node.listen(self.hop)
        await self.publish(calls)

    async def publish(self, calls: int = 0, *, is_draining: bool = False) -> None:
        load = Load(
            instance=InstanceId(self.name),
            address=(self.hop.transport, self.hop.host, self.hop.port),
            calls=calls,
            cpu=0.0,
            at=self._world.clock.wall_s(),
            draining=is_draining,
        )
        await callmanager_loads(self._world.backing.state).publish(load)

    def answer(
        self, transaction: ServerTransaction, status: int, tag: str = "cm-tag", body: bytes = b""
    ) -> None:
        """Answers a request, the Record-Routes of an INVITE with it."""
        response = response_to(transaction.request, status, to_tag=tag)
        response.copy_lines("record-route", transaction.request)
        if transaction.is_invite:
            response.add("contact", f"<sip:{self.name}@{DOMAIN}>")
        response.body = body
        self.node.respond(transaction, response)

    async def final(self) -> Response:
        """Waits for the next final response to a request of its own."""
        while True:
            response = (await self.handler.next(ResponseReceived)).response
            if response.status >= 200:
                return response

    def request(self, method: str, uri: str, routes: list[str], to_tag: str = "") -> Request:
        """Makes a request towards a phone."""
        request = Request(method, uri)
        for route in routes:
            request.add("route", route)
        request.add("max-forwards", "70")
        request.add("from", f"<sip:cm@{DOMAIN}>;tag=cm")
        request.add("to", f"<{uri}>" + (f";tag={to_tag}" if to_tag else ""))
        request.add("call-id", f"from-{self.name}")
        request.add("cseq", f"1 {method}")
        request.add("contact", f"<sip:{self.name}@{DOMAIN}>")
        return request


class Phone:
    """A phone: one node, one account."""

    def __init__(self, world: World, edge: EdgeProxy, number: str, transport: str) -> None:
        self.world = world
        self.edge = edge
        self.number = number
        self.transport = transport
        self.handler = RecordingHandler()
        self.node = SipNode(world.clock, RandomIds(), self.handler)
        self.hop = Hop("", "", 0)
        self.cseq = 0
        self.call_id = f"phone-{number}-{id(self):x}"

    async def start(self, host: str) -> None:
        self.hop = await self.node.listen(Hop(self.transport, host, 0))

    @property
    def edge_hop(self) -> Hop:
        """Where this phone sends."""
        return self.edge.addresses.outside[self.transport]

    @property
    def contact(self) -> str:
        suffix = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:{self.number}@127.0.0.1:{self.hop.port}{suffix}"

    def request(self, method: str, uri: str = f"sip:{DOMAIN}", to: str | None = None) -> Request:
        """Makes a request of this phone's."""
        self.cseq += 1
        own = f"sip:{self.number}@{DOMAIN}"
        request = Request(method, uri)
        request.add("max-forwards", "70")
        request.add("from", f"<{own}>;tag=phone-{self.number}")
        request.add("to", to or (f"<{own}>" if method == "REGISTER" else f"<{uri}>"))
        request.add("call-id", self.call_id)
        request.add("cseq", f"{self.cseq} {method}")
        request.add("contact", f"<{self.contact}>")
        return request

    def send(self, request: Request) -> ClientTransaction:
        """Sends a request to the edge."""
        return self.node.send_request(request, self.edge_hop)

    async def response(self) -> Response:
        """Waits for the next response but 100."""
        while True:
            event = await self.handler.next(ResponseReceived)
            if event.response.status != 100:
                return event.response

    async def exchange(self, request: Request) -> Response:
        """Sends a request and waits for its response."""
        self.send(request)
        return await self.response()

    def authorized(
        self, request: Request, challenge: Response, password: str = PASSWORD, count: int = 1
    ) -> Request:
        """Makes the same request again, with credentials."""
        again = request.copy()
        again.remove("via")
        self.cseq += 1
        again.set("cseq", f"{self.cseq} {request.method}")
        name = "www-authenticate" if challenge.status == 401 else "proxy-authenticate"
        chosen = choose_challenge(challenge.get_all(name))
        assert chosen is not None
        value = authorization(chosen, again, self.number, password, "cnonce", count)
        header = "authorization" if challenge.status == 401 else "proxy-authorization"
        again.set(header, value)
        return again

    async def authenticated(self, request: Request, password: str = PASSWORD) -> Response:
        """Sends a request, answers the challenge and waits for what comes then."""
        challenge = await self.exchange(request)
        assert challenge.status in (401, 407), challenge
        return await self.exchange(self.authorized(request, challenge, password))

    async def call(
        self, manager: "CallManager", uri: str = DIALLED, **headers: str
    ) -> tuple[Request, ServerTransaction]:
        """Calls through the challenge; returns the INVITE sent and what the call manager got."""
        invite = self.request("INVITE", uri)
        for name, value in headers.items():
            invite.add(name.replace("_", "-"), value)
        challenge = await self.exchange(invite)
        assert challenge.status == 407
        authorized = self.authorized(invite, challenge)
        self.send(authorized)
        received = await manager.handler.next(RequestReceived)
        return authorized, received.transaction

    async def answered(self, manager: "CallManager") -> tuple[Request, ServerTransaction, Response]:
        """Brings a call up to the 200 at the phone."""
        invite, transaction = await self.call(manager)
        manager.answer(transaction, 200)
        return invite, transaction, await self.response()

    async def register(self, **headers: str) -> Response:
        """Registers."""
        request = self.request("REGISTER")
        for name, value in headers.items():
            request.set(name, value)
        return await self.authenticated(request)

    def ack(self, invite: Request, response: Response, routes: list[str] | None = None) -> Request:
        """Makes the ACK to a 2xx with the route set of the response."""
        ack = self.in_dialog("ACK", invite, response, routes)
        ack.set("cseq", f"{response.cseq.number} ACK")
        return ack

    def in_dialog(
        self, method: str, invite: Request, response: Response, routes: list[str] | None = None
    ) -> Request:
        """Makes a request within the dialog that a 2xx made."""
        self.cseq += 1
        target = response.contacts[0].uri_text
        request = Request(method, target)
        chosen = response.values("record-route")[::-1] if routes is None else routes
        for route in chosen:
            request.add("route", route)
        request.add("max-forwards", "70")
        request.add("from", invite.get("from") or "")
        request.add("to", response.get("to") or "")
        request.add("call-id", invite.call_id)
        request.add("cseq", f"{self.cseq} {method}")
        return request


@pytest.fixture
async def backing() -> AsyncIterator[Backing]:
    async with in_memory(PORTS) as backing:
        yield backing


@pytest.fixture
async def world(backing: Backing) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        directory = TenantDirectory(backing.db, backing.bus)
        await directory.start()
        stack.push_async_callback(directory.aclose)
        world = World(backing, directory, stack)
        tenant = await TenantRepository(backing.db).create("Demo", [DOMAIN, "demo.alias.test"])
        world.tenant = tenant.id
        await ExtensionRepository(backing.db).create_many(
            tenant.id, [NewExtension(number=n, password=PASSWORD) for n in ("1001", "1002")]
        )
        await directory.load(DOMAIN)

        async def remember(records: Sequence[Record]) -> None:
            for record in records:
                world.events.put_nowait(decode_event(record.value))

        subscription = backing.bus.tail("registration", remember)
        stack.push_async_callback(subscription.aclose)
        yield world


@pytest.fixture
async def manager(world: World) -> CallManager:
    """A call manager of the same process, without calls."""
    return await world.call_manager()


@pytest.fixture
async def edge(world: World) -> EdgeProxy:
    return await world.edge()


@pytest.fixture
async def phone(world: World, edge: EdgeProxy) -> Phone:
    """A phone of 1001 at that edge, over UDP."""
    return await world.phone(edge)
