"""What the status command reads from shared state and shows."""

import io

from rich.console import Console
from tests.cluster.status import (
    ClusterStatus,
    InstanceStatus,
    ProcessStatus,
    ServerStatus,
    call_managers,
    media_relays,
)
from tests.cluster.status_tables import tables

from parley.backing.state.embedded import EmbeddedState
from parley.backing.state.leases import Leases
from parley.backing.state.loads import callmanager_loads, relay_loads
from parley.model.ids import InstanceId
from parley.model.load import Load
from parley.model.relay_load import RelayLoad
from parley.testkit.clock import FakeClock


async def test_a_dead_call_manager_still_shows_the_calls_that_it_owned() -> None:
    clock = FakeClock()
    state = EmbeddedState(clock)
    await state.start()
    load = Load(
        instance=InstanceId("one"),
        address=("tcp", "127.0.0.1", 5080),
        calls=1,
        cpu=0.25,
        at=clock.wall_s() - 2.0,
    )
    await callmanager_loads(state).publish(load)
    leases = Leases(state)
    await leases.renew("one", b"1", 0, 60.0)
    for name in ("one", "two"):
        await leases.add_owner(name, 1.0)
    for call in ("a", "b"):
        await state.index_add("owned:{two}", call, 1.0)
    one, two = await call_managers(state, clock)
    assert (one.calls, one.has_lease, one.owned, one.age_s) == (1, True, 0, 2.0)
    assert (two.calls, two.has_lease, two.owned, two.age_s) == (None, False, 2, None)
    await state.aclose()


async def test_relays_report_their_sessions() -> None:
    clock = FakeClock()
    state = EmbeddedState(clock)
    await state.start()
    load = RelayLoad(
        instance=InstanceId("relay"),
        address="127.0.0.1:7100",
        sessions=3,
        capacity=10,
        zone="zone-a",
        at=clock.wall_s(),
    )
    await relay_loads(state).publish(load)
    [relay] = await media_relays(state, clock)
    assert (relay.sessions, relay.capacity, relay.zone) == (3, 10, "zone-a")
    await state.aclose()


def test_tables_tell_what_is_down() -> None:
    status = ClusterStatus(
        servers=[ServerStatus(name="redis", url="redis://x", pid=0, is_running=False)],
        processes=[
            ProcessStatus(name="edgeproxy-1", pid=7, health="http://127.0.0.1:1", is_ready=False)
        ],
        instances=[
            InstanceStatus(
                service="edgeproxy",
                id="edgeproxy-1-ab",
                address="tcp:127.0.0.1:5070",
                zone="zone-a",
                version="",
                state="ready",
            )
        ],
        callmanagers=[],
        relays=[],
        problems=[],
    )
    console = Console(file=io.StringIO(), width=120)
    for table in tables(status):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for word in ("redis", "DOWN", "edgeproxy-1", "NOT READY", "edgeproxy-1-ab", "zone-a"):
        assert word in text
