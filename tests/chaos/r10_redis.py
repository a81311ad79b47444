"""R10: Redis is killed, started again, and frozen."""

from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.outage import outage
from tests.chaos.scenario import scenario


@scenario("R10", "Redis killed for 4 s, then frozen for 4 s")
async def run(ground: Ground) -> list[Figure]:
    """Calls go on, new ones are made, nothing acknowledged is lost."""
    return await outage(ground, "redis", dead_s=4, frozen_s=4, new_calls_goal=99)
