"""One call that is brought to a point, loses its owner there, and goes on."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Final

from parley.testkit.farm.call import CallFailed, FarmCall
from parley.testkit.farm.phone import FarmPhone

PREPARE_S: Final = 5.0
SETTLE_S: Final = 12.0
"""How long phones may wait for what they asked for; far less than the 64*T1 that are allowed."""
_POLL_S: Final = 0.01


async def becomes(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Waits until something is so; False when it is not in time. Phones push nothing."""
    until = time.perf_counter() + timeout_s
    while not condition():
        if time.perf_counter() > until:
            return False
        await asyncio.sleep(_POLL_S)
    return True


class NotThere(Exception):
    """The call was not brought to its point."""


class Case:
    """A call at a point; the kinds are in `kinds.py`.

    Attributes:
        lives: the call goes on after the point.
        result: what its CDR says in the end.
        point: by number, as in the design of the takeover.
        trouble: everything that was not as it must be, in words.
        is_measured: the owner died at the point.
    """

    lives: ClassVar[bool] = True
    result: ClassVar[str] = "answered"

    def __init__(self, point: int, caller: FarmPhone, callee: FarmPhone) -> None:
        self.point = point
        self.caller = caller
        self.callee = callee
        self.trouble: list[str] = []
        self.is_measured = True
        self._asked: list[asyncio.Task[None]] = []
        caller.has_media = callee.has_media = True

    @property
    def out(self) -> FarmCall:
        """The call as the caller has it."""
        return self.caller.outgoing[-1]

    @property
    def into(self) -> FarmCall:
        """The call as the callee has it."""
        return self.callee.incoming[-1]

    # --- what the kinds do -----------------------------------------------------------------

    async def prepare(self) -> None:
        """Brings the call to the last moment before the point, while all is well."""

    def strike(self) -> None:
        """Does what the owner will not live to handle."""

    def go_on(self) -> None:
        """The owner is dead: the phones do what they waited with."""

    # --- for the kinds ---------------------------------------------------------------------

    def ask(self, name: str, request: Coroutine[Any, Any, Any], expected: int = 200) -> None:
        """Sends a request whose answer is waited for later."""

        async def answered() -> None:
            status = 200
            try:
                await request
            except CallFailed as error:
                status = error.status
            if status != expected:
                self.trouble.append(f"{name} got {status}")

        self._asked.append(asyncio.create_task(answered(), name=name))

    async def dial(self, expected: int = 200, *, has_offer: bool = True) -> None:
        """Calls; returns when the callee has the INVITE."""
        number = self.callee.line.number
        self.ask("INVITE", self.caller.call(number, has_offer=has_offer), expected)
        await self.until(lambda: bool(self.callee.incoming))

    async def talk(self) -> None:
        """Calls; returns when both are in the call."""
        await self.dial()
        await self.until(lambda: self.out.is_confirmed.is_set() and self.into.is_confirmed.is_set())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for something on the way to the point.

        Raises:
            NotThere: it did not come.
        """
        if not await becomes(condition, PREPARE_S):
            raise NotThere

    async def answers(self) -> None:
        """Waits until everything that was asked is answered."""
        _, late = await asyncio.wait(self._asked, timeout=SETTLE_S)
        for task in late:
            self.trouble.append(f"{task.get_name()} got no answer in {SETTLE_S:g} s")
            task.cancel()
        await asyncio.gather(*self._asked, return_exceptions=True)

    async def aclose(self) -> None:
        """Gives up what is still asked."""
        for task in self._asked:
            task.cancel()
        await asyncio.gather(*self._asked, return_exceptions=True)
