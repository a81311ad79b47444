"""R17: a process of each kind hangs (SIGSTOP), then wakes up again."""

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
    re_invite,
    records,
    share_of_new_calls,
)
from tests.chaos.scenario import scenario

_WARM_S: Final = 2.0
_HANG_S: Final = 5.0
_AFTER_S: Final = 2.0


@scenario("R17", "a call manager, then a relay hang for 5 s")
async def run(ground: Ground) -> list[Figure]:
    """The hung one must be noticed, and must stay silent when it wakes up."""
    async with background(ground) as load:
        await asyncio.sleep(_WARM_S)
        struck = time.perf_counter()
        ground.freeze("callmanager-1")
        tries = await re_invite([pair.caller for pair in load.pairs[::2]])
        await asyncio.sleep(max(0.0, _HANG_S - (time.perf_counter() - struck)))
        ground.thaw("callmanager-1")
        await asyncio.sleep(_AFTER_S)
        lost_to_owner = lost(load.pairs)
        after = await re_invite([pair.callee for pair in load.pairs[1::2]])
        forget_gaps(load.pairs)
        ground.freeze("mediarelay-1")
        await asyncio.sleep(_HANG_S)
        gap = gap_s(load.pairs)
        ground.thaw("mediarelay-1")
        await asyncio.sleep(_AFTER_S)
        lost_to_relay = lost(load.pairs) - lost_to_owner
        byes, half_open = await part(load.pairs)
        await load.stop()
        good = share_of_new_calls(load.ledger.calls, struck, time.perf_counter())
        slowest = max(tries.took_s, default=None)
        return [
            Figure("calls lost to the hung call manager", lost_to_owner, 0),
            Figure("slowest re-INVITE while it hangs, s", slowest, 3),
            tries.failed("re-INVITEs while it hangs"),
            after.failed("re-INVITEs after it woke up"),
            Figure("calls lost to the hung relay", lost_to_relay, 0),
            Figure("gap in audio while the relay hangs, s", gap, 1),
            byes.failed("BYEs"),
            Figure("calls half open after BYE", half_open, 0),
            Figure("new calls that went well, %", good, 99, "high"),
            *await records(ground, load),
        ]
