"""Fault tests by the ids of the scoreboard."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, TypeAlias

from tests.chaos.figures import Figure
from tests.chaos.ground import Ground

Run: TypeAlias = Callable[[Ground], Awaitable[list[Figure]]]


class Skipped(Exception):
    """This machine cannot run the test; the text is one sentence that says why."""


class Scenario(NamedTuple):
    """One line of the scoreboard.

    Attributes:
        run: breaks things on a cluster of its own and returns what it measured.
        settings: environment of that cluster (`PARLEY_...`).
    """

    id: str
    title: str
    run: Run
    settings: dict[str, str]


SCENARIOS: Final[dict[str, Scenario]] = {}


def scenario(id: str, title: str, **settings: str) -> Callable[[Run], Run]:
    """Registers a fault test.

    Args:
        id: `R2`.
        title: the fault, in a few words.
        settings: environment of the cluster.
    """

    def register(run: Run) -> Run:
        assert id not in SCENARIOS, f"{id} is there twice"
        SCENARIOS[id] = Scenario(id, title, run, settings)
        return run

    return register
