"""R11: Kafka is killed, started again, and frozen."""

from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.outage import outage
from tests.chaos.scenario import scenario


@scenario("R11", "Kafka killed for 8 s, then frozen for 4 s")
async def run(ground: Ground) -> list[Figure]:
    """Calls go on, new ones are made, nothing acknowledged is lost."""
    return await outage(ground, "kafka", dead_s=8, frozen_s=4, new_calls_goal=100)
