"""What a contract suite needs to know of the adapter under test.

An arm is one adapter with one store of its own. A behaviour opens handles on it, lets time pass and
closes handles again; the arm closes what is left at the end of the test.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, Protocol, TypeAlias, TypeVar

from parley.service.clock import Clock


class Port(Protocol):
    """What all ports have in common."""

    async def start(self) -> None:
        """Opens it."""
        ...

    async def aclose(self) -> None:
        """Closes it."""
        ...


P = TypeVar("P", bound=Port)


class Arm(Generic[P]):
    """One adapter under test.

    Attributes:
        clock: the adapter's clock.
    """

    def __init__(
        self, make: Callable[[], P], clock: Clock, advance: Callable[[float], None]
    ) -> None:
        self.clock = clock
        self._make = make
        self._advance = advance
        self._opened: list[P] = []

    async def open(self) -> P:
        """Opens the store; it contains what handles before left in it."""
        port = self._make()
        await port.start()
        self._opened.append(port)
        return port

    async def close(self, port: P) -> None:
        """Closes a handle in order."""
        self._opened.remove(port)
        await port.aclose()

    async def close_all(self) -> None:
        """Closes what a behaviour left open."""
        while self._opened:
            await self._opened.pop().aclose()

    async def pass_time(self, seconds: float) -> None:
        """Lets the adapter's time pass: by hand, or by waiting where the clock is real."""
        self._advance(seconds)
        await asyncio.sleep(0)


Behaviour: TypeAlias = Callable[[Arm[P]], Awaitable[None]]


async def settled(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Waits until a condition holds, turn by turn of the loop.

    Raises:
        TimeoutError: it did not hold in time.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - the condition is about foreign objects
            await asyncio.sleep(0.001)


@contextlib.contextmanager
def refuses(error: type[BaseException]) -> Iterator[None]:
    """Asserts that the block raises the error."""
    try:
        yield
    except error:
        return
    raise AssertionError(f"{error.__name__} was not raised")
