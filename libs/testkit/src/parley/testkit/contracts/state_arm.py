"""The arm of the state port's contract."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from parley.backing.state.base import State
from parley.service.clock import Clock
from parley.testkit.contracts.arms import Arm


class StateArm(Arm[State]):
    """An adapter whose times may be real: behaviours count them in units of the arm's choice."""

    def __init__(
        self,
        make: Callable[[], State],
        clock: Clock,
        advance: Callable[[float], None] | None = None,
        unit_s: float = 1.0,
    ) -> None:
        """Takes `advance` where time is moved by hand; without it `pass_time` waits in fact."""
        super().__init__(make, clock, advance or (lambda _seconds: None))
        self._is_real = advance is None
        self._unit_s = unit_s

    def lasting(self, units: float) -> float:
        """Returns a length of time in seconds."""
        return units * self._unit_s

    async def pass_time(self, seconds: float) -> None:
        """Lets that many units pass."""
        await super().pass_time(self.lasting(seconds))
        if self._is_real:
            await asyncio.sleep(self.lasting(seconds))


StateBehaviour: TypeAlias = Callable[[StateArm], Awaitable[None]]
