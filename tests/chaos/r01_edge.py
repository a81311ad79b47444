"""R1: an edge is killed; phones over UDP go on through the other, phones over TCP come back.

Calls that ring at that moment are given up through the edge that is left.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from tests.chaos.background import background
from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.measure import lost, new_calls, part, re_invite, records
from tests.chaos.scenario import scenario

from parley.testkit.farm.call import CallFailed, FarmCall
from parley.testkit.farm.load import Load, percentile
from parley.testkit.farm.phone import FarmPhone

_WARM_S: Final = 3.0
_TCP_PHONES: Final = 20
_RINGING: Final = 10
"""All phones of this run are fewer than the extensions that an edge looks up at once (200)."""
_GIVE_UP_S: Final = 5.0
_CANCELLED: Final = 487
_RETRANSMISSIONS_S: Final = 1.6
"""Two retransmissions of a request over UDP: 0.5 s and 1.5 s after it, and some time to answer."""


@dataclass(frozen=True, slots=True)
class _Ringing:
    """A call that nobody answers."""

    asking: asyncio.Task[FarmCall]
    caller: FarmPhone
    callee: FarmPhone

    async def trouble(self) -> str:
        """Why it is not over as a cancelled call should be; empty when it is."""
        if not self.asking.done():
            self.asking.cancel()
            return "no 487"
        error = self.asking.exception()
        if not isinstance(error, CallFailed) or error.status != _CANCELLED:
            return f"{error or 'answered'}"
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                await self.callee.incoming[-1].is_over.wait()
        except TimeoutError:
            return "the callee's phone rings on"
        return ""


@scenario("R1", "kill -9 of an edge")
async def run(ground: Ground) -> list[Figure]:
    """Requests within calls from both sides, and of callers who give up, right after the death."""
    async with (
        background(ground) as load,
        ground.load(_TCP_PHONES, "tcp") as streams,
        ground.load(2 * _RINGING) as ringing,
    ):
        await asyncio.sleep(_WARM_S)
        calls = await _ring(ringing)
        struck = time.perf_counter()
        ground.kill("edgeproxy-1")
        reconnecting = asyncio.create_task(_reconnect(streams))
        giving_up = asyncio.create_task(_give_up(calls))
        tries = await re_invite([pair.caller for pair in load.pairs[::2]])
        tries.add(await re_invite([pair.callee for pair in load.pairs[1::2]]))
        again_s = await reconnecting
        still_ringing = await giving_up
        await asyncio.sleep(2.0)
        calls_lost = lost(load.pairs)
        await ground.restart("edgeproxy-1")
        byes, half_open = await part(load.pairs)
        await load.stop()
        good = new_calls(
            load.ledger.calls, struck - 2.0, time.perf_counter(), 100, "new calls over UDP"
        )
        slowest = max(tries.took_s, default=None)
        return [
            Figure("established calls lost", calls_lost, 0),
            tries.failed("re-INVITEs"),
            Figure("slowest re-INVITE, s", slowest, _RETRANSMISSIONS_S),
            still_ringing,
            byes.failed("BYEs"),
            Figure("calls half open after BYE", half_open, 0),
            good,
            Figure("TCP phones registered again p99, s", again_s, 3.0),
            Figure("registrations failed", len(load.ledger.failed_registrations()), 0),
            *await records(ground, load),
        ]


async def _ring(load: Load) -> list[_Ringing]:
    """Calls between pairs of the phones; returns when every caller hears it ring."""
    calls = []
    for caller, callee in zip(load.phones[::2], load.phones[1::2], strict=True):
        callee.ring_s = None
        asking = asyncio.create_task(caller.call(callee.line.number))
        calls.append(_Ringing(asking, caller, callee))
    async with asyncio.timeout(_GIVE_UP_S):
        for call in calls:
            while not call.caller.outgoing:  # noqa: ASYNC110 - the task is about to begin
                await asyncio.sleep(0)
            await call.caller.outgoing[-1].rang.wait()
    return calls


async def _give_up(calls: list[_Ringing]) -> Figure:
    """Every caller hangs up; counts the calls that somebody has still after a while."""
    for call in calls:
        call.caller.outgoing[-1].cancel()
    await asyncio.wait([call.asking for call in calls], timeout=_GIVE_UP_S)
    left = [trouble for call in calls if (trouble := await call.trouble())]
    kinds = ", ".join(sorted(set(left)))
    return Figure("cancelled calls still ringing", len(left), 0, note=kinds)


async def _reconnect(streams: Load) -> float | None:
    """Phones whose connection went register anew, each after a moment of its own."""
    began = time.perf_counter()
    took_s = []

    async def one(number: int) -> None:
        phone = streams.phones[number]
        async with asyncio.timeout(5.0):
            while not phone.flows_lost:  # noqa: ASYNC110 - sockets push nothing here
                await asyncio.sleep(0.02)
        await asyncio.sleep(number / len(streams.phones))
        while True:
            before = len(streams.ledger.failed_registrations(began))
            await streams.register(phone)
            if len(streams.ledger.failed_registrations(began)) == before:
                break
            await asyncio.sleep(0.2)
        took_s.append(time.perf_counter() - began)

    flowed = [one(number) for number, _ in enumerate(streams.phones)]
    await asyncio.gather(*flowed, return_exceptions=True)
    return round(percentile(took_s, 0.99), 3) if took_s else None
