"""The state port's contract on every adapter."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from parley.backing.journal import Journal
from parley.backing.state.base import State
from parley.backing.state.embedded import EmbeddedState
from parley.testkit.clock import FakeClock
from parley.testkit.contracts.arms import Arm, Behaviour
from parley.testkit.contracts.state import BEHAVIOURS


def _embedded(folder: Path) -> Arm[State]:
    clock = FakeClock()
    return Arm(lambda: EmbeddedState(clock, Journal(folder, "state")), clock, clock.advance)


ARMS: dict[str, Callable[[Path], Arm[State]]] = {"embedded": _embedded}


@pytest.fixture(params=ARMS)
async def arm(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Arm[State]]:
    arm = ARMS[request.param](tmp_path)
    yield arm
    await arm.close_all()


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
async def test_state(behaviour: Behaviour[State], arm: Arm[State]) -> None:
    await behaviour(arm)
