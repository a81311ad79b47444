"""The blob port's contract on every adapter."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from parley.backing.blobs.base import Blobs
from parley.backing.blobs.embedded import LocalBlobs
from parley.testkit.clock import FakeClock
from parley.testkit.contracts.arms import Arm, Behaviour
from parley.testkit.contracts.blobs import BEHAVIOURS


def _embedded(folder: Path) -> Arm[Blobs]:
    clock = FakeClock()
    return Arm(lambda: LocalBlobs(folder / "blobs"), clock, clock.advance)


ARMS: dict[str, Callable[[Path], Arm[Blobs]]] = {"embedded": _embedded}


@pytest.fixture(params=ARMS)
async def arm(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Arm[Blobs]]:
    arm = ARMS[request.param](tmp_path)
    yield arm
    await arm.close_all()


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
async def test_blobs(behaviour: Behaviour[Blobs], arm: Arm[Blobs]) -> None:
    await behaviour(arm)
