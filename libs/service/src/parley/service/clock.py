"""Time as a dependency: the only module that reads a clock.

Everything else takes a `Clock`, so that tests move time by hand and a step of the wall clock never
touches a timer: deadlines use monotonic seconds, records that leave the process use wall time.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol

import structlog


class Clock(Protocol):
    """Source of monotonic and wall time."""

    def now(self) -> float:
        """Returns monotonic seconds, the same base as the event loop's timers."""
        ...

    def wall(self) -> datetime:
        """Returns the aware UTC wall time."""
        ...

    def wall_s(self) -> float:
        """Returns the wall time as Unix seconds."""
        ...


_SMALL_STEP_S: Final = 0.5
_SLEW: Final = 0.001
_CHECK_S: Final = 1.0

_logger = structlog.stdlib.get_logger(__name__)


class SystemClock:
    """The machine's clocks; a step of its wall clock does not carry the process along.

    Instances compare times: bindings, nonces and calls end at a wall time that another has written.
    One whose machine jumps by an hour would end all of them. So a process keeps the time that it
    began with: small corrections are taken over, larger steps are followed by 1 ms per second.
    Who has set a clock that was wrong restarts the process.
    """

    __slots__ = ("_checked", "_is_stepped", "_offset", "_steady", "_wall")

    now = staticmethod(time.monotonic)  # noqa: TID251 - this is the clock

    def __init__(
        self, wall: Callable[[], float] | None = None, steady: Callable[[], float] | None = None
    ) -> None:
        """Notes the time.

        Args:
            wall: Unix seconds; the machine's.
            steady: seconds that go on while the machine sleeps and are never set; the machine's.
        """
        self._wall = wall or time.time  # noqa: TID251 - this is the clock
        self._steady = steady or partial(time.clock_gettime, time.CLOCK_BOOTTIME)
        self._checked = self._steady()
        self._offset = self._wall() - self._checked
        self._is_stepped = False

    def wall_s(self) -> float:
        """Returns the wall time as Unix seconds."""
        steady = self._steady()
        if steady - self._checked >= _CHECK_S:
            self._follow(steady)
        return steady + self._offset

    def wall(self) -> datetime:
        """Returns the aware UTC wall time."""
        return datetime.fromtimestamp(self.wall_s(), UTC)

    def _follow(self, steady: float) -> None:
        elapsed, self._checked = steady - self._checked, steady
        error = self._wall() - steady - self._offset
        is_stepped = abs(error) > _SMALL_STEP_S
        if is_stepped:
            if not self._is_stepped:
                _logger.warning("the wall clock was set; followed slowly", step_s=round(error, 1))
            most = elapsed * _SLEW
            error = max(-most, min(most, error))
        self._is_stepped = is_stepped
        self._offset += error
