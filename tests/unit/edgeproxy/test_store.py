"""Bindings in state: compare-and-set between edges, the index, the sweep."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from parley.backing.bus.base import Record
from parley.backing.errors import BackingUnavailable
from parley.backing.factory import Backing, Port, create_backing
from parley.backing.settings import BackingSettings
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.registrar.binding_memory import BindingMemory
from parley.edgeproxy.registrar.decision import Accepted, RegistrarLimits, decide
from parley.edgeproxy.registrar.events import TOPIC, RegistrationEvents
from parley.edgeproxy.registrar.expiry import ExpirySweep
from parley.edgeproxy.registrar.register_request import ContactRequest, Refused, RegisterRequest
from parley.edgeproxy.registrar.store import Registrations
from parley.model.events import RegistrationExpired, decode_event
from parley.model.ids import InstanceId, TenantId
from parley.model.registration import Binding
from parley.service.metrics import Registry
from parley.testkit.clock import FakeClock
from parley.testkit.ids import CountingIds

TENANT = TenantId("t1")
AOR = "1001@demo.test"
BINDINGS, INDEX, TENANTS = f"reg:{{{AOR}}}", f"registrations:{{{TENANT}}}", "registrations:{*}"


class Desk:
    """The parts of one edge that keep registrations."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.backing: Backing = create_backing(
            Port.STATE | Port.BUS, BackingSettings.load(is_durable=False), self.clock, Registry()
        )
        self.metrics = EdgeMetrics(Registry())
        self.registrations = Registrations(self.backing.state, self.metrics, BindingMemory())
        events = RegistrationEvents(self.backing.bus, CountingIds(), InstanceId("e1"), self.metrics)
        self.sweep = ExpirySweep(self.registrations, events, self.clock)

    async def register(self, uri: str, expires_s: int = 600, call_id: str = "c") -> Accepted:
        wall_s = self.clock.wall_s()
        wanted = RegisterRequest(
            f"sip:{AOR}",
            call_id,
            1,
            "192.0.2.1",
            InstanceId("e1"),
            (ContactRequest(uri, expires_s),),
        )
        outcome = await self.registrations.update(
            TENANT,
            AOR,
            wall_s,
            lambda current: decide(current, wanted, wall_s, RegistrarLimits(), lambda _: False),
        )
        assert isinstance(outcome, Accepted)
        return outcome

    async def bound(self) -> list[Binding]:
        return (await self.registrations.stored.find(AOR)).bindings

    async def indexed(self) -> list[str]:
        return [aor for aor, _ in await self.backing.state.index_range(INDEX)]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_bindings_are_written_and_listed(desk: Desk) -> None:
    await desk.register("sip:a@h1")

    assert [one.contact for one in await desk.bound()] == ["sip:a@h1"]
    assert await desk.indexed() == [AOR]
    assert await desk.registrations.stored.tenants() == [TENANT]


async def test_unregistered_aor_leaves_nothing_behind(desk: Desk) -> None:
    await desk.register("sip:a@h1")
    await desk.register("sip:a@h1", 0, "other")

    assert await desk.backing.state.get(BINDINGS) is None
    assert await desk.indexed() == []


async def test_edge_that_was_slower_applies_its_change_to_what_the_other_wrote(desk: Desk) -> None:
    seen: list[int] = []

    def change(current: Sequence[Binding]) -> Accepted | Refused:
        seen.append(len(current))
        wanted = RegisterRequest(
            f"sip:{AOR}", "mine", 1, "", InstanceId("e1"), (ContactRequest("sip:a@mine", 600),)
        )
        return decide(current, wanted, desk.clock.wall_s(), RegistrarLimits(), lambda _: False)

    read = desk.backing.state.get_versioned
    raced = False

    async def read_and_lose(key: str) -> object:
        nonlocal raced
        found = await read(key)
        if not raced:
            raced = True
            await desk.register("sip:a@theirs")
        return found

    desk.backing.state.get_versioned = read_and_lose  # type: ignore[method-assign,assignment]  # a race
    await desk.registrations.update(TENANT, AOR, desk.clock.wall_s(), change)

    assert seen == [0, 1]
    found = {one.contact for one in await desk.bound()}
    assert found == {"sip:a@mine", "sip:a@theirs"}


