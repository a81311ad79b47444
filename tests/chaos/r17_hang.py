"""R17: a call manager, a relay and an edge hang (SIGSTOP)."""

import asyncio
import time
from typing import Final

from tests.chaos.background import background
from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.measure import (
    Tries,
    anomalies,
    forget_gaps,
    gap_s,
    lost,
    new_calls,
    part,
    re_invite,
    records,
)
from tests.chaos.scenario import scenario

from parley.testkit.farm.load import Load

_WARM_S: Final = 2.0
_HANG_S: Final = 4.0
_AFTER_S: Final = 2.0


@scenario(
    "R17",
    "a call manager and a relay hang for 4 s, an edge until it is killed",
    # Nobody can take datagrams from the socket of a hung edge: it has to be ended. The others are
    # left alone, so that they wake up among successors.
    PARLEY_CLUSTER_LIVENESS_S="1",
    PARLEY_CLUSTER_LIVENESS_OF="edgeproxy",
)
async def run(ground: Ground) -> list[Figure]:
    """Each must be noticed; who wakes up again must stay silent."""
    async with background(ground) as load:
        await asyncio.sleep(_WARM_S)
        began = time.perf_counter()
        by_manager, lost_to_manager = await _manager_hangs(ground, load)
        gap, lost_to_relay = await _relay_hangs(ground, load)
        by_edge = await _edge_hangs(ground, load)
        lost_to_edge = lost(load.pairs) - lost_to_manager - lost_to_relay
        byes, half_open = await part(load.pairs)
        await load.stop()
        return [
            Figure("calls lost to the hung call manager", lost_to_manager, 0),
            Figure("slowest re-INVITE while it hangs, s", by_manager.slowest_s, 3),
            by_manager.failed("re-INVITEs during and after that"),
            Figure("calls lost to the hung relay", lost_to_relay, 0),
            Figure("gap in audio while the relay hangs, s", gap, 1),
            Figure("calls lost to the hung edge", lost_to_edge, 0),
            Figure("slowest re-INVITE while an edge hangs, s", by_edge.slowest_s, 3),
            by_edge.failed("re-INVITEs through it"),
            anomalies(load.pairs),
            byes.failed("BYEs"),
            Figure("calls half open after BYE", half_open, 0),
            new_calls(load.ledger.calls, began, time.perf_counter(), 99),
            *await records(ground, load),
        ]


async def _manager_hangs(ground: Ground, load: Load) -> tuple[Tries, int]:
    struck = time.perf_counter()
    ground.freeze("callmanager-1")
    tries = await re_invite([pair.caller for pair in load.pairs[::2]])
    await _sleep_until(struck + _HANG_S)
    ground.thaw("callmanager-1")
    await asyncio.sleep(_AFTER_S)
    calls_lost = lost(load.pairs)
    after = await re_invite([pair.callee for pair in load.pairs[1::2] if pair.is_up])
    tries.failures += after.failures
    return tries, calls_lost


async def _relay_hangs(ground: Ground, load: Load) -> tuple[float | None, int]:
    before = lost(load.pairs)
    forget_gaps(load.pairs)
    ground.freeze("mediarelay-1")
    await asyncio.sleep(_HANG_S)
    gap = gap_s(load.pairs)
    ground.thaw("mediarelay-1")
    await asyncio.sleep(_AFTER_S)
    return gap, lost(load.pairs) - before


async def _edge_hangs(ground: Ground, load: Load) -> Tries:
    pid = ground.find("edgeproxy-1").pid
    ground.freeze("edgeproxy-1")
    tries = await re_invite([pair.caller for pair in load.pairs if pair.is_up])
    async with asyncio.timeout(20.0):
        while ground.find("edgeproxy-1").pid in (0, pid):  # noqa: ASYNC110 - a file tells
            await asyncio.sleep(0.1)
    await asyncio.sleep(_AFTER_S)
    return tries


async def _sleep_until(when: float) -> None:
    await asyncio.sleep(max(0.0, when - time.perf_counter()))
