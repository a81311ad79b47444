"""The background load of every fault test, scaled to the machine.

The scoreboard's standard load is 500 calls that stay (100 with audio), 20 new calls a second and
2,000 registrations on a cluster of its own; a machine of two cores that also runs all servers and
all phones gets a part of it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tests.chaos.ground import Ground

from parley.testkit.farm.load import Load

PAIRS: Final = 40
AUDIBLE: Final = 8
CALLERS: Final = 60
CALLS_PER_S: Final = 3.0
REFRESHES_PER_S: Final = 8.0
PHONES: Final = 2 * PAIRS + CALLERS
HOLD_S: Final = 1.0

SENTENCE: Final = (
    f"Load: {PAIRS} calls that stay ({AUDIBLE} with audio both ways), {CALLS_PER_S:g} new calls "
    f"and {REFRESHES_PER_S:g} refreshes a second, {PHONES} phones, everything on this machine."
)


@asynccontextmanager
async def background(ground: Ground, *, transport: str = "udp") -> AsyncIterator[Load]:
    """Phones with long calls, new calls and refreshes going on."""
    async with ground.load(PHONES, transport) as load:
        await load.establish(PAIRS, AUDIBLE)
        load.keep_calling(CALLS_PER_S, HOLD_S)
        load.keep_registering(REFRESHES_PER_S)
        yield load
