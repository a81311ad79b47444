"""R6: every process of every service is restarted, one after another, while people talk."""

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
    new_calls,
    part,
    re_invite,
    records,
)
from tests.chaos.scenario import scenario

_WARM_S: Final = 2.0
_SERVICES: Final = (
    "mediarelay",
    "callmanager",
    "edgeproxy",
    "accounting",
    "restgateway",
    "wsigateway",
)


@scenario("R6", "planned rolling restart of every service")
async def run(ground: Ground) -> list[Figure]:
    """SIGTERM, wait for the end, start again; the next one only when that is ready."""
    async with background(ground) as load:
        await asyncio.sleep(_WARM_S)
        forget_gaps(load.pairs)
        began = time.perf_counter()
        slowest_s = 0.0
        for service in _SERVICES:
            for process in ground.processes(service):
                before = time.perf_counter()
                await ground.restart(process.name)
                slowest_s = max(slowest_s, time.perf_counter() - before)
        tries = await re_invite([pair.caller for pair in load.pairs[::2]])
        tries.add(await re_invite([pair.callee for pair in load.pairs[1::2]]))
        calls_lost, gap = lost(load.pairs), gap_s(load.pairs)
        byes, half_open = await part(load.pairs)
        await load.stop()
        good = new_calls(load.ledger.calls, began, time.perf_counter(), 100)
        return [
            Figure("established calls lost", calls_lost, 0),
            Figure("longest gap in audio, s", gap, 0.06),
            good,
            tries.failed("re-INVITEs"),
            byes.failed("BYEs"),
            Figure("calls half open after BYE", half_open, 0),
            Figure("slowest stop and start of one process, s", round(slowest_s, 1), 10),
            *await records(ground, load),
        ]
