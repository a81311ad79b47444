"""One call of Ann and Bob, and the two call managers that it can be at."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from parley.model.call import CallResult
from parley.sip.transaction import AckReceived, ClientTransaction

from .members import Cluster, Member
from .script import SDP_OF_BOB, again, expect, hang_up, request, response

T = TypeVar("T")
REPLAYED = {"call.started", "call.ringing", "call.answered", "call.updated"}
"""Events that a successor may publish once more, under their old ids."""


class Scene:
    """Ann calls Bob.

    Attributes:
        one: the owner-to-be.
        other: who is left when that one is gone; the same where there is none.
        ann, bob: the phones, registered, at `one`.
        sent: Ann's INVITE.
    """

    sent: ClientTransaction

    def __init__(self, cluster: Cluster, one: Member, ann: Any, bob: Any) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.one = self.other = one
        self.ann = ann
        self.bob = bob

    @classmethod
    async def set(cls, cluster: Cluster) -> "Scene":
        """With one manager."""
        one = await cluster.member("cm-1")
        ann, bob = await cluster.phone("1001", one), await cluster.phone("1002", one)
        await cluster.world.register(ann)
        await cluster.world.register(bob)
        return cls(cluster, one, ann, bob)

    @property
    def call_id(self) -> str:
        """Of the call, once Ann has called."""
        return str(self.ann.call_id)

    # --- the call --------------------------------------------------------------------------

    def dial(self, **headers: str) -> ClientTransaction:
        """Ann's INVITE leaves."""
        self.sent = self.ann.call("1002", **headers)
        return self.sent

    async def call(self) -> None:
        """Ann's INVITE comes to Bob."""
        self.dial()
        await request(self.bob, "INVITE")

    async def ring(self) -> None:
        """Ann hears it ring."""
        self.bob.respond(180)
        await response(self.ann, 180)

    async def answer(self, cseq: int = 1) -> None:
        """Bob answers the INVITE that he has, with this number."""
        self.bob.respond(200, SDP_OF_BOB)
        await self.connect(cseq)

    async def connect(self, cseq: int = 1) -> None:
        """Bob's answer comes to Ann, and her ACK to him."""
        await response(self.ann, 200)
        self.ann.ack(cseq=cseq)
        await expect(self.bob, AckReceived)

    async def talk(self) -> None:
        """They are in conversation."""
        await self.call()
        await self.answer()

    # --- the managers ----------------------------------------------------------------------

    async def die_at(self, operation: str, doing: Callable[[], T], *, is_done: bool) -> T:
        """The owner dies at its next such operation on state, before it is done or after.

        Args:
            operation: of the state port.
            doing: what makes it come to that; its result is returned.
            is_done: whether state has carried it out.
        """
        self.one.wire.trap(operation, is_done=is_done)
        result = doing()
        async with asyncio.timeout(5):
            await self.one.wire.reached.wait()
        await self.one.kill()
        return result

    async def repeat(self, sent: ClientTransaction | None = None) -> ClientTransaction:
        """An edge sends Ann's INVITE, or another request of hers, to the other manager."""
        return await again(self.ann, sent or self.sent, self.other)

    async def taken(self, within_s: float = 3.0) -> float:
        """The other manager takes the call by itself; returns how long it took, in seconds."""
        return await self.cluster.eventually(lambda: self.other.holds(self.call_id), within_s)

    async def dropped(self, within_s: float = 2.0) -> None:
        """The first owner lets go of the call."""
        await self.cluster.eventually(lambda: not self.one.holds(self.call_id), within_s)

    # --- the end ---------------------------------------------------------------------------

    async def hang_up(self, by: str = "ann", to: Member | None = None) -> None:
        """One of them hangs up, through a manager, which is the other unless given."""
        sides = (self.ann, self.bob) if by == "ann" else (self.bob, self.ann)
        await hang_up(*sides, to or self.other)

    async def end(self, by: str = "ann", to: Member | None = None) -> None:
        """One of them hangs up: there is one record, and nothing is left."""
        to = to or self.other
        for phone in (self.ann, self.bob):
            phone.to = to.hop
        await self.hang_up(by, to)
        await self.over(CallResult.ANSWERED, to)

    async def over(self, result: CallResult, at: Member | None = None) -> None:
        """There is one record, with this result, and nothing is left of the call."""
        world, at = self.world, at or self.other
        ended = await world.wait_event("call.ended")
        assert ended.data.termination.result is result
        assert set(world.seen[:-1]) <= REPLAYED
        async with asyncio.timeout(5):
            await at.manager.calls.wait_idle()

        async def is_nothing_left() -> bool:
            owned = await world.backing.state.index_range(f"owned:{{{at.manager.instance}}}")
            return not owned and await self.cluster.is_nothing_left()

        await self.cluster.eventually(is_nothing_left, 2.0)
        assert world.media.sessions == set()
        assert world.events.empty()
