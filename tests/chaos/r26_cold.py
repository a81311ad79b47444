"""R26: the power fails: everything is killed at once, then started cold."""

import asyncio
import time
from typing import Final

from tests.chaos.audit import cdrs
from tests.chaos.background import background
from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.measure import part
from tests.chaos.scenario import scenario

from parley.testkit.farm.call import CallFailed
from parley.testkit.farm.load import connect

_WARM_S: Final = 3.0
_CLOSED_S: Final = 20.0
_SERVING_S: Final = 60.0
_TRIES: Final = 10


@scenario("R26", "power off: everything is killed, then started cold")
async def run(ground: Ground) -> list[Figure]:
    """No phone registers again: who was registered before is called."""
    async with background(ground) as load:
        await asyncio.sleep(_WARM_S)
        await load.cut()
        open_calls = {pair.caller.sip_call_id for pair in load.pairs}
        began = time.perf_counter()
        await ground.power_off()
        await ground.power_on()
        idle = [phone for phone in load.phones if not phone.calls]
        pairs = list(zip(idle[: 2 * _TRIES : 2], idle[1 : 2 * _TRIES : 2], strict=True))
        first, connected = None, []
        while first is None and time.perf_counter() - began < _SERVING_S:
            try:
                connected.append(await connect(*pairs[0]))
                first = round(time.perf_counter() - began, 1)
            except CallFailed:
                await asyncio.sleep(0.2)
        reached = 0
        for caller, callee in pairs[1:]:
            try:
                connected.append(await connect(caller, callee))
                reached += 1
            except CallFailed:
                continue
        until = time.perf_counter() + _CLOSED_S
        while True:
            closed = [
                leg["sip_call_id"]
                for record in await cdrs(ground.api)
                for leg in record["legs"]
                if leg["sip_call_id"] in open_calls
            ]
            if len(closed) >= len(open_calls) or time.perf_counter() > until:
                break
            await asyncio.sleep(0.3)
        byes, _ = await part(connected)
        return [
            Figure("seconds from power off to the first call", first, 30),
            Figure("registered phones that cannot be called", len(pairs) - 1 - reached, 0),
            Figure("open calls without a closing CDR", len(open_calls - set(closed)), 0),
            Figure("closing CDRs doubled", len(closed) - len(set(closed)), 0),
            byes.failed("BYEs of the new calls"),
        ]
