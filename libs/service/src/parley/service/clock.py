"""Time as a dependency: the only module that reads a clock.

Everything else takes a `Clock`, so that tests move time by hand and a step of the wall clock never
touches a timer: deadlines use monotonic seconds, records that leave the process use wall time.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


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


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    now = staticmethod(time.monotonic)  # noqa: TID251 - this is the clock
    wall_s = staticmethod(time.time)  # noqa: TID251 - this is the clock

    def wall(self) -> datetime:
        """Returns the aware UTC wall time."""
        return datetime.now(UTC)  # noqa: TID251 - this is the clock
