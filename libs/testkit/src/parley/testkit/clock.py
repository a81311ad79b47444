"""A clock that tests move by hand."""

from datetime import UTC, datetime

_START_WALL_S = 1_750_000_000.0


class FakeClock:
    """Implements `parley.service.clock.Clock`; monotonic and wall time advance together."""

    def __init__(self, now: float = 1000.0, wall_s: float = _START_WALL_S) -> None:
        self._now = now
        self._wall_s = wall_s

    def advance(self, seconds: float) -> None:
        """Moves time forward."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._now += seconds
        self._wall_s += seconds

    def step_wall(self, seconds: float) -> None:
        """Sets the wall clock forward or back, as NTP may; monotonic time is untouched."""
        self._wall_s += seconds

    def now(self) -> float:
        """Returns monotonic seconds."""
        return self._now

    def wall(self) -> datetime:
        """Returns the aware UTC wall time."""
        return datetime.fromtimestamp(self._wall_s, UTC)

    def wall_s(self) -> float:
        """Returns the wall time as Unix seconds."""
        return self._wall_s
