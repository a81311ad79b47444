"""Which call manager gets a call."""

from collections import Counter

import pytest

from parley.backing.discovery.base import Instance, InstanceState, Registration
from parley.backing.discovery.embedded import EmbeddedDiscovery
from parley.backing.errors import BackingUnavailable
from parley.backing.state.embedded import EmbeddedState
from parley.backing.state.loads import callmanager_loads
from parley.edgeproxy.proxy.callmanagers import REPORT_LIFE_S, CallManagers
from parley.model.ids import InstanceId
from parley.model.load import Load
from parley.testkit.clock import FakeClock


class Fleet:
    """Call managers that report, and an edge's view of them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.state = EmbeddedState(self.clock, None)
        self.discovery = EmbeddedDiscovery()
        self.view = CallManagers(self.state, self.discovery)

    async def report(
        self, name: str, calls: int = 0, *, draining: bool = False, transport: str = "tcp"
    ) -> None:
        load = Load(
            instance=InstanceId(name),
            address=(transport, f"{name}.test", 5070),
            calls=calls,
            cpu=0.0,
            at=self.clock.wall_s(),
            draining=draining,
        )
        await callmanager_loads(self.state).publish(load)

    async def refresh(self) -> None:
        await self.view.refresh(self.clock.now(), self.clock.wall_s())

    def choose(self, call_id: str, *excluded: str) -> str | None:
        chosen = self.view.choose(call_id, self.clock.now(), excluded)
        return None if chosen is None else chosen.instance

    def owner(self, owner: str, call_id: str = "c") -> str | None:
        found = self.view.owner_or_successor(owner, call_id, self.clock.now())
        return None if found is None else found.instance


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


async def test_without_reports_there_is_nobody(fleet: Fleet) -> None:
    await fleet.refresh()

    assert fleet.choose("c") is None
    assert fleet.owner("cm1") is None


async def test_loaded_and_draining_instances_get_no_new_calls(fleet: Fleet) -> None:
    await fleet.report("busy", 1000)
    await fleet.report("idle", 0)
    await fleet.report("leaving", 0, draining=True)
    await fleet.refresh()

    assert {fleet.choose(f"call-{number}") for number in range(50)} == {"idle"}
    assert fleet.owner("leaving") == "leaving"


async def test_calls_spread_over_equal_instances_between_two_reports(fleet: Fleet) -> None:
    for name in ("cm1", "cm2", "cm3", "cm4"):
        await fleet.report(name)
    await fleet.refresh()

    counts = Counter(fleet.choose(f"call-{number}") for number in range(400))

    assert len(counts) == 4
    assert max(counts.values()) - min(counts.values()) < 20


async def test_instance_whose_report_stands_still_is_gone(fleet: Fleet) -> None:
    await fleet.report("cm1")
    await fleet.refresh()
    fleet.clock.advance(REPORT_LIFE_S + 0.1)

    await fleet.refresh()

    assert fleet.choose("c") is None


async def test_stale_report_found_at_the_start_is_no_instance(fleet: Fleet) -> None:
    await fleet.report("cm1")
    fleet.clock.advance(60)
    await fleet.refresh()
    assert fleet.choose("c") is None

    await fleet.report("cm1")
    await fleet.refresh()
    assert fleet.choose("c") == "cm1"


async def test_step_of_the_wall_clock_loses_nobody(fleet: Fleet) -> None:
    await fleet.report("cm1")
    await fleet.refresh()
    fleet.clock.step_wall(3600)
    fleet.clock.advance(1)

    await fleet.refresh()

    assert fleet.choose("c") == "cm1"


async def test_unreachable_instance_is_avoided_for_a_while(fleet: Fleet) -> None:
    await fleet.report("cm1")
    await fleet.report("cm2", 100)
    await fleet.refresh()
    assert fleet.choose("c") == "cm1"

    fleet.view.mark_unreachable("cm1", fleet.clock.now())

    assert fleet.choose("c") == "cm2"
    assert fleet.owner("cm1") == "cm2"
    fleet.clock.advance(5)
    assert fleet.choose("c") == "cm1"


async def test_excluded_instances_are_not_chosen(fleet: Fleet) -> None:
    await fleet.report("cm1")
    await fleet.refresh()

    assert fleet.choose("c", "cm1") is None


async def test_all_edges_name_the_same_successor(fleet: Fleet) -> None:
    other = CallManagers(fleet.state, fleet.discovery)
    for name in ("cm3", "cm1", "cm2"):
        await fleet.report(name)
    await fleet.refresh()
    await other.refresh(fleet.clock.now(), fleet.clock.wall_s())

    for number in range(20):
        call_id = f"call-{number}"
        found = other.owner_or_successor("gone", call_id, fleet.clock.now())
        assert found is not None
        assert fleet.owner("gone", call_id) == found.instance


async def test_discovery_narrows_the_view_once_it_knows_anyone(fleet: Fleet) -> None:
    await fleet.report("cm1")
    await fleet.report("cm2")
    await fleet.discovery.register(
        Instance(service="callmanager", id="cm2", address="", state=InstanceState.READY)
    )
    await fleet.refresh()

    assert {fleet.choose(f"call-{number}") for number in range(20)} == {"cm2"}


async def test_instance_is_found_by_its_address(fleet: Fleet) -> None:
    await fleet.report("cm1")
    await fleet.refresh()

    assert fleet.view.instance_at("cm1.test", 5070) == "cm1"
    assert fleet.view.instance_at("cm1.test", 5071) == ""
    assert fleet.view.at("cm1.test", 5070)


async def test_unreadable_report_is_skipped(fleet: Fleet) -> None:
    await fleet.state.hash_put("load:{callmanager}", "bad", b"{not json")
    await fleet.report("cm1")

    await fleet.refresh()

    assert fleet.choose("c") == "cm1"


class AwayState(EmbeddedState):
    """Shared state that can be away."""

    is_away = False

    async def hash_get_all(self, key: str) -> dict[str, bytes]:
        if self.is_away:
            raise BackingUnavailable("away")
        return await super().hash_get_all(key)


async def test_call_manager_that_names_a_plain_way_is_left_alone_where_all_else_is_tls(
    fleet: Fleet,
) -> None:
    fleet.view = CallManagers(fleet.state, fleet.discovery, transport="tls")
    await fleet.report("plain")
    await fleet.refresh()
    assert fleet.choose("c") is None
    assert fleet.owner("plain") is None

    await fleet.report("secret", transport="tls")
    await fleet.refresh()

    assert fleet.choose("c") == fleet.owner("plain") == "secret"
    assert fleet.view.instance_at("plain.test", 5070) == ""


class ZonedFleet(Fleet):
    """A fleet in two zones, seen from the first."""

    def __init__(self) -> None:
        super().__init__()
        self.away = AwayState(self.clock, None)
        self.state = self.away
        self.view = CallManagers(self.state, self.discovery, "east")

    async def place(self, name: str, zone: str, port: int = 5070) -> Registration:
        return await self.discovery.register(
            Instance(
                service="callmanager",
                id=name,
                address=f"tcp:{name}.test:{port}",
                zone=zone,
                state=InstanceState.READY,
            )
        )

    def chosen(self) -> set[str | None]:
        return {self.choose(f"call-{number}") for number in range(50)}


@pytest.fixture
def zoned() -> ZonedFleet:
    return ZonedFleet()


async def test_the_own_zone_is_preferred_while_its_load_allows_it(zoned: ZonedFleet) -> None:
    for name, zone, calls in (("e1", "east", 60), ("e2", "east", 60), ("w1", "west", 40)):
        await zoned.place(name, zone)
        await zoned.report(name, calls)
    await zoned.refresh()
    assert zoned.chosen() == {"e1", "e2"}

    for name in ("e1", "e2"):
        await zoned.report(name, 500)
    await zoned.refresh()
    assert "w1" in zoned.chosen()


async def test_another_zone_helps_out_when_the_own_one_is_gone(zoned: ZonedFleet) -> None:
    for name, zone in (("e1", "east"), ("w1", "west")):
        await zoned.place(name, zone)
        await zoned.report(name)
    await zoned.refresh()
    zoned.view.mark_unreachable("e1", zoned.clock.now())

    assert zoned.chosen() == {"w1"}


async def test_those_that_went_are_named_once(zoned: ZonedFleet) -> None:
    await zoned.report("e1")
    await zoned.report("e2")
    await zoned.refresh()
    zoned.clock.advance(REPORT_LIFE_S + 1)
    await zoned.report("e1")

    now, wall_s = zoned.clock.now(), zoned.clock.wall_s()
    assert await zoned.view.refresh(now, wall_s) == {"e2"}
    assert await zoned.view.refresh(now, wall_s) == frozenset()


async def test_without_shared_state_discovery_tells_who_comes_and_goes(zoned: ZonedFleet) -> None:
    first = await zoned.place("e1", "east")
    await zoned.place("e2", "east")
    for name in ("e1", "e2"):
        await zoned.report(name)
    await zoned.refresh()
    zoned.away.is_away = True
    await first.aclose()
    await zoned.place("e3", "east")
    zoned.clock.advance(60)
    with pytest.raises(BackingUnavailable):
        await zoned.refresh()

    assert zoned.chosen() == {"e2", "e3"}
    found = zoned.view.find("e3")
    assert found is not None
    assert found.hop == ("tcp", "e3.test", 5070, 0)


async def test_after_an_outage_everybody_gets_time_to_report_again(zoned: ZonedFleet) -> None:
    await zoned.report("near")
    await zoned.refresh()
    zoned.clock.advance(10 * REPORT_LIFE_S)
    zoned.away.is_away = True
    with pytest.raises(BackingUnavailable):
        await zoned.refresh()

    zoned.away.is_away = False
    await zoned.refresh()
    assert zoned.choose("c") == "near"
    await zoned.state.delete("load:{callmanager}")
    zoned.clock.advance(REPORT_LIFE_S / 2)
    await zoned.refresh()
    assert zoned.choose("c") == "near"
    zoned.clock.advance(REPORT_LIFE_S)
    await zoned.refresh()
    assert zoned.choose("c") is None


async def test_without_both_the_last_view_stays(zoned: ZonedFleet) -> None:
    await zoned.report("e1")
    await zoned.refresh()
    zoned.away.is_away = True
    zoned.clock.advance(60)
    with pytest.raises(BackingUnavailable):
        await zoned.refresh()

    assert zoned.chosen() == {"e1"}
