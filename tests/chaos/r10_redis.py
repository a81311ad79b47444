"""R10: Redis is killed and started again, with and without another server that takes over."""

from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.outage import outage
from tests.chaos.scenario import scenario


@scenario("R10", "Redis killed for 4 s, then frozen for 4 s")
async def run(ground: Ground) -> list[Figure]:
    """Calls go on, new ones are made, nothing acknowledged is lost."""
    return await outage(ground, "redis", dead_s=4, frozen_s=4, new_calls_goal=99)


@scenario("R10c", "Redis behind Sentinels: the master killed", PARLEY_CLUSTER_STATE="sentinel")
async def lose_master(ground: Ground) -> list[Figure]:
    """The replica is promoted; owners write again what it lacked."""
    return await outage(ground, "redis-1", dead_s=6, new_calls_goal=99)


@scenario("R10d", "Redis Cluster: the master of a shard killed", PARLEY_CLUSTER_STATE="cluster")
async def lose_shard(ground: Ground) -> list[Figure]:
    """Its replica is promoted; calls in the other shards notice nothing."""
    return await outage(ground, "redis-1", dead_s=6, new_calls_goal=99)
