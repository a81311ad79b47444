"""Several call managers over TCP that share one state, each through a wire of its own."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Any

from parley.backing.discovery.base import Instance, InstanceState
from parley.backing.errors import BackingUnavailable
from parley.backing.state.embedded import EmbeddedState
from parley.callmanager.app import CallManager
from parley.callmanager.hops import hop_at
from parley.model.ids import CallId
from parley.sip.hop import Hop
from parley.sip.message import Response
from parley.siptransport.policy import NodePolicy


class Wire:
    """The state port as one process sees it: slow, sometimes cut, sometimes stuck.

    Attributes:
        counts: operations by name.
        delay_s: what each operation takes, half of it on the way there.
        is_cut: operations fail at once.
        reached: set when the trapped operation was reached.
        gate: operations wait until it is set.
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
        self.gate = asyncio.Event()
        self.gate.set()

    def trap(self, operation: str, *, is_done: bool) -> None:
        """The next such operation gets stuck for ever, before or after it is carried out."""
        self._trap = operation, is_done
        self.reached.clear()

    def flush(self) -> None:
        self._state.flush()

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
        await self.gate.wait()
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

    def holds(self, call_id: str) -> bool:
        """Whether the call runs here."""
        return self.manager.calls.get(CallId(call_id)) is not None

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

    async def eventually(
        self, is_so: Callable[[], bool | Awaitable[bool]], within_s: float
    ) -> float:
        """Waits until something is so; returns how long it took, in seconds."""
        clock = self.world.clock
        start = clock.now()
        async with asyncio.timeout(within_s):
            while True:
                found = is_so()
                if found is True or (isinstance(found, Awaitable) and await found):
                    return float(clock.now() - start)
                await asyncio.sleep(0.01)

    async def without_state(self) -> None:
        """No manager reaches state any more, and the leases have run out."""
        for member in self.members:
            member.wire.is_cut = True
        managers = [member.manager for member in self.members]
        await self.eventually(lambda: not any(each.keeper.is_valid for each in managers), 3.0)

    def with_state(self) -> None:
        """All reach it again."""
        for member in self.members:
            member.wire.is_cut = False

    async def is_nothing_left(self) -> bool:
        """Whether state holds no call of the tenant."""
        return not await self.world.snapshot_keys()
