"""R18: every phone registers at the same moment, right after an edge was started again."""

import asyncio
import time
from typing import Final

from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.scenario import scenario

from parley.testkit.farm.load import Load
from parley.testkit.farm.phone import FarmPhone

_PHONES: Final = 400
_LONGEST_S: Final = 20.0
_SHORTEST_PAUSE_S: Final = 0.2


@scenario("R18", "all phones register at once")
async def run(ground: Ground) -> list[Figure]:
    """A phone that is refused waits as it was told and tries again."""
    async with ground.load(_PHONES) as load:
        ground.kill("edgeproxy-1")
        await ground.restart("edgeproxy-1")
        began = time.perf_counter()
        refused = await asyncio.gather(*(_insist(load, phone, began) for phone in load.phones))
        took_s = time.perf_counter() - began
        in_vain = sum(count is None for count in refused)
        return [
            Figure("phones that never registered", in_vain, 0),
            Figure("time until the last one was registered, s", round(took_s, 2), 10),
            Figure("refusals of one phone at most", max(count or 0 for count in refused), 1),
        ]


async def _insist(load: Load, phone: FarmPhone, began: float) -> int | None:
    """Registers a phone; returns how often it was refused, None when it gave up."""
    refusals = 0
    while time.perf_counter() - began < _LONGEST_S:
        attempt = await load.register(phone)
        if not attempt.failure:
            return refusals
        refusals += 1
        await asyncio.sleep(max(_SHORTEST_PAUSE_S, attempt.retry_after_s))
    return None
