"""Discovery on ZooKeeper while servers, networks and processes fail."""

import asyncio
import sys
import threading
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress

import pytest
from tests.cluster.servers.zookeeper import ZooKeeperServer

from parley.backing.discovery.base import Instance, InstanceState
from parley.backing.discovery.zookeeper import ZookeeperDiscovery
from parley.backing.discovery.zookeeper_session import ZookeeperSession
from parley.backing.discovery.zookeeper_url import parse_zookeeper_url
from parley.backing.errors import BackingUnavailable
from parley.service.ids import RandomIds
from parley.service.tls import TlsFiles
from parley.testkit.contracts.arms import settled
from parley.testkit.gate import TcpGate

SESSION_S = 1.0
WAIT_S = 15.0
SERVICE = "callmanager"

Open = Callable[..., Awaitable[ZookeeperDiscovery]]

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def server(zookeeper_server: ZooKeeperServer) -> Iterator[ZooKeeperServer]:
    """The server, which runs again after the test whatever that did to it."""
    yield zookeeper_server
    if zookeeper_server.is_running:
        zookeeper_server.thaw()
    zookeeper_server.start()


@pytest.fixture
def folder() -> str:
    return f"outages/{RandomIds().token()}"


@pytest.fixture
async def gate(server: ZooKeeperServer) -> AsyncIterator[TcpGate]:
    """A way to the server that can be cut."""
    gate = TcpGate(server.port)
    await gate.start()
    yield gate
    await gate.aclose()


@pytest.fixture
async def open_discovery(server: ZooKeeperServer, folder: str) -> AsyncIterator[Open]:
    """Opens discovery as a process of its own would: directly, or through a gate."""
    opened: list[ZookeeperDiscovery] = []

    async def open_(port: int = 0) -> ZookeeperDiscovery:
        url = f"zookeeper://127.0.0.1:{port or server.port}/{folder}"
        discovery = ZookeeperDiscovery(url, SESSION_S, TlsFiles())
        opened.append(discovery)
        await discovery.start()
        return discovery

    yield open_
    for discovery in reversed(opened):
        await discovery.aclose()


def _instance(name: str) -> Instance:
    return Instance(service=SERVICE, id=name, address="tcp:127.0.0.1:5070")


def _ids(discovery: ZookeeperDiscovery) -> list[str]:
    return [one.id for one in discovery.instances(SERVICE)]


def _sees(discovery: ZookeeperDiscovery, *names: str) -> Callable[[], bool]:
    return lambda: _ids(discovery) == list(names)


async def test_a_restart_of_the_server_changes_nothing(
    server: ZooKeeperServer, open_discovery: Open
) -> None:
    one, two = await open_discovery(), await open_discovery()
    entry = await one.register(_instance("cm-1"))
    await two.register(_instance("cm-2"))
    await settled(_sees(one, "cm-1", "cm-2"))
    views: list[list[str]] = []
    one.watch(SERVICE, lambda view: views.append([each.id for each in view]))

    server.kill()
    await entry.update(state=InstanceState.DRAINING)
    late = await two.register(_instance("cm-3"))
    assert _ids(one) == ["cm-1", "cm-2"]
    assert not one.is_settled
    await asyncio.to_thread(server.start)

    await settled(_sees(one, "cm-1", "cm-2", "cm-3"), WAIT_S)
    await settled(lambda: two.instances(SERVICE)[0].state is InstanceState.DRAINING, WAIT_S)
    await settled(lambda: one.is_settled and two.is_settled, WAIT_S)
    assert _ids(one) == _ids(two) == ["cm-1", "cm-2", "cm-3"]
    assert all({"cm-1", "cm-2"} <= set(view) for view in views)
    await late.aclose()
    await settled(_sees(one, "cm-1", "cm-2"), WAIT_S)


async def test_an_outage_that_ends_all_sessions_empties_no_view(
    gate: TcpGate, open_discovery: Open
) -> None:
    one, two = await open_discovery(gate.port), await open_discovery(gate.port)
    await one.register(_instance("cm-1"))
    await two.register(_instance("cm-2"))
    await settled(_sees(one, "cm-1", "cm-2"))
    near = await open_discovery()
    before = {one._session.id, two._session.id}
    views: list[list[str]] = []
    one.watch(SERVICE, lambda view: views.append([each.id for each in view]))

    await gate.cut()
    await settled(_sees(near), WAIT_S)
    gate.heal()
    await settled(lambda: one.is_settled and two.is_settled, WAIT_S)

    assert not before & {one._session.id, two._session.id}
    assert _ids(one) == _ids(two) == _ids(near) == ["cm-1", "cm-2"]
    assert all(view == ["cm-1", "cm-2"] for view in views)


async def test_a_server_that_freezes_is_noticed_and_used_again(
    server: ZooKeeperServer, open_discovery: Open
) -> None:
    one, two = await open_discovery(), await open_discovery()
    entry = await one.register(_instance("cm-1"))
    await settled(_sees(two, "cm-1"))

    server.freeze()
    async with asyncio.timeout(3 * SESSION_S):
        await entry.update(state=InstanceState.DRAINING)
    await settled(lambda: not two._session.is_connected, WAIT_S)
    assert _ids(two) == ["cm-1"]
    server.thaw()

    await settled(lambda: two.instances(SERVICE)[0].state is InstanceState.DRAINING, WAIT_S)


