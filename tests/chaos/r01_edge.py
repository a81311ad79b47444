"""R1: an edge is killed; phones over UDP go on through the other, phones over TCP come back."""

import asyncio
import time
from typing import Final

from tests.chaos.background import background
from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.measure import lost, new_calls, part, re_invite, records
from tests.chaos.scenario import scenario

from parley.testkit.farm.load import Load, percentile

_WARM_S: Final = 3.0
_TCP_PHONES: Final = 20
_RETRANSMISSIONS_S: Final = 1.6
"""Two retransmissions of a request over UDP: 0.5 s and 1.5 s after it, and some time to answer."""


@scenario("R1", "kill -9 of an edge")
async def run(ground: Ground) -> list[Figure]:
    """Requests within calls from both sides right after the death."""
    async with background(ground) as load, ground.load(_TCP_PHONES, "tcp") as streams:
        await asyncio.sleep(_WARM_S)
        struck = time.perf_counter()
        ground.kill("edgeproxy-1")
        reconnecting = asyncio.create_task(_reconnect(streams))
        tries = await re_invite([pair.caller for pair in load.pairs[::2]])
        tries.add(await re_invite([pair.callee for pair in load.pairs[1::2]]))
        again_s = await reconnecting
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
            byes.failed("BYEs"),
            Figure("calls half open after BYE", half_open, 0),
            good,
            Figure("TCP phones registered again p99, s", again_s, 3.0),
            Figure("registrations failed", len(load.ledger.failed_registrations()), 0),
            *await records(ground, load),
        ]


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
