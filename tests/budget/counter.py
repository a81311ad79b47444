"""Counts function calls of the thread that it was installed in, Python's and built-in ones.

Time on a shared machine means little, the number of calls hardly depends on it. A coroutine or
generator that is resumed counts as a call, as it costs one.
"""

import sys
from collections import Counter
from types import CodeType, FrameType
from typing import Any


class CallCounter:
    """Counts all calls, by function, between `start` and `stop`."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[CodeType, str]] = Counter()

    def start(self) -> None:
        """Begins to count, or goes on."""
        sys.setprofile(self._note)

    def stop(self) -> None:
        """Counts no more."""
        sys.setprofile(None)

    def take(self) -> dict[str, int]:
        """Returns what was counted since the last time; built-in functions by who called them."""
        taken, self._counts = self._counts, Counter()
        named: Counter[str] = Counter()
        for (code, builtin), number in taken.items():
            path = code.co_filename.rpartition("/parley/")[2]
            name = f"{path}:{code.co_qualname}"
            named[f"{name} > {builtin}" if builtin else name] += number
        return dict(named)

    def _note(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "call":
            self._counts[frame.f_code, ""] += 1
        elif event == "c_call":
            self._counts[frame.f_code, called.__qualname__] += 1
