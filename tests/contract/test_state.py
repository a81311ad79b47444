"""The state port's contract on every adapter."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from parley.backing.journal import Journal
from parley.backing.state.embedded import EmbeddedState
from parley.backing.state.redis import RedisState
from parley.service.clock import SystemClock
from parley.testkit.clock import FakeClock
from parley.testkit.contracts.state import BEHAVIOURS
from parley.testkit.contracts.state_arm import StateArm, StateBehaviour

_UNIT_S = 0.04


def _embedded(request: pytest.FixtureRequest) -> StateArm:
    clock = FakeClock()
    folder: Path = request.getfixturevalue("tmp_path")
    return StateArm(lambda: EmbeddedState(clock, Journal(folder, "state")), clock, clock.advance)


def _redis(request: pytest.FixtureRequest) -> StateArm:
    server = request.getfixturevalue("redis_server")
    server.command("FLUSHALL")
    clock = SystemClock()
    return StateArm(lambda: RedisState(server.url, clock), clock, unit_s=_UNIT_S)


def _cluster(request: pytest.FixtureRequest) -> StateArm:
    cluster = request.getfixturevalue("redis_cluster")
    cluster.flush()
    clock = SystemClock()
    return StateArm(lambda: RedisState(cluster.url, clock), clock, unit_s=_UNIT_S)


ARMS: dict[str, Callable[[pytest.FixtureRequest], StateArm]] = {
    "embedded": _embedded,
    "redis": _redis,
    "redis_cluster": _cluster,
}


# The first test on a cluster waits until its nodes have found each other.
@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.timeout(40)) for name in ARMS])
async def arm(request: pytest.FixtureRequest) -> AsyncIterator[StateArm]:
    arm = ARMS[request.param](request)
    yield arm
    await arm.close_all()


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
async def test_state(behaviour: StateBehaviour, arm: StateArm) -> None:
    await behaviour(arm)
