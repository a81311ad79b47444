"""R5: a media relay is killed and its calls go on at another address."""

import asyncio
import time
from typing import Final

from tests.chaos.background import background
from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.measure import (
    forget_gaps,
    gap_s,
    lost,
    part,
    records,
    share_of_new_calls,
)
from tests.chaos.scenario import scenario

_WARM_S: Final = 3.0
_SETTLE_S: Final = 5.0
_FRESH_S: Final = 0.5


@scenario("R5", "kill -9 of a media relay")
async def run(ground: Ground) -> list[Figure]:
    """Audio is measured in both directions of every audible call."""
    async with background(ground) as load:
        await asyncio.sleep(_WARM_S)
        audible = [pair for pair in load.pairs if pair.caller.stream is not None]
        forget_gaps(audible)
        struck = time.perf_counter()
        ground.kill("mediarelay-1")
        await asyncio.sleep(_SETTLE_S)
        now = time.perf_counter()
        silent = [
            call
            for pair in audible
            for call in (pair.caller, pair.callee)
            if call.stream is not None and now - call.stream.last_heard > _FRESH_S
        ]
        gap = gap_s(audible)
        moved = sum(pair.caller.offers > 0 for pair in load.pairs)
        calls_lost = lost(load.pairs)
        await ground.restart("mediarelay-1")
        byes, half_open = await part(load.pairs)
        await load.stop()
        good = share_of_new_calls(load.ledger.calls, struck - 1.0, time.perf_counter())
        return [
            Figure("calls moved to another relay", moved, 1, "high"),
            Figure("established calls lost", calls_lost, 0),
            Figure("directions without audio afterwards", len(silent), 0),
            Figure("longest gap in audio, s", gap, 1.5),
            byes.failed("BYEs"),
            Figure("calls half open after BYE", half_open, 0),
            Figure("calls in setup or new that went well, %", good, 99, "high"),
            *await records(ground, load),
        ]
