from collections.abc import AsyncIterator

import pytest

from parley.backing.discovery.base import Instance, InstanceState
from parley.backing.discovery.embedded import EmbeddedDiscovery
from parley.backing.errors import BackingUnavailable
from parley.backing.media.relay_view import DEFAULT_CAPACITY, RelayView
from parley.backing.state.embedded import EmbeddedState
from parley.backing.state.loads import relay_loads
from parley.model.ids import InstanceId
from parley.model.relay_load import RELAY_SERVICE, RelayLoad
from parley.testkit.clock import FakeClock
from parley.testkit.contracts.arms import settled

ADDRESS = "10.0.0.1:7100"


class Away(EmbeddedState):
    """Shared state that can be switched off."""

    is_away = False

    async def hash_get_all(self, key: str) -> dict[str, bytes]:
        if self.is_away:
            raise BackingUnavailable("switched off")
        return await super().hash_get_all(key)


@pytest.fixture
async def state() -> AsyncIterator[Away]:
    state = Away(FakeClock())
    await state.start()
    yield state
    await state.aclose()


@pytest.fixture
async def discovery() -> AsyncIterator[EmbeddedDiscovery]:
    discovery = EmbeddedDiscovery()
    await discovery.start()
    yield discovery
    await discovery.aclose()


@pytest.fixture
def view(discovery: EmbeddedDiscovery, state: Away) -> RelayView:
    return RelayView(discovery, state)


def instance(name: str = "r1", address: str = ADDRESS, zone: str = "z1") -> Instance:
    return Instance(service=RELAY_SERVICE, id=name, address=address, zone=zone)


async def report(state: Away, name: str, at: float, **more: object) -> None:
    load = RelayLoad(
        instance=InstanceId(name),
        address=ADDRESS,
        sessions=7,
        capacity=100,
        at=at,
        **more,  # type: ignore[arg-type]  # fields of the report
    )
    await relay_loads(state).publish(load)


async def test_relays_come_and_go_with_their_registrations(
    view: RelayView, discovery: EmbeddedDiscovery
) -> None:
    seen: list[list[str]] = []
    view.start(lambda: seen.append(sorted(view.addresses)))
    registration = await discovery.register(instance())
    await settled(lambda: view.is_listed(ADDRESS))
    assert view.zone(ADDRESS) == "z1"
    await registration.update(state=InstanceState.DRAINING)
    await settled(lambda: view.is_draining(ADDRESS))
    await registration.aclose()
    await settled(lambda: not view.is_listed(ADDRESS))
    assert [ADDRESS] in seen
    assert seen[-1] == []
    view.close()


async def test_reports_tell_how_full_a_relay_is(view: RelayView, state: Away) -> None:
    assert (view.sessions(ADDRESS), view.capacity(ADDRESS)) == (0, DEFAULT_CAPACITY)
    await report(state, "old", 1.0, draining=True)
    await report(state, "r1", 2.0, zone="z9")
    await state.hash_put("load:{mediarelay}", "broken", b"{")
    await view.refresh()
    assert (view.sessions(ADDRESS), view.capacity(ADDRESS)) == (7, 100)
    assert view.zone(ADDRESS) == "z9"
    assert not view.is_draining(ADDRESS)


async def test_the_report_of_an_earlier_run_does_not_drain_the_present_one(
    view: RelayView, discovery: EmbeddedDiscovery, state: Away
) -> None:
    view.start(lambda: None)
    await discovery.register(instance("r2"))
    await settled(lambda: view.is_listed(ADDRESS))
    await report(state, "r1", 2.0, draining=True)
    await view.refresh()
    assert not view.is_draining(ADDRESS)
    view.close()


async def test_the_last_view_stays_while_state_is_away(view: RelayView, state: Away) -> None:
    await report(state, "r1", 2.0)
    await view.refresh()
    state.is_away = True
    await view.refresh()
    assert view.sessions(ADDRESS) == 7
