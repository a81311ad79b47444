"""The bus port's contract on every adapter."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from parley.backing.bus.base import Bus
from parley.backing.bus.embedded import EmbeddedBus
from parley.backing.bus.log import BusLimits
from parley.backing.journal import Journal
from parley.testkit.clock import FakeClock
from parley.testkit.contracts.arms import Arm, Behaviour
from parley.testkit.contracts.bus import ATTEMPTS, BEHAVIOURS

_LIMITS = BusLimits(attempts=ATTEMPTS, retry_s=0.001)


def _embedded(folder: Path) -> Arm[Bus]:
    clock = FakeClock()
    return Arm(lambda: EmbeddedBus(clock, Journal(folder, "bus"), _LIMITS), clock, clock.advance)


ARMS: dict[str, Callable[[Path], Arm[Bus]]] = {"embedded": _embedded}


@pytest.fixture(params=ARMS)
async def arm(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Arm[Bus]]:
    arm = ARMS[request.param](tmp_path)
    yield arm
    await arm.close_all()


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
async def test_bus(behaviour: Behaviour[Bus], arm: Arm[Bus]) -> None:
    await behaviour(arm)
