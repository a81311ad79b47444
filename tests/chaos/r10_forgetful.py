"""R10b: Redis comes back without anything, as a replica that was promoted before its first copy."""

import asyncio
import shutil
import time
from typing import Final

from tests.chaos.background import background
from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.measure import anomalies, lost, new_calls, part, re_invite, records
from tests.chaos.scenario import scenario

from parley.testkit.farm.call import CallFailed
from parley.testkit.farm.load import Load, connect

_WARM_S: Final = 2.0
_REPAIR_S: Final = 5.0
_IDLE_PAIRS: Final = 8


@scenario("R10b", "Redis forgets everything, then a call manager is killed")
async def run(ground: Ground) -> list[Figure]:
    """Owners and edges write again what they hold; a successor finds the calls there."""
    async with background(ground) as load, ground.load(2 * _IDLE_PAIRS) as idle:
        await asyncio.sleep(_WARM_S)
        struck = time.perf_counter()
        ground.kill("redis")
        shutil.rmtree(ground.data / "servers" / "redis" / "data")
        await ground.restart("redis")
        await asyncio.sleep(_REPAIR_S)
        tries = await re_invite([pair.caller for pair in load.pairs[::2]])
        unreachable = await _unreachable(idle)
        ground.kill("callmanager-1")
        taken = await re_invite([pair.callee for pair in load.pairs])
        calls_lost = lost(load.pairs)
        byes, half_open = await part(load.pairs)
        await load.stop()
        return [
            Figure("established calls lost", calls_lost, 0),
            tries.failed("re-INVITEs after it forgot"),
            Figure("registered phones that cannot be called", unreachable, 0),
            taken.failed("re-INVITEs after the call manager's death"),
            Figure("takeover p99, s", taken.p99_s, 1.0),
            byes.failed("BYEs"),
            Figure("calls half open after BYE", half_open, 0),
            anomalies(load.pairs),
            new_calls(load.ledger.calls, struck, time.perf_counter(), 99),
            *await records(ground, load),
        ]


async def _unreachable(idle: Load) -> int:
    """Phones that nobody has called yet are called, so that no call manager remembers them."""
    failed = 0
    phones = idle.phones
    for caller, callee in zip(phones[::2], phones[1::2], strict=True):
        try:
            pair = await connect(caller, callee)
            await pair.caller.hang_up()
        except CallFailed:
            failed += 1
    return failed
