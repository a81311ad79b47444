import msgspec
import pytest

from parley.backing.state.embedded import EmbeddedState
from parley.backing.state.loads import Loads, callmanager_loads, relay_loads
from parley.model.ids import InstanceId
from parley.model.load import Load
from parley.model.relay_load import RelayLoad

KEY = "load:{callmanager}"


@pytest.fixture
def loads(state: EmbeddedState) -> Loads[Load]:
    return callmanager_loads(state)


def report(name: str, at: float = 1.0) -> Load:
    return Load(
        instance=InstanceId(name), address=("tcp", "10.0.0.1", 5070), calls=3, cpu=0.5, at=at
    )


async def test_reports_lie_in_one_hash_per_service(
    state: EmbeddedState, loads: Loads[Load]
) -> None:
    relay = RelayLoad(
        instance=InstanceId("r1"), address="10.0.0.2:7100", sessions=1, capacity=2, at=1.0
    )
    await loads.publish(report("cm1"))
    await relay_loads(state).publish(relay)
    assert await state.hash_get_all(KEY) == {"cm1": msgspec.json.encode(report("cm1"))}
    assert await state.hash_get_all("load:{mediarelay}") == {"r1": msgspec.json.encode(relay)}


async def test_the_last_report_of_each_instance_is_read(loads: Loads[Load]) -> None:
    assert await loads.read() == {}
    for at in (1.0, 2.0):
        await loads.publish(report("cm1", at))
    await loads.publish(report("cm2"))
    assert await loads.read() == {"cm1": report("cm1", 2.0), "cm2": report("cm2")}
    await loads.withdraw("cm1")
    assert await loads.read() == {"cm2": report("cm2")}


async def test_what_cannot_be_read_is_no_report(state: EmbeddedState, loads: Loads[Load]) -> None:
    await state.hash_put(KEY, "broken", b"{")
    await loads.publish(report("cm1"))
    assert set(await loads.read()) == {"cm1"}


async def test_reports_that_are_old_or_unreadable_are_removed(
    state: EmbeddedState, loads: Loads[Load]
) -> None:
    await state.hash_put(KEY, "broken", b"{")
    for name, at in (("old", 9.0), ("at the limit", 10.0), ("new", 11.0)):
        await loads.publish(report(name, at))
    await loads.remove_older(10.0)
    assert set(await state.hash_get_all(KEY)) == {"at the limit", "new"}
