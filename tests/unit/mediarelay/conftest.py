import socket
from collections.abc import Callable, Iterator

import pytest

from parley.mediaengine import Engine
from parley.mediarelay.metrics import RelayMetrics
from parley.mediarelay.net_policy import NetPolicy
from parley.mediarelay.relay import Relay
from parley.service.metrics import Registry
from parley.service.settings import PortRange


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine("127.0.0.1", 32500, 32539, quarantine_s=0, tick_s=0.01)
    yield engine
    engine.shut_down()


@pytest.fixture
def relay(engine: Engine, registry: Registry) -> Relay:
    policy = NetPolicy("127.0.0.1", PortRange(32500, 32539))
    return Relay(engine, "127.0.0.1", RelayMetrics(registry), policy)


@pytest.fixture
def phone() -> Iterator[Callable[[], socket.socket]]:
    """Makes phones: bound sockets that wait at most three seconds."""
    made: list[socket.socket] = []

    def make() -> socket.socket:
        made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        made[-1].bind(("127.0.0.1", 0))
        made[-1].settimeout(3)
        return made[-1]

    yield make
    for each in made:
        each.close()
