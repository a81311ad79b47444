"""R2: a call manager is killed."""

import asyncio
import time
from typing import Final

from tests.chaos.background import background
from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.measure import (
    Tries,
    forget_gaps,
    gap_s,
    lost,
    part,
    re_invite,
    records,
    share_of_new_calls,
)
from tests.chaos.scenario import scenario

_WARM_S: Final = 3.0
_SWEEP_S: Final = 3.0
_RING_S: Final = 0.4


@scenario("R2", "kill -9 of a call manager")
async def run(ground: Ground) -> list[Figure]:
    """Half of the calls are asked for at once, the other half is left to the sweeper."""
    async with background(ground) as load:
        for phone in load.phones:
            phone.ring_s = _RING_S  # Some ring when it happens.
        await asyncio.sleep(_WARM_S)
        forget_gaps(load.pairs)
        asked, left = load.pairs[::2], load.pairs[1::2]
        struck = time.perf_counter()
        ground.kill("callmanager-1")
        at_once = await re_invite([pair.caller for pair in asked])
        await asyncio.sleep(_SWEEP_S)
        calls_lost = lost(load.pairs)
        later = Tries()
        later.add(await re_invite([pair.callee for pair in left]))
        await ground.restart("callmanager-1")
        await asyncio.sleep(1.0)
        gap = gap_s(load.pairs)
        byes, half_open = await part(load.pairs)
        await load.stop()
        good = share_of_new_calls(load.ledger.calls, struck - 2.0, time.perf_counter())
        return [
            Figure("established calls lost", calls_lost, 0),
            Figure("takeover p99, s", at_once.p99_s, 1.0),
            at_once.failed("re-INVITEs at once"),
            later.failed("re-INVITEs 3 s later"),
            byes.failed("BYEs"),
            Figure("calls half open after BYE", half_open, 0),
            Figure("audio gap, s", gap, 0.1),
            Figure("calls in setup or new that went well, %", good, 99, "high"),
            Figure("registrations failed", len(load.ledger.failed_registrations()), 0),
            *await records(ground, load),
        ]
