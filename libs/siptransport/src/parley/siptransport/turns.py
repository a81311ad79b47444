"""Turns of the loop for connections that brought more than one turn may take."""

import asyncio
from collections import deque
from collections.abc import Callable


class Turns:
    """Calls those who wait, one in each turn: whoever is not among them waits for one only."""

    __slots__ = ("_handle", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._handle: asyncio.Handle | None = None

    def wait(self, go_on: Callable[[], None]) -> None:
        """Has a function called once, after those of the others who wait."""
        self._waiting.append(go_on)
        self._schedule()

    def close(self) -> None:
        """Calls nobody any more."""
        self._waiting.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _schedule(self) -> None:
        if self._handle is None and self._waiting:
            self._handle = asyncio.get_running_loop().call_soon(self._call)

    def _call(self) -> None:
        self._handle = None
        go_on = self._waiting.popleft()
        self._schedule()
        go_on()
