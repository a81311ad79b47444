"""The discovery port's contract on every adapter."""

from collections.abc import AsyncIterator, Callable

import pytest
from tests.cluster.servers.zookeeper import ZooKeeperServer

from parley.backing.discovery.base import Discovery
from parley.backing.discovery.embedded import EmbeddedDiscovery
from parley.backing.discovery.zookeeper import ZookeeperDiscovery
from parley.service.clock import SystemClock
from parley.service.ids import RandomIds
from parley.service.tls import TlsFiles
from parley.testkit.clock import FakeClock
from parley.testkit.contracts.arms import Arm, Behaviour
from parley.testkit.contracts.discovery import BEHAVIOURS

_SESSION_S = 2.0


def _embedded(_: pytest.FixtureRequest) -> Arm[Discovery]:
    clock = FakeClock()
    return Arm(EmbeddedDiscovery, clock, clock.advance)


def _zookeeper(request: pytest.FixtureRequest) -> Arm[Discovery]:
    server: ZooKeeperServer = request.getfixturevalue("zookeeper_server")
    url = f"zookeeper://{server.url}/contract/{RandomIds().token()}"

    def pass_time(_: float) -> None:
        raise AssertionError("no behaviour of discovery depends on time")

    return Arm(lambda: ZookeeperDiscovery(url, _SESSION_S, TlsFiles()), SystemClock(), pass_time)


ARMS: dict[str, Callable[[pytest.FixtureRequest], Arm[Discovery]]] = {
    "embedded": _embedded,
    "zookeeper": _zookeeper,
}


@pytest.fixture(params=ARMS)
async def arm(request: pytest.FixtureRequest) -> AsyncIterator[Arm[Discovery]]:
    arm = ARMS[request.param](request)
    yield arm
    await arm.close_all()


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
async def test_discovery(behaviour: Behaviour[Discovery], arm: Arm[Discovery]) -> None:
    await behaviour(arm)
