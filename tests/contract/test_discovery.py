"""The discovery port's contract on every adapter."""

from collections.abc import AsyncIterator, Callable

import pytest

from parley.backing.discovery.base import Discovery
from parley.backing.discovery.embedded import EmbeddedDiscovery
from parley.testkit.clock import FakeClock
from parley.testkit.contracts.arms import Arm, Behaviour
from parley.testkit.contracts.discovery import BEHAVIOURS


def _embedded() -> Arm[Discovery]:
    clock = FakeClock()
    return Arm(EmbeddedDiscovery, clock, clock.advance)


ARMS: dict[str, Callable[[], Arm[Discovery]]] = {"embedded": _embedded}


@pytest.fixture(params=ARMS)
async def arm(request: pytest.FixtureRequest) -> AsyncIterator[Arm[Discovery]]:
    arm = ARMS[request.param]()
    yield arm
    await arm.close_all()


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
async def test_discovery(behaviour: Behaviour[Discovery], arm: Arm[Discovery]) -> None:
    await behaviour(arm)
