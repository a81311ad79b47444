"""R13: PostgreSQL is killed, started again, and frozen."""

from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.outage import outage
from tests.chaos.scenario import scenario


@scenario("R13", "PostgreSQL killed for 5 s, then frozen for 5 s")
async def run(ground: Ground) -> list[Figure]:
    """Calls go on, new ones are made, nothing acknowledged is lost."""
    return await outage(ground, "postgresql", dead_s=5, frozen_s=5, new_calls_goal=99.9)
