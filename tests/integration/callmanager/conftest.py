"""A call manager on a local network, with embedded backing, between phones of our own stack."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from parley.backing.bus.base import Record
from parley.backing.db.extensions import ExtensionRepository, NewExtension
from parley.backing.db.tenants import TenantRepository
from parley.backing.directory import TenantDirectory
from parley.backing.factory import Backing, Port
from parley.backing.media.base import MediaEventCallback, MediaUnavailable
from parley.backing.state.bindings import Bindings
from parley.callmanager.app import CallManager, create_app
from parley.callmanager.settings import CallManagerSettings
from parley.model.events import Event, decode_event
from parley.model.ids import InstanceId, TenantId
from parley.model.media import (
    Command,
    LegPorts,
    LocalStream,
    MediaEvent,
    OpenSession,
    Reply,
    StreamStats,
    UpdateSession,
)
from parley.model.registration import Binding
from parley.service.clock import SystemClock
from parley.service.ids import RandomIds
from parley.service.metrics import Registry
from parley.sip.dialog import Dialog
from parley.sip.hop import Hop
from parley.sip.message import Request, Response, response_to
from parley.sip.timers import Timers
from parley.sip.transaction import (
    AckReceived,
    ClientTransaction,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
)
from parley.siptransport.local import LocalNetwork
from parley.siptransport.node import SipNode
from parley.testkit.backing import in_memory
from parley.testkit.sip_handler import RecordingHandler

DOMAIN = "demo.test"


def sdp(ip: str, port: int, direction: str = "sendrecv") -> bytes:
    return (
        f"v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0 8\r\na={direction}\r\n"
    ).encode()


class FakeMedia:
    """Implements `MediaControl`: ports by rule, failures on demand."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.sessions: set[str] = set()
        self.is_away = False
        self.gate: asyncio.Event | None = None
        self.tell: list[MediaEventCallback] = []

    async def execute(self, command: Command) -> Reply:
        self.commands.append(command)
        if self.gate is not None:
            await self.gate.wait()
        if self.is_away:
            raise MediaUnavailable("no relay")
        if not isinstance(command, OpenSession | UpdateSession):
            self.sessions.discard(command.session_id)
            stats = [StreamStats("a", 0, packets_received=7), StreamStats("b", 0)]
            return Reply(command.session_id, True, stats=stats)
        self.sessions.add(command.session_id)
        legs = [
            LegPorts(
                leg.leg,
                [
                    LocalStream(spec.index, "127.0.0.1", port, port + 1)
                    for spec in leg.streams
                    for port in ((20000 if leg.leg == "a" else 30000) + 2 * spec.index,)
                ],
            )
            for leg in command.legs
        ]
        return Reply(command.session_id, True, legs=legs)

    def on_event(self, callback: MediaEventCallback) -> None:
        self.tell.append(callback)

    def say(self, event: MediaEvent) -> None:
        for tell in self.tell:
            tell(event)

    async def start(self) -> None:
        """Nothing to connect."""

    async def aclose(self) -> None:
        """Nothing to release."""


