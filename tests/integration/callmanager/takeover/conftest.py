"""Several call managers over TCP that share one state, each through a wire of its own."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from copy import copy
from typing import Any, TypeVar

import pytest

from parley.backing.discovery.base import Instance, InstanceState
from parley.backing.errors import BackingUnavailable
from parley.backing.state.embedded import EmbeddedState
from parley.callmanager.app import CallManager
from parley.callmanager.hops import hop_at
from parley.sip.hop import Hop
from parley.sip.message import Response
from parley.sip.transaction import (
    AckReceived,
    CancelReceived,
    ClientTransaction,
    RequestReceived,
    ResponseReceived,
    TransactionFailed,
)
from parley.siptransport.policy import NodePolicy

E = TypeVar("E")
PATIENCE_S = 5.0


class Wire:
    """The state port as one process sees it: slow, sometimes cut, sometimes stuck.

    Attributes:
        counts: operations by name.
        delay_s: what each operation takes, half of it on the way there.
        is_cut: operations fail at once.
        reached: set when the trapped operation was reached.
    """

    is_immediate = False

    def __init__(self, state: EmbeddedState, delay_s: float) -> None:
        self._state = state
        self.delay_s = delay_s
        self._trap: tuple[str, bool] | None = None
        self._callbacks: list[Callable[[], None]] = []
        self.counts: Counter[str] = Counter()
        self.is_cut = False
        self.reached = asyncio.Event()

    def trap(self, operation: str, *, is_done: bool) -> None:
        """The next such operation gets stuck for ever, before or after it is carried out."""
        self._trap = operation, is_done
        self.reached.clear()

    def on_new_generation(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def forget(self) -> None:
        """Tells its process that state may have forgotten writes."""
        for callback in self._callbacks:
            callback()

    def peek(self, key: str) -> bytes | None:
        return None

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        operation = getattr(self._state, name)

        async def run(*arguments: Any, **named: Any) -> Any:
            self.counts[name] += 1
            await self._pass(name, is_done=False)
            result = await operation(*arguments, **named)
            await self._pass(name, is_done=True)
            return result

        return run

    async def _pass(self, name: str, *, is_done: bool) -> None:
        if self._trap == (name, is_done):
            self._trap = None
            self.reached.set()
            await asyncio.Event().wait()
        await asyncio.sleep(self.delay_s / 2)
        if self.is_cut:
            raise BackingUnavailable("state is away")


class Member:
    """One call manager and its wire."""

    def __init__(self, manager: CallManager, wire: Wire, hop: Hop) -> None:
        self.manager = manager
        self.wire = wire
        self.hop = hop
        self.is_dead = False

    async def kill(self) -> None:
        """Ends it as SIGKILL does: nothing is written, nobody is told, sockets close."""
        manager = self.manager
        self.wire.is_cut = self.is_dead = True
        manager._tasks._is_closed = True
        for task in list(manager._tasks._tasks):
            task.cancel()
        for mailbox in manager.calls:
            mailbox._forget()
        await manager.node.aclose()

    def freeze(self) -> None:
        """Stops what it does by itself; what comes meanwhile is not seen until it is thawed."""
        for task in list(self.manager._tasks._tasks):
            task.cancel()

    def thaw(self) -> None:
        """Goes on."""
        manager = self.manager
        manager._tasks.spawn(manager.keeper.run(), name="thawed lease")
        manager._tasks.spawn(manager._sweeper.run(), name="thawed sweeper")

    async def owns(self, call_id: str) -> bool:
        """Whether the call is this one's in state."""
        owned = await self.wire._state.owner_of(f"call:{{{call_id}}}")
        return owned is not None and owned.owner == self.manager.instance


