"""A queue that lets so many items through at a time.

A dead relay takes hundreds of sessions with it; each of them costs two re-INVITEs. Told one batch
after the other, they leave room for new calls in between.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Paced(Generic[T]):
    """Delivers items in order, in batches; the first one at once."""

    def __init__(self, deliver: Callable[[T], None], batch: int, pause_s: float) -> None:
        """Makes an empty queue.

        Args:
            deliver: takes one item; must not raise.
            batch: items delivered in one turn of the loop.
            pause_s: between two batches.
        """
        self._deliver = deliver
        self._batch = batch
        self._pause_s = pause_s
        self._items: deque[T] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._items)

    def add(self, items: Iterable[T]) -> None:
        """Queues items; they leave at once when the last batch is long enough ago."""
        self._items.extend(items)
        if self._timer is None and self._items:
            self._run()

    def close(self) -> None:
        """Forgets what is queued."""
        self._items.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        # The timer stands also behind the last batch, so that the next items keep the pace.
        self._timer = None
        if not self._items:
            return
        self._timer = asyncio.get_running_loop().call_later(self._pause_s, self._run)
        for _ in range(min(self._batch, len(self._items))):
            self._deliver(self._items.popleft())