class Phone:
    """A phone behind an edge that is not there: it takes the edge's place on the network."""

    def __init__(self, world: "World", number: str, place: str) -> None:
        self.world = world
        self.number = number
        self.place = place
        self.call_id = ""
        self.to: Hop = world.manager_hop
        self.handler = RecordingHandler()
        self.node = SipNode(
            world.clock, RandomIds(), self.handler, world.timers, network=world.network
        )
        self.route = ""
        self.contact = f"<sip:{number}@192.0.2.9:5060>"
        self.dialog: Dialog | None = None
        self.invite: Request | None = None
        self.transaction: ServerTransaction | None = None

    async def listen(self) -> None:
        """Opens the edge's inside address."""
        hop = await self.node.listen(self.world.place_of(self.place))
        where = f"{hop.host}:{hop.port}" if hop.port else hop.host
        self.route = f"<sip:token@{where};transport={hop.transport};lr>"

    # --- calling ---------------------------------------------------------------------------

    def make_invite(self, dialled: str, body: bytes = b"", **headers: str) -> Request:
        ids = self.world.ids
        request = Request("INVITE", f"sip:{dialled}@{DOMAIN}")
        request.add("record-route", self.route)
        request.add("max-forwards", "69")
        request.add("from", f'"Phone {self.number}" <sip:{self.number}@{DOMAIN}>;tag={ids.token()}')
        request.add("to", f"<sip:{dialled}@{DOMAIN}>")
        request.add("call-id", ids.token())
        request.add("cseq", "1 INVITE")
        request.add("contact", self.contact)
        self.call_id = ids.token()
        request.add("x-parley-call", self.call_id)
        request.add("x-parley-tenant", self.world.tenant)
        request.add("x-parley-source", "127.0.0.1")
        request.add("p-asserted-identity", f"<sip:{self.number}@{DOMAIN}>")
        if body:
            request.add("content-type", "application/sdp")
            request.body = body
        for name, value in headers.items():
            request.set(name.replace("_", "-"), value)
        return request

    def call(self, dialled: str, body: bytes | None = None, **headers: str) -> ClientTransaction:
        offer = sdp("127.0.0.1", 4000) if body is None else body
        self.invite = self.make_invite(dialled, offer, **headers)
        return self.send(self.invite)

    def send(self, request: Request) -> ClientTransaction:
        return self.node.send_request(request, self.to)

    async def response(self) -> Response:
        while True:
            event = await self.handler.next(ResponseReceived)
            if event.response.status != 100:
                is_answer = event.response.cseq.method == "INVITE" and event.response.status == 200
                if is_answer and self.dialog is None:
                    self.dialog = self.dialog_of(event.response)
                return event.response

    def dialog_of(self, answer: Response) -> Dialog:
        assert self.invite is not None
        return Dialog.uac(self.invite, answer)

    def ack(self, body: bytes = b"", cseq: int = 1) -> None:
        assert self.dialog is not None
        ack = self.dialog.new_ack(cseq)
        if body:
            ack.add("content-type", "application/sdp")
            ack.body = body
        ack.add("x-parley-call", self.call_id)
        self.node.send(ack, self.to)

    # --- answering -------------------------------------------------------------------------

    async def request(self) -> Request:
        event = await self.handler.next(RequestReceived)
        self.transaction = event.transaction
        return event.request

    def respond(self, status: int, body: bytes = b"") -> None:
        assert self.transaction is not None
        request = self.transaction.request
        tag = f"tag-{self.place}"
        response = response_to(request, status, to_tag=tag)
        if request.method == "INVITE" and 300 <= status < 400:
            response.add("contact", "<sip:1003@demo.test>")
        if request.method == "INVITE" and 100 < status < 300:
            response.add("contact", self.contact)
            response.add("record-route", self.route)
            self.call_id = (
                self.call_id or (request.via.branch or "").split("-", 1)[-1].rsplit("-", 2)[0]
            )
            if request.to.tag is None:
                routed = request.copy()
                routed.add("record-route", self.route)
                self.dialog = Dialog.uas(routed, tag, self.contact)
        if body:
            response.add("content-type", "application/sdp")
            response.body = body
        self.node.respond(self.transaction, response)

    # --- talking ---------------------------------------------------------------------------

    def ask(
        self,
        method: str,
        body: bytes = b"",
        content_type: str = "application/sdp",
        headers: Sequence[tuple[str, str]] = (),
    ) -> ClientTransaction:
        assert self.dialog is not None
        request = self.dialog.new_request(method)
        request.add("x-parley-call", self.call_id)
        for name, value in headers:
            request.add(name, value)
        if body:
            request.add("content-type", content_type)
            request.body = body
        return self.send(request)


async def establish(ann: Phone, bob: Phone) -> None:
    """Ann calls Bob, who lets it ring and answers."""
    ann.call("1002")
    await bob.request()
    bob.respond(180)
    assert (await ann.response()).status == 180
    bob.respond(200, sdp("127.0.0.1", 5000))
    assert (await ann.response()).status == 200
    ann.ack()
    await bob.handler.next(AckReceived)


