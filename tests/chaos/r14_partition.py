"""R14: the network between a call manager and Redis, then an edge, is cut."""

import asyncio
import time
from typing import Final
from urllib.parse import urlsplit

from tests.chaos.background import background
from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.measure import (
    Tries,
    anomalies,
    lost,
    new_calls,
    part,
    re_invite,
    records,
)
from tests.chaos.partition import partition
from tests.chaos.scenario import scenario

from parley.testkit.farm.load import Load

_WARM_S: Final = 2.0
_CUT_S: Final = 5.0
_AFTER_S: Final = 2.5


@scenario("R14", "partitions: call manager and Redis (both ways, replies only), edge and it")
async def run(ground: Ground) -> list[Figure]:
    """While cut and afterwards calls are asked for from both sides."""
    async with background(ground) as load:
        await asyncio.sleep(_WARM_S)
        struck = time.perf_counter()
        manager = ground.find("callmanager-1").pid
        redis = {urlsplit(ground.control.backing["PARLEY_BACKING_STATE_URL"]).port or 0}
        with partition(manager, redis):
            without_state = await _ask(load, 0)
        await asyncio.sleep(_AFTER_S)
        with partition(manager, redis, replies_only=True):
            without_replies = await _ask(load, 1)
        await asyncio.sleep(_AFTER_S)
        edge = ground.find("edgeproxy-1").pid
        with partition(edge, {ground.control.process("callmanager-1").ports["port"]}):
            without_owner = await _ask(load, 2)
        await asyncio.sleep(_AFTER_S)
        healed = await re_invite([pair.callee for pair in load.pairs])
        calls_lost = lost(load.pairs)
        byes, half_open = await part(load.pairs)
        await load.stop()
        every = (without_state, without_replies, without_owner, healed)
        slowest = max((tries.slowest_s for tries in every if tries.slowest_s), default=None)
        return [
            Figure("established calls lost", calls_lost, 0),
            without_state.failed("re-INVITEs while the call manager lacks Redis"),
            without_replies.failed("re-INVITEs while it lacks the replies of Redis"),
            without_owner.failed("re-INVITEs while an edge lacks the call manager"),
            healed.failed("re-INVITEs afterwards"),
            Figure("slowest re-INVITE, s", slowest, 4),
            byes.failed("BYEs"),
            Figure("calls half open after BYE", half_open, 0),
            anomalies(load.pairs),
            new_calls(load.ledger.calls, struck, time.perf_counter(), 99),
            *await records(ground, load),
        ]


async def _ask(load: Load, offset: int) -> Tries:
    """Asks for every third call at once, then lets the cut last."""
    began = time.perf_counter()
    tries = await re_invite([pair.caller for pair in load.pairs[offset::3]])
    await asyncio.sleep(max(0.0, _CUT_S - (time.perf_counter() - began)))
    return tries
