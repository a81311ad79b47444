"""The bus port's contract on every adapter."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from tests.cluster.servers.kafka import KafkaServer

from parley.backing.bus.base import Bus
from parley.backing.bus.embedded import EmbeddedBus
from parley.backing.bus.kafka import KafkaBus
from parley.backing.bus.kafka_options import KafkaOptions
from parley.backing.bus.log import BusLimits
from parley.backing.journal import Journal
from parley.service.clock import SystemClock
from parley.service.metrics import Metrics, Registry
from parley.testkit.clock import FakeClock
from parley.testkit.contracts.arms import Arm, Behaviour
from parley.testkit.contracts.bus import ATTEMPTS, BEHAVIOURS

_LIMITS = BusLimits(attempts=ATTEMPTS, retry_s=0.001)


def _embedded(folder: Path, _request: pytest.FixtureRequest) -> Arm[Bus]:
    clock = FakeClock()
    return Arm(
        lambda: EmbeddedBus(clock, Metrics(Registry(), "backing"), Journal(folder, "bus"), _LIMITS),
        clock,
        clock.advance,
    )


def _kafka(folder: Path, request: pytest.FixtureRequest) -> Arm[Bus]:
    server: KafkaServer = request.getfixturevalue("kafka_server")
    clock = SystemClock()
    options = KafkaOptions(
        (server.bootstrap,),
        prefix=f"{uuid4().hex[:8]}-",
        partitions=4,
        attempts=ATTEMPTS,
        retry_s=0.001,
        session_s=2.0,
        heartbeat_s=0.2,
        drain_s=15.0,
    )

    def pass_time(_seconds: float) -> None:
        raise AssertionError("no behaviour of the bus depends on the clock's advance")

    return Arm(
        lambda: KafkaBus(clock, options, Journal(folder, "bus"), Metrics(Registry(), "backing")),
        clock,
        pass_time,
    )


ARMS: dict[str, Callable[[Path, pytest.FixtureRequest], Arm[Bus]]] = {
    "embedded": _embedded,
    "kafka": _kafka,
}


@pytest.fixture(params=ARMS)
async def arm(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Arm[Bus]]:
    arm = ARMS[request.param](tmp_path, request)
    yield arm
    await arm.close_all()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
async def test_bus(behaviour: Behaviour[Bus], arm: Arm[Bus]) -> None:
    await behaviour(arm)