class World:
    """What all parts of a test share."""

    def __init__(self, backing: Backing, directory: TenantDirectory, stack: AsyncExitStack) -> None:
        self.backing = backing
        self.directory = directory
        self.network: LocalNetwork | None = LocalNetwork()
        self.clock = SystemClock()
        self.ids = RandomIds()
        self.registry = Registry()
        self.media = FakeMedia()
        self.tenant = TenantId("")
        self.timers = Timers(t1=0.5)
        self.manager_hop = Hop("local", "callmanager", 0)
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.seen: list[str] = []
        self._stack = stack

    async def start_manager(
        self, media: Any = None, backing: Backing | None = None, **values: object
    ) -> CallManager:
        manager = create_app(
            CallManagerSettings.load(**{"hang_up_s": 0.05, "port": 0, **values}),
            backing or self.backing,
            self.directory,
            media or self.media,
            self.clock,
            RandomIds(),
            self.network,
            Registry() if backing else self.registry,
        )
        await manager.start()
        self._stack.push_async_callback(manager.aclose)
        return manager

    def place_of(self, name: str) -> Hop:
        """Where an edge's inside listener goes: a name on the local network, or a free port."""
        return Hop("tcp", "127.0.0.1", 0) if self.network is None else Hop("local", name, 0)

    async def phone(self, number: str, place: str | None = None) -> Phone:
        """Makes a phone; `register` makes it reachable."""
        phone = Phone(self, number, place or f"phone-{number}")
        await phone.listen()
        self._stack.push_async_callback(phone.node.aclose)
        return phone

    async def register(self, *phones: Phone) -> None:
        """Registers phones of one extension, as an edge would."""
        number = phones[0].number
        bindings = [
            Binding(
                aor=f"sip:{number}@{DOMAIN}",
                contact=f"sip:{number}@192.0.2.2:{5070 + place}",
                path=[phone.route],
                expires_at=self.clock.wall_s() + 60,
                call_id="r",
                cseq=1,
                edge=InstanceId("edge-1"),
                source="127.0.0.1",
            )
            for place, phone in enumerate(phones)
        ]
        stored, aor = Bindings(self.backing.state), f"{number}@{DOMAIN}"
        version = (await stored.find(aor)).version
        assert await stored.replace(aor, bindings, version, self.clock.wall_s())

    async def wait_event(self, kind: str) -> Any:
        """Waits for an event of the bus; others before it are remembered in `seen`."""
        async with asyncio.timeout(5):
            while True:
                event = await self.events.get()
                self.seen.append(event.type)
                if event.type == kind:
                    return event

    async def snapshot_keys(self) -> list[str]:
        """The ids of the tenant's calls in shared state."""
        return [
            name for name, _ in await self.backing.state.index_range(f"calls:{{{self.tenant}}}")
        ]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        ports = Port.DATABASE | Port.STATE | Port.DISCOVERY | Port.BUS
        backing = await stack.enter_async_context(in_memory(ports))
        directory = TenantDirectory(backing.db, backing.bus)
        await directory.start()
        stack.push_async_callback(directory.aclose)
        world = World(backing, directory, stack)
        tenant = await TenantRepository(backing.db).create("Demo", [DOMAIN])
        world.tenant = tenant.id
        await ExtensionRepository(backing.db).create_many(
            tenant.id,
            [
                NewExtension(number="1001", password="correct-horse", display_name="Ann"),
                NewExtension(number="1002", password="correct-horse", ring_timeout_s=30.0),
            ],
        )

        async def remember(records: Sequence[Record]) -> None:
            for record in records:
                world.events.put_nowait(decode_event(record.value))

        subscription = backing.bus.tail("call", remember)
        stack.push_async_callback(subscription.aclose)
        yield world


@pytest.fixture
async def manager(world: World) -> CallManager:
    return await world.start_manager()


@pytest.fixture
async def ann(world: World, manager: CallManager) -> Phone:
    """A phone of 1001; it is not registered."""
    return await world.phone("1001")


@pytest.fixture
async def bob(world: World, manager: CallManager) -> Phone:
    """A phone of 1002, registered."""
    bob = await world.phone("1002")
    await world.register(bob)
    return bob


@pytest.fixture
async def talking(ann: Phone, bob: Phone) -> None:
    """Ann and Bob are in conversation."""
    await establish(ann, bob)


@pytest.fixture
def make_sdp() -> Callable[..., bytes]:
    return sdp
