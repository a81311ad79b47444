"""Single flight: callers that ask for the same thing at the same time share one piece of work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from parley.backing.errors import BackingUnavailable
from parley.service.tasks import TaskOwner

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Joins callers by key; the work belongs to the given owner, not to any caller."""

    def __init__(self, tasks: TaskOwner) -> None:
        self._tasks = tasks
        self._flights: dict[str, asyncio.Task[T | _Failed]] = {}

    async def do(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """Returns what `work` returns, or raises what it raises, starting it unless it runs.

        Raises:
            BackingUnavailable: the owner was closed meanwhile.
        """
        flight = self._flights.get(key)
        if flight is None or flight.done():
            flight = self._tasks.spawn(_caught(work), name=f"load {key}")
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        result = await _joined(flight)
        if isinstance(result, _Failed):
            raise result.error
        return result

    def is_flying(self, key: str) -> bool:
        """Says whether the work of this key is under way."""
        flight = self._flights.get(key)
        return flight is not None and not flight.done()

    def _landed(self, key: str, flight: "asyncio.Task[T | _Failed]") -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


class _Failed:
    """An error on its way to every caller."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


async def _caught(work: Callable[[], Awaitable[T]]) -> "T | _Failed":
    try:
        return await work()
    except Exception as error:  # noqa: BLE001 - every waiting caller raises it
        return _Failed(error)


async def _joined(flight: "asyncio.Task[T | _Failed]") -> "T | _Failed":
    try:
        # One caller that gives up does not end the others' wait.
        return await asyncio.shield(flight)
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if flight.cancelled() and current is not None and not current.cancelling():
            raise BackingUnavailable("closed while it was being read") from None
        raise
