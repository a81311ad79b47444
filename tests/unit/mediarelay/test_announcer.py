import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from parley.backing.discovery.base import Instance, InstanceState
from parley.backing.discovery.embedded import EmbeddedDiscovery
from parley.backing.errors import BackingUnavailable
from parley.backing.state.embedded import EmbeddedState
from parley.backing.state.loads import relay_loads
from parley.mediarelay.announcer import LEFT_BEHIND_S, Announcer
from parley.model.ids import InstanceId
from parley.model.relay_load import RELAY_SERVICE, RelayLoad
from parley.testkit.clock import FakeClock


class LateState(EmbeddedState):
    """Shared state that is not there at first, or has been there before."""

    refusals = 0
    is_open = False

    async def start(self) -> None:
        if self.is_open:
            return
        if self.refusals:
            self.refusals -= 1
            raise BackingUnavailable("not yet")
        await super().start()


class Bench:
    """An announcer with both ports, and a count of sessions to report."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.discovery = EmbeddedDiscovery()
        self.state = LateState(self.clock)
        self.sessions = 3
        self.is_draining = False
        self.announcer = Announcer(
            self.discovery, self.state, self.clock, self.report, interval_s=0.01
        )

    def report(self) -> RelayLoad:
        return RelayLoad(
            instance=InstanceId("relay-1"),
            address="10.0.0.1:7100",
            sessions=self.sessions,
            capacity=10,
            zone="z1",
            at=self.clock.wall_s(),
            draining=self.is_draining,
        )

    async def reports(self) -> dict[str, RelayLoad]:
        return await relay_loads(self.state).read()

    def states(self) -> list[InstanceState]:
        return [one.state for one in self.discovery.instances(RELAY_SERVICE)]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(3):
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return
            await asyncio.sleep(0.001)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.announcer.aclose()


async def has_reported(bench: Bench, sessions: int) -> bool:
    return [load.sessions for load in (await bench.reports()).values()] == [sessions]


async def test_the_relay_is_registered_as_ready_and_reports_for_ever(bench: Bench) -> None:
    await bench.announcer.start()
    await until(lambda: bench.states() == [InstanceState.READY])
    await until(lambda: has_reported(bench, 3))
    [instance] = bench.discovery.instances(RELAY_SERVICE)
    assert (instance.id, instance.address, instance.zone) == ("relay-1", "10.0.0.1:7100", "z1")
    assert instance.version
    bench.sessions = 4
    await until(lambda: has_reported(bench, 4))


async def test_draining_is_told_both_ways_at_once(bench: Bench) -> None:
    await bench.announcer.start()
    await until(lambda: bench.states() == [InstanceState.READY])
    await until(lambda: has_reported(bench, 3))
    bench.is_draining = True
    await bench.announcer.drain(1.0)
    assert bench.states() == [InstanceState.DRAINING]
    assert (await bench.reports())["relay-1"].draining


async def test_state_that_comes_late_delays_nothing(bench: Bench) -> None:
    bench.state.refusals = 3
    await bench.announcer.start()
    await until(lambda: bench.states() == [InstanceState.READY])
    assert bench.announcer.is_ready()
    await until(lambda: bench.state.refusals == 0)
    await until(lambda: has_reported(bench, 3))


async def test_what_a_killed_relay_left_behind_is_removed(bench: Bench) -> None:
    await bench.state.start()
    for name, age_s in (("dead", LEFT_BEHIND_S + 1), ("alive", 1)):
        made_s = bench.clock.wall_s() - age_s
        left = msgspec.structs.replace(bench.report(), instance=InstanceId(name), at=made_s)
        await relay_loads(bench.state).publish(left)
    await bench.state.hash_put("load:{mediarelay}", "broken", b"?")
    bench.state.is_open = True
    await bench.announcer.start()
    await until(lambda: _fields(bench, {"alive", "relay-1"}))


async def test_closing_takes_everything_back(bench: Bench) -> None:
    await bench.announcer.start()
    await until(lambda: bench.states() == [InstanceState.READY])
    await until(lambda: has_reported(bench, 3))
    await bench.announcer.aclose()
    assert bench.states() == []
    await bench.announcer.aclose()


async def test_only_another_relay_that_is_ready_can_take_sessions(bench: Bench) -> None:
    assert not bench.announcer.has_others()
    await bench.announcer.start()
    await until(lambda: bench.states() == [InstanceState.READY])
    assert not bench.announcer.has_others()
    other = await bench.discovery.register(
        Instance(service=RELAY_SERVICE, id="relay-2", address="10.0.0.2:7100")
    )
    assert not bench.announcer.has_others()
    await other.update(state=InstanceState.READY)
    assert bench.announcer.has_others()


async def _fields(bench: Bench, names: set[str]) -> bool:
    return set(await bench.state.hash_get_all("load:{mediarelay}")) == names
