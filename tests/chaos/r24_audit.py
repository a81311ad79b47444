"""R24: the CDRs of many short calls while one part of the platform after another is killed."""

import asyncio
import time
from typing import Final

from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.measure import new_calls, records
from tests.chaos.scenario import scenario

_PHONES: Final = 120
_CALLS_PER_S: Final = 15.0
_HOLD_S: Final = 0.8
_BEFORE_S: Final = 2.0
_PAUSE_S: Final = 1.0
_LEAST_S: Final = 25.0
_FEWEST: Final = 300


_TITLE: Final = "a call manager, a relay, an edge, Redis and Kafka killed in turn"


@scenario("R24", _TITLE)
async def on_one_redis(ground: Ground) -> list[Figure]:
    """Every call that a phone saw answered must have one CDR, whatever died meanwhile."""
    return await _audit(ground, "redis")


@scenario("R24b", f"on Sentinels: {_TITLE}", PARLEY_CLUSTER_STATE="sentinel")
async def on_sentinels(ground: Ground) -> list[Figure]:
    """Redis's master dies, and its replica goes on."""
    return await _audit(ground, "redis-1")


@scenario("R24c", f"on a Redis Cluster: {_TITLE}", PARLEY_CLUSTER_STATE="cluster")
async def on_redis_cluster(ground: Ground) -> list[Figure]:
    """The master of a shard dies, and its replica goes on."""
    return await _audit(ground, "redis-1")


async def _audit(ground: Ground, redis: str) -> list[Figure]:
    async with ground.load(_PHONES) as load:
        began = time.perf_counter()
        load.keep_calling(_CALLS_PER_S, _HOLD_S)
        await asyncio.sleep(_BEFORE_S)
        for name in ("callmanager-1", "mediarelay-1", "edgeproxy-1", redis, "kafka"):
            ground.kill(name)
            await asyncio.sleep(_PAUSE_S)
            await ground.restart(name)
            await asyncio.sleep(_PAUSE_S)
        await asyncio.sleep(max(_BEFORE_S, _LEAST_S - (time.perf_counter() - began)))
        await load.stop()
        byes = [call for call in load.ledger.failed_calls() if call.failure.startswith("BYE")]
        answered = sum(call.talked_s is not None for call in load.ledger.calls)
        return [
            Figure("calls answered", answered, _FEWEST, "high"),
            new_calls(load.ledger.calls, began, time.perf_counter(), 98, "calls"),
            Figure("BYEs failed", len(byes), 0),
            *await records(ground, load),
        ]