async def test_edge_that_dies_with_its_write_leaves_no_unlisted_binding(desk: Desk) -> None:
    write = desk.backing.state.put_if_version

    async def write_and_die(*args: Any) -> None:
        await write(*args)
        raise BackingUnavailable("this edge is dead")

    desk.backing.state.put_if_version = write_and_die  # type: ignore[method-assign,assignment]
    with pytest.raises(BackingUnavailable):
        await desk.register("sip:a@h1")

    assert len(await desk.bound()) == 1
    assert await desk.indexed() == [AOR]
    assert await desk.registrations.stored.tenants() == [TENANT]


async def test_binding_stays_listed_when_the_sweep_was_just_removing_its_aor(desk: Desk) -> None:
    write = desk.backing.state.put_if_version

    async def write_late(*args: Any) -> int | None:
        await desk.registrations.stored.reschedule(TENANT, AOR, [])
        return await write(*args)

    desk.backing.state.put_if_version = write_late  # type: ignore[method-assign,assignment]
    await desk.register("sip:a@h1")

    assert await desk.indexed() == [AOR]


async def test_index_tells_the_first_expiry_when_a_slower_edge_had_a_later_one(desk: Desk) -> None:
    write = desk.backing.state.put_if_version

    async def write_slowly(*args: Any) -> int | None:
        desk.backing.state.put_if_version = write  # type: ignore[method-assign]
        await desk.register("sip:a@theirs", 60)
        # What this edge had listed arrives after what the faster one did.
        await desk.backing.state.index_add(INDEX, AOR, desk.clock.wall_s() + 600)
        return await write(*args)

    desk.backing.state.put_if_version = write_slowly  # type: ignore[method-assign,assignment]
    await desk.register("sip:a@mine", 600, "mine")

    ((_, due),) = await desk.backing.state.index_range(INDEX)
    assert due == desk.clock.wall_s() + 60


async def test_unreadable_bindings_are_replaced(desk: Desk) -> None:
    await desk.backing.state.put_if_version(BINDINGS, b"junk", 0)

    await desk.register("sip:a@h1")

    assert len(await desk.bound()) == 1


async def test_sweep_tells_once_what_ran_out(desk: Desk) -> None:
    events: asyncio.Queue[object] = asyncio.Queue()

    async def remember(records: Sequence[Record]) -> None:
        for record in records:
            events.put_nowait(decode_event(record.value))

    await desk.backing.start()
    subscription = desk.backing.bus.tail(TOPIC, remember)
    await desk.register("sip:a@h1", 60)
    await desk.register("sip:a@h2", 600, "other")
    assert await desk.sweep.run_round() == 0
    desk.clock.advance(61)

    assert await desk.sweep.run_round() == 1
    assert await desk.sweep.run_round() == 0

    event = await asyncio.wait_for(events.get(), 5)
    assert isinstance(event, RegistrationExpired)
    assert event.data.contact == "sip:a@h1"
    assert [one.contact for one in await desk.bound()] == ["sip:a@h2"]
    ((_, due),) = await desk.backing.state.index_range(INDEX)
    assert due == (await desk.bound())[0].expires_at
    await subscription.aclose()
    await desk.backing.aclose()


async def test_refresh_leaves_the_index_alone_until_the_sweep_corrects_it(desk: Desk) -> None:
    await desk.register("sip:a@h1", 60)
    first = await desk.backing.state.index_range(INDEX)
    desk.clock.advance(30)
    await desk.register("sip:a@h1", 600, "other")
    assert await desk.backing.state.index_range(INDEX) == first
    desk.clock.advance(40)

    assert await desk.sweep.run_round() == 0

    ((_, due),) = await desk.backing.state.index_range(INDEX)
    assert due > desk.clock.wall_s()


async def test_index_entry_of_nothing_is_removed(desk: Desk) -> None:
    await desk.backing.state.index_add(INDEX, AOR, 1.0)
    await desk.backing.state.index_add(TENANTS, TENANT, 0.0)

    await desk.sweep.run_round()

    assert await desk.indexed() == []
