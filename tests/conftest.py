"""What any test may ask for: real servers, an authority, a stream for logs.

Servers are started once a run, at the first use. One that this machine cannot have skips the test,
with the reason; continuous integration (`CI=true`) fails instead. The start of a server does not
count to a test's time limit.
"""

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog
from tests.absence import give_up
from tests.cluster.authority import Authority
from tests.cluster.servers.base import Server
from tests.cluster.servers.errors import ServerAbsent
from tests.cluster.servers.install import missing_servers
from tests.cluster.servers.kafka import KafkaServer
from tests.cluster.servers.postgresql import PostgresServer
from tests.cluster.servers.redis import RedisServer
from tests.cluster.servers.s3 import S3Server
from tests.cluster.servers.zookeeper import ZooKeeperServer

_Some = TypeVar("_Some", bound=Server)
_current: list[pytest.Item] = []
_time_limits = pytest.StashKey[Any]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _current[:] = [item]
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> None:
    item.stash[_time_limits] = settings


@contextmanager
def _untimed() -> Iterator[None]:
    limits = _current[0].stash.get(_time_limits, None) if _current else None
    if limits is None:
        yield
        return
    item, hooks = _current[0], _current[0].config.hook
    hooks.pytest_timeout_cancel_timer(item=item)
    try:
        yield
    finally:
        hooks.pytest_timeout_set_timer(item=item, settings=limits)


def _start(server: _Some) -> _Some:
    try:
        with _untimed():
            server.start()
    except ServerAbsent as absent:
        give_up(str(absent))
    return server


@pytest.fixture(scope="session")
def untimed() -> Callable[[], AbstractContextManager[None]]:
    """Makes a context whose time does not count to the limit of the test that waits for it."""
    return _untimed


@pytest.fixture(scope="session")
def all_servers() -> None:
    """Every server of a cluster can be started on this machine."""
    with _untimed():
        complaints = list(missing_servers())
    for complaint in complaints:
        give_up(complaint)


@pytest.fixture(scope="session")
def servers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def redis_server(servers_folder: Path) -> Iterator[RedisServer]:
    server = _start(RedisServer(servers_folder / "redis"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kafka_server(servers_folder: Path) -> Iterator[KafkaServer]:
    server = _start(KafkaServer(servers_folder / "kafka"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def zookeeper_server(servers_folder: Path) -> Iterator[ZooKeeperServer]:
    server = _start(ZooKeeperServer(servers_folder / "zookeeper"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_server(servers_folder: Path) -> Iterator[PostgresServer]:
    server = _start(PostgresServer(servers_folder / "postgresql", options=("fsync=off",)))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3_server(servers_folder: Path) -> Iterator[S3Server]:
    server = _start(S3Server(servers_folder / "s3"))
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[[_Some], _Some]]:
    """Starts a server that the test may kill: `own_server(KafkaServer(tmp_path / "kafka"))`."""
    with ExitStack() as ended:

        def start(server: _Some) -> _Some:
            ended.callback(server.stop)
            return _start(server)

        yield start


@pytest.fixture
def log_stream() -> Iterator[io.StringIO]:
    """What `configure_logging` may write to; logging is as before when the test ends."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    was_configured, before = structlog.is_configured(), structlog.get_config()
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    if was_configured:
        structlog.configure(**before)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Signs the certificates of a platform."""
    now = datetime.now(UTC)  # noqa: TID251 - the validity of real certificates
    return Authority(tmp_path / "platform", now)