async def test_who_is_cut_off_keeps_its_view_and_comes_back(
    gate: TcpGate, open_discovery: Open
) -> None:
    far, near = await open_discovery(gate.port), await open_discovery()
    await far.register(_instance("cm-far"))
    await near.register(_instance("cm-near"))
    await settled(_sees(far, "cm-far", "cm-near"))

    await gate.cut()
    await settled(_sees(near, "cm-near"), WAIT_S)
    assert _ids(far) == ["cm-far", "cm-near"]

    gate.heal()
    await settled(_sees(near, "cm-far", "cm-near"), WAIT_S)


async def test_a_process_that_starts_during_an_outage_joins_when_it_is_over(
    gate: TcpGate, open_discovery: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.backing.discovery.zookeeper._START_TIMEOUT_S", 0.3)
    near = await open_discovery()
    await near.register(_instance("cm-near"))
    await gate.cut()

    far = await open_discovery(gate.port)
    assert not far.is_settled
    entry = await far.register(_instance("cm-far"))
    await entry.update(state=InstanceState.READY)
    assert _ids(far) == []
    gate.heal()

    await settled(_sees(near, "cm-far", "cm-near"), WAIT_S)
    await settled(_sees(far, "cm-far", "cm-near"), WAIT_S)
    assert near.instances(SERVICE)[0].state is InstanceState.READY


async def test_a_killed_process_leaves_the_view(
    server: ZooKeeperServer, folder: str, open_discovery: Open
) -> None:
    near = await open_discovery()
    code = (
        "import asyncio, sys\n"
        "from parley.backing.discovery.base import Instance\n"
        "from parley.backing.discovery.zookeeper import ZookeeperDiscovery\n"
        "from parley.service.tls import TlsFiles\n"
        "async def main():\n"
        "    discovery = ZookeeperDiscovery(sys.argv[1], float(sys.argv[2]), TlsFiles())\n"
        "    await discovery.start()\n"
        f"    one = Instance(service={SERVICE!r}, id='cm-other', address='tcp:127.0.0.1:1')\n"
        "    await discovery.register(one)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    url = f"zookeeper://{server.url}/{folder}"
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, url, str(SESSION_S), stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        await settled(_sees(near, "cm-other"), WAIT_S)
        with pytest.raises(ValueError, match="registered already"):
            await near.register(_instance("cm-other"))
    finally:
        with suppress(ProcessLookupError):
            other.kill()
        await other.wait()

    await settled(_sees(near), WAIT_S)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_nonsense_from_the_network_costs_one_connection(
    gate: TcpGate, open_discovery: Open
) -> None:
    far, near = await open_discovery(gate.port), await open_discovery()
    await far.register(_instance("cm-far"))
    await settled(_sees(near, "cm-far"))
    before = far._session.id

    # An answer that nobody asked for ends kazoo's thread; the session lives on at the server.
    gate.inject(bytes([0, 0, 0, 16, 0, 0, 99, 99, *[0] * 12]))
    await settled(lambda: far._session.id not in {0, before}, WAIT_S)
    await settled(lambda: far._registrations[f"{SERVICE}:cm-far"].upkeep._tried.is_set(), WAIT_S)

    node = await near._session.get(f"{far._instances_folder}/{SERVICE}:cm-far")
    assert node is not None and node.session == far._session.id
    await settled(_sees(near, "cm-far"), WAIT_S)


async def test_entries_of_strangers_are_left_alone_and_own_ones_come_back(
    open_discovery: Open,
) -> None:
    one, two = await open_discovery(), await open_discovery()
    await one.register(_instance("cm-1"))
    await settled(_sees(two, "cm-1"))
    place = one._instances_folder
    first = await two._session.get(f"{place}/{SERVICE}:cm-1")
    assert first is not None

    for name, data in (("x", b""), ("callmanager:y", b"\xff{"), ("z:z", b'{"instance": 1}')):
        await two._session.create(f"{place}/{name}", data)
    await two._session.delete(f"{place}/{SERVICE}:cm-1", first.version)

    async with asyncio.timeout(WAIT_S):
        own = f"{place}/{SERVICE}:cm-1"
        while await two._session.get(own) is None:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.01)
    await settled(_sees(two, "cm-1"), WAIT_S)
    assert set(await two._session.children(place)) >= {"x", "callmanager:y", "z:z"}


async def test_closing_during_a_freeze_ends_in_time_and_leaves_no_thread(
    server: ZooKeeperServer, open_discovery: Open
) -> None:
    threads = threading.active_count()
    discovery = await open_discovery()
    entry = await discovery.register(_instance("cm-1"))
    assert threading.active_count() > threads

    server.freeze()
    async with asyncio.timeout(3 * SESSION_S):
        await entry.aclose()
    async with asyncio.timeout(5 * SESSION_S):
        await discovery.aclose()

    await settled(lambda: threading.active_count() <= threads, WAIT_S)


async def test_a_folder_with_a_password_is_closed_to_others(
    server: ZooKeeperServer, folder: str
) -> None:
    url = f"zookeeper://parley:p%40ss@{server.url}/{folder}"
    owner = ZookeeperDiscovery(url, SESSION_S, TlsFiles())
    stranger = ZookeeperSession(
        parse_zookeeper_url(f"zookeeper://{server.url}"), SESSION_S, TlsFiles()
    )
    await owner.start()
    stranger.start()
    try:
        await owner.register(_instance("cm-1"))
        await settled(_sees(owner, "cm-1"))
        await asyncio.wait_for(stranger.wait_connected(), WAIT_S)
        with pytest.raises(BackingUnavailable, match="NoAuth"):
            await stranger.get(f"{owner._instances_folder}/{SERVICE}:cm-1")
    finally:
        await stranger.aclose()
        await owner.aclose()
