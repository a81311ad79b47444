"""R12: ZooKeeper is killed, started again, and frozen."""

from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.outage import outage
from tests.chaos.scenario import scenario


@scenario("R12", "ZooKeeper killed for 6 s, then frozen for 6 s")
async def run(ground: Ground) -> list[Figure]:
    """Calls go on, new ones are made, nothing acknowledged is lost."""
    return await outage(ground, "zookeeper", dead_s=6, frozen_s=6, new_calls_goal=100)