class Cluster:
    """The managers and phones of one test."""

    def __init__(self, world: Any) -> None:
        self.world = world
        world.network = None
        self.members: list[Member] = []

    async def member(self, name: str, delay_s: float = 0.001, **values: object) -> Member:
        wire = Wire(self.world.backing.state, delay_s)
        backing = copy(self.world.backing)
        backing.state = wire
        manager = await self.world.start_manager(backing=backing, name=name, **values)
        [address] = [
            each.address
            for each in self.world.backing.discovery.instances("callmanager")
            if each.id == manager.instance
        ]
        hop = hop_at(address)
        assert hop is not None
        self.members.append(Member(manager, wire, hop))
        return self.members[-1]

    def _reroute(self, response: Response, failed: Hop) -> Hop | None:
        """As edges do: a response whose call manager is gone goes to one that is left."""
        alive = [member.hop for member in self.members if not member.is_dead]
        return next((hop for hop in alive if hop != failed), None)

    async def phone(self, number: str, to: Member) -> Any:
        phone = await self.world.phone(number)
        policy = NodePolicy(follows=lambda request: True)
        phone.node.layer._follows = policy.follows
        phone.node._reroute = self._reroute
        phone.failed = []
        phone.to = to.hop
        return phone

    async def announce_edges(
        self, *phones: Any, state: InstanceState = InstanceState.READY
    ) -> None:
        """Makes the phones' edges known to discovery."""
        for phone in phones:
            _, _, rest = phone.route.partition("@")
            address = f"tcp:{rest.partition(';')[0]}"
            instance = Instance(
                service="edgeproxy",
                id=f"edge-{address}",
                address=address,
                state=state,
            )
            await self.world.backing.discovery.register(instance)

    async def pair(self, to: Member) -> tuple[Any, Any]:
        """Ann and Bob, registered."""
        ann, bob = await self.phone("1001", to), await self.phone("1002", to)
        await self.world.register(ann)
        await self.world.register(bob)
        return ann, bob

    async def talk(self, to: Member) -> tuple[Any, Any]:
        """Ann and Bob in conversation."""
        ann, bob = await self.pair(to)
        ann.call("1002")
        await request(bob, "INVITE")
        bob.respond(200, SDP_OF_BOB)
        await response(ann, 200)
        ann.ack()
        await expect(bob, AckReceived)
        return ann, bob

    async def eventually(self, is_so: Callable[[], Awaitable[bool]], within_s: float) -> float:
        """Waits until something is so; returns how long it took, in seconds."""
        clock = self.world.clock
        start = clock.now()
        async with asyncio.timeout(within_s):
            while True:
                if await is_so():
                    return float(clock.now() - start)
                await asyncio.sleep(0.01)


SDP_OF_BOB = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 5000 RTP/AVP 0 8\r\na=sendrecv\r\n"
)


async def expect(phone: Any, kind: type[E], is_it: Callable[[E], bool] = lambda event: True) -> E:
    """Waits for an event; others before it (lost connections, repetitions) are skipped."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            event = await phone.handler.events.get()
            if isinstance(event, kind) and is_it(event):
                return event
            if isinstance(event, TransactionFailed):
                phone.failed.append(event.transaction)
            elif isinstance(event, ResponseReceived) and phone.dialog is not None:
                acknowledge(phone, event.response)


def acknowledge(phone: Any, response: Response) -> None:
    """Every repetition of a 2xx gets its ACK (RFC 3261 13.2.2.4)."""
    if response.cseq.method == "INVITE" and response.status == 200:
        phone.ack(cseq=response.cseq.number)


async def request(phone: Any, method: str) -> Any:
    """Waits for a request and makes it the one that the phone answers."""
    event = await expect(phone, RequestReceived, lambda event: event.request.method == method)
    phone.transaction = event.transaction
    return event.request


async def response(phone: Any, status: int) -> Any:
    """Waits for a response; a 2xx to the first INVITE makes the dialog."""
    event = await expect(phone, ResponseReceived, lambda event: event.response.status == status)
    found = event.response
    if status == 200 and found.cseq.method == "INVITE" and phone.dialog is None:
        phone.dialog = phone.dialog_of(found)
    return found


async def moved(phone: Any, hop: Hop) -> None:
    """Waits until the way back of the request that the phone answers is another one."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if phone.transaction.hop != hop:
                return
            await asyncio.sleep(0.01)


def accept(phone: Any) -> None:
    """Answers 200 and repeats it until the ACK, as phones do."""
    keep, phone.node.respond = phone.node.respond, phone.node.respond_until_ack
    phone.respond(200, SDP_OF_BOB)
    phone.node.respond = keep


async def cancelled(phone: Any) -> Any:
    return (await expect(phone, CancelReceived)).request


async def again(phone: Any, sent: ClientTransaction, to: Member) -> ClientTransaction:
    """What an edge does with a request without answer when its call manager is gone."""
    if sent not in phone.failed:
        await expect(phone, TransactionFailed, lambda event: event.transaction is sent)
    phone.to = to.hop
    phone.failed.clear()
    copy = sent.request.copy()
    branch = copy.via.branch
    copy.remove_first_value("via")
    made: ClientTransaction = phone.node.send_request(copy, to.hop, branch=branch)
    return made


class Script:
    """The helpers, for tests."""

    expect = staticmethod(expect)
    request = staticmethod(request)
    response = staticmethod(response)
    cancelled = staticmethod(cancelled)
    moved = staticmethod(moved)
    accept = staticmethod(accept)
    again = staticmethod(again)
    sdp_of_bob = SDP_OF_BOB


@pytest.fixture
def script() -> type[Script]:
    return Script


@pytest.fixture
async def cluster(world: Any) -> AsyncIterator[Cluster]:
    yield Cluster(world)
