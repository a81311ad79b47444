"""The one timer of a node on the event loop."""

import asyncio
from collections.abc import Callable

from parley.service.clock import Clock

# Deadlines this close to the armed timer share its wake-up; SIP timers are rough anyway.
_COALESCE_S = 0.01


class DeadlineTimer:
    """Calls back once at the earliest of the deadlines it was armed for.

    Args:
        clock: of the deadlines.
        expire: called with the time up to which deadlines count as reached.
    """

    __slots__ = ("_clock", "_due", "_expire", "_handle")

    def __init__(self, clock: Clock, expire: Callable[[float], None]) -> None:
        self._clock = clock
        self._expire = expire
        self._handle: asyncio.TimerHandle | None = None
        self._due = float("inf")

    def arm(self, due: float) -> None:
        """Makes sure of a call at `due`, unless an earlier one comes anyway; infinite: no need."""
        if due >= self._due - _COALESCE_S:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._due = due
        delay = max(0.0, due - self._clock.now())
        self._handle = asyncio.get_running_loop().call_later(delay, self._fire)

    def cancel(self) -> None:
        """Calls no more; it cannot be armed again."""
        self._due = float("-inf")
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._due = float("inf")
        self._expire(self._clock.now() + _COALESCE_S)
