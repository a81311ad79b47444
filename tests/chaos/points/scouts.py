"""Calls that find out which call manager new calls go to, from the view of every edge."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from tests.chaos.points.case import NotThere
from tests.chaos.points.owners import Owners

from parley.testkit.farm.load import Pair, connect
from parley.testkit.farm.phone import FarmPhone

SCOUTS: Final = 6
"""Pairs of phones; the kernel spreads them over the edges."""
_FIND_S: Final = 8.0
"""Call managers report their load each second, and edges read the reports each second."""
_PAUSE_S: Final = 0.5
"""Edges count what they send between two reports: scouts must not make a load of their own."""


class Scouts:
    """Some pairs of phones that call and hang up.

    Attributes:
        owners: who tells where their calls went.
    """

    def __init__(self, owners: Owners, phones: Sequence[tuple[FarmPhone, FarmPhone]]) -> None:
        self.owners = owners
        self._phones = phones

    async def find(self, process: str) -> None:
        """Waits until all edges send new calls to this call manager.

        Raises:
            NotThere: they do not.
        """
        until = time.perf_counter() + _FIND_S
        while set(found := await self._look()) != {process}:
            if time.perf_counter() > until:
                seen = ", ".join(name or "nobody" for name in found)
                raise NotThere(f"new calls go to {seen}, not to {process}")
            await asyncio.sleep(_PAUSE_S)

    async def _look(self) -> list[str]:
        pairs: list[Pair] = await asyncio.gather(*(connect(*phones) for phones in self._phones))
        found = [await self.owners.of(pair.caller) for pair in pairs]
        await asyncio.gather(*(pair.caller.hang_up() for pair in pairs))
        return found
