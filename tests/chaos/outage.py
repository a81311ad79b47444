"""An outage of one backing server: killed, started again, frozen."""

import asyncio
import time
from typing import Final

from tests.chaos.background import background
from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.measure import lost, new_calls, part, re_invite, records

_WARM_S: Final = 2.0
_RECOVER_S: Final = 5.0


async def outage(
    ground: Ground,
    server: str,
    *,
    dead_s: float,
    frozen_s: float = 0.0,
    new_calls_goal: float,
) -> list[Figure]:
    """Kills the server for a time, starts it again, then freezes it for a time.

    Args:
        ground: where.
        server: its name, such as `redis` or `kafka`.
        dead_s: how long it stays away after the kill.
        frozen_s: how long it is halted afterwards; 0: not at all.
        new_calls_goal: per cent of the calls begun meanwhile that must go well.
    """
    async with background(ground) as load:
        await asyncio.sleep(_WARM_S)
        struck = time.perf_counter()
        ground.kill(server)
        tries = await re_invite([pair.caller for pair in load.pairs[:10]])
        await asyncio.sleep(max(0.0, dead_s - (time.perf_counter() - struck)))
        await ground.restart(server)
        over = time.perf_counter()
        await asyncio.sleep(_RECOVER_S)
        if frozen_s:
            ground.freeze(server)
            frozen = time.perf_counter()
            tries.add(await re_invite([pair.callee for pair in load.pairs[10:20]]))
            await asyncio.sleep(max(0.0, frozen_s - (time.perf_counter() - frozen)))
            ground.thaw(server)
            over = time.perf_counter()
            await asyncio.sleep(_RECOVER_S)
        tries.add(await re_invite([pair.caller for pair in load.pairs]))
        calls_lost = lost(load.pairs)
        byes, half_open = await part(load.pairs)
        await load.stop()
        calls, end = load.ledger.calls, time.perf_counter()
        refused = len(load.ledger.failed_registrations(struck))
        return [
            Figure("established calls lost", calls_lost, 0),
            tries.failed("re-INVITEs"),
            Figure("slowest re-INVITE, s", max(tries.took_s, default=None), 4.0),
            byes.failed("BYEs"),
            Figure("calls half open after BYE", half_open, 0),
            new_calls(calls, struck, end, new_calls_goal, "new calls during it"),
            new_calls(calls, over + 2.0, end, 100, "new calls 2 s after it"),
            Figure("registrations refused", refused, 0),
            *await records(ground, load),
        ]
