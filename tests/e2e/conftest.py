"""Every test below this folder is `e2e`, has more time, and finds a running platform."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from parley.testkit.platform.api import ApiClient, check_one_cdr_each
from parley.testkit.platform.desk import Desk
from parley.testkit.platform.running import Platform, Topology

_HERE = Path(__file__).parent
_TEST_TIMEOUT_S = 40
# Nonces end within a test. Refusals ban nobody: all phones of all tests share one address, and
# baresip tries a wrong password a dozen times in a row.
_SETTINGS = {
    "PARLEY_EDGEPROXY_NONCE_LIFE_S": "4",
    "PARLEY_EDGEPROXY_AUTH_FAILURES": "0",
    "PARLEY_EDGEPROXY_AUTH_USER_FAILURES": "0",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(_TEST_TIMEOUT_S))


@pytest.fixture(scope="session", params=list(Topology), ids=str)
def platform(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    untimed: Callable[[], AbstractContextManager[None]],
) -> Iterator[Platform]:
    if request.param is Topology.CLUSTER:
        request.getfixturevalue("all_servers")
    folder = tmp_path_factory.mktemp(f"platform-{request.param}")
    with untimed():
        running = Platform(request.param, folder, settings=_SETTINGS)
    try:
        yield running
        check_one_cdr_each(running.demo)
    finally:
        with untimed():
            running.stop()


@pytest.fixture
async def desk(platform: Platform, tmp_path: Path) -> AsyncIterator[Desk]:
    async with ApiClient(platform.demo) as api:
        yield Desk(platform, api, tmp_path)


@pytest.fixture
def scenarios() -> Path:
    return _HERE / "scenarios"
