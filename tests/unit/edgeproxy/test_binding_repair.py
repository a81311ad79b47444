"""Bindings that shared state forgot are written again."""

import asyncio

import pytest

from parley.backing.errors import BackingUnavailable
from parley.backing.state.base import Versioned
from parley.backing.state.bindings import decode_bindings
from parley.backing.state.embedded import EmbeddedState
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.registrar.binding_memory import BindingMemory, merged
from parley.edgeproxy.registrar.binding_repair import BindingRepair
from parley.edgeproxy.registrar.decision import Accepted, RegistrarLimits, decide
from parley.edgeproxy.registrar.register_request import ContactRequest, RegisterRequest
from parley.edgeproxy.registrar.store import Registrations
from parley.model.ids import InstanceId, TenantId
from parley.model.registration import Binding
from parley.service.metrics import Registry
from parley.testkit.clock import FakeClock

TENANT = TenantId("t1")
AOR = "1001@demo.test"


class ForgetfulState(EmbeddedState):
    """Says on demand that it does not answer, and tells of writes.

    Attributes:
        failures: how many more readings fail.
        is_written: set by each write with a version.
    """

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, None)
        self.failures = 0
        self.is_written = asyncio.Event()

    async def put_if_version(
        self, key: str, value: bytes, version: int, ttl_s: float | None = None
    ) -> int | None:
        written = await super().put_if_version(key, value, version, ttl_s)
        self.is_written.set()
        return written

    async def get_versioned(self, key: str) -> Versioned | None:
        if self.failures:
            self.failures -= 1
            raise BackingUnavailable("away")
        return await super().get_versioned(key)


class Desk:
    """One edge's registrations and what it remembers of them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.state = ForgetfulState(self.clock)
        self.metrics = EdgeMetrics(Registry())
        self.memory = BindingMemory()
        self.registrations = Registrations(self.state, self.metrics, self.memory)
        self.repair = BindingRepair(self.memory, self.registrations, self.clock, self.metrics)

    async def register(self, uri: str, expires_s: int = 600, aor: str = AOR, cseq: int = 1) -> None:
        wall_s = self.clock.wall_s()
        contacts = (ContactRequest(uri, expires_s),)
        wanted = RegisterRequest(f"sip:{aor}", uri, cseq, "192.0.2.1", InstanceId("e1"), contacts)
        outcome = await self.registrations.update(
            TENANT,
            aor,
            wall_s,
            lambda current: decide(current, wanted, wall_s, RegistrarLimits(), lambda _: False),
        )
        assert isinstance(outcome, Accepted)

    def refresh_remembered(self, uri: str, expires_s: int = 600, cseq: int = 2) -> bool:
        wall_s = self.clock.wall_s()
        contacts = (ContactRequest(uri, expires_s),)
        wanted = RegisterRequest(f"sip:{AOR}", uri, cseq, "192.0.2.1", InstanceId("e1"), contacts)
        outcome = self.registrations.refresh_remembered(
            TENANT,
            AOR,
            wall_s,
            lambda current: decide(current, wanted, wall_s, RegistrarLimits(), lambda _: False),
        )
        return outcome is not None

    async def forget(self, aor: str = AOR) -> None:
        for key in (f"reg:{{{aor}}}", f"registrations:{{{TENANT}}}", "registrations:{*}"):
            await self.state.delete(key)

    async def contacts(self, aor: str = AOR) -> dict[str, float]:
        found = decode_bindings(await self.registrations.stored.read(aor))
        return {one.contact: one.expires_at for one in found}


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_forgotten_binding_is_written_again_with_its_index(desk: Desk) -> None:
    await desk.register("sip:a@192.0.2.1")
    before = await desk.contacts()
    await desk.forget()
    desk.repair.begin()

    assert await desk.repair.run_round() == 1
    assert await desk.contacts() == before
    assert await desk.registrations.stored.due([TENANT], desk.clock.wall_s() + 601, 10) == [[AOR]]
    await desk.register("sip:b@192.0.2.2", aor="1002@demo.test")
    assert await desk.registrations.stored.tenants() == [TENANT]


async def test_what_is_there_is_left_alone(desk: Desk) -> None:
    await desk.register("sip:a@192.0.2.1")

    assert await desk.repair.run_round() == 0


async def test_an_older_binding_is_replaced_and_a_newer_one_kept(desk: Desk) -> None:
    await desk.register("sip:a@192.0.2.1")
    stored = desk.registrations.stored
    old = (await stored.find(AOR)).bindings
    desk.clock.advance(60)
    await desk.register("sip:a@192.0.2.1", cseq=2)
    newer = await desk.contacts()
    version = (await stored.find(AOR)).version
    assert await stored.replace(AOR, old, version, desk.clock.wall_s())

    assert await desk.repair.run_round() == 1
    assert await desk.contacts() == newer
    other = Registrations(desk.state, desk.metrics, BindingMemory())
    desk.clock.advance(60)
    desk.registrations, here = other, desk.registrations
    await desk.register("sip:a@192.0.2.1", cseq=3)
    desk.registrations = here
    assert await desk.repair.run_round() == 0


async def test_what_ran_out_or_was_taken_out_does_not_come_back(desk: Desk) -> None:
    await desk.register("sip:a@192.0.2.1")
    await desk.register("sip:a@192.0.2.1", expires_s=0, cseq=2)
    await desk.register("sip:b@192.0.2.2", aor="1002@demo.test")
    desk.clock.advance(601)
    await desk.forget("1002@demo.test")

    assert await desk.repair.run_round() == 0
    assert await desk.contacts() == {}
    assert len(desk.memory) == 0


async def test_a_store_that_does_not_answer_is_asked_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.edgeproxy.registrar.binding_repair.RETRY_S", 0.0)
    await desk.register("sip:a@192.0.2.1")
    await desk.forget()
    desk.state.failures = 3

    assert await desk.repair.run_round() == 1


async def test_a_round_is_done_for_each_time_state_forgot(desk: Desk) -> None:
    running = asyncio.ensure_future(desk.repair.run())
    try:
        for number in range(2):
            await desk.register("sip:a@192.0.2.1", cseq=number + 1)
            await desk.forget()
            desk.state.is_written.clear()
            desk.repair.begin()
            async with asyncio.timeout(5):
                await desk.state.is_written.wait()
            assert await desk.contacts()
    finally:
        running.cancel()
        await asyncio.wait([running])


def test_the_memory_is_bounded() -> None:
    memory = BindingMemory(2)
    for number in range(3):
        memory.remember(TENANT, f"{number}", b"[]")

    assert memory.aors() == ["1", "2"]


def test_a_flow_of_outbound_is_known_by_its_instance() -> None:
    def binding(contact: str, expires_at: float) -> Binding:
        return Binding(
            aor=f"sip:{AOR}",
            contact=contact,
            path=[],
            expires_at=expires_at,
            instance_id="<urn:uuid:1>",
            reg_id=1,
            call_id="c",
            cseq=1,
            user_agent="",
            edge=InstanceId("e1"),
            source="192.0.2.1",
        )

    outcome = merged([binding("sip:new@192.0.2.2", 20.0)], [binding("sip:old@192.0.2.1", 10.0)])
    assert not outcome.is_changed


async def test_a_refresh_while_state_is_away_is_written_when_it_answers(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.edgeproxy.registrar.binding_repair.RETRY_S", 0.0)
    await desk.register("sip:a@192.0.2.1")
    before = await desk.contacts()
    desk.clock.advance(300)

    assert desk.refresh_remembered("sip:a@192.0.2.1")
    assert await desk.contacts() == before
    desk.state.failures = 3
    desk.state.is_written.clear()
    paying = asyncio.ensure_future(desk.repair.pay())
    try:
        async with asyncio.timeout(2):
            await desk.state.is_written.wait()
        assert await desk.contacts() == {"sip:a@192.0.2.1": before["sip:a@192.0.2.1"] + 300}
        assert not desk.memory.owed
        assert not desk.memory.is_owing.is_set()
    finally:
        paying.cancel()


async def test_only_what_is_remembered_and_stays_can_be_promised(desk: Desk) -> None:
    assert not desk.refresh_remembered("sip:a@192.0.2.1")
    await desk.register("sip:a@192.0.2.1")

    assert not desk.refresh_remembered("sip:b@192.0.2.2")
    assert not desk.refresh_remembered("sip:a@192.0.2.1", expires_s=0)
    assert not desk.refresh_remembered("sip:a@192.0.2.1", cseq=1)
    assert not desk.memory.owed
    desk.clock.advance(601)
    assert not desk.refresh_remembered("sip:a@192.0.2.1")


async def test_a_promise_is_part_of_what_is_read_until_it_is_written(desk: Desk) -> None:
    await desk.register("sip:a@192.0.2.1")
    desk.clock.advance(300)
    assert desk.refresh_remembered("sip:a@192.0.2.1")
    stale = (await desk.registrations.stored.find(AOR)).bindings
    desk.clock.advance(301)
    wall_s = desk.clock.wall_s()

    (known,) = desk.registrations.with_owed(AOR, stale, wall_s)
    assert known.expires_at > wall_s
    await desk.register("sip:a@192.0.2.1", cseq=3)
    assert desk.registrations.with_owed(AOR, stale, wall_s) is stale


async def test_a_promise_ends_with_what_is_remembered(desk: Desk) -> None:
    await desk.register("sip:a@192.0.2.1")
    assert desk.refresh_remembered("sip:a@192.0.2.1")

    desk.memory.forget(AOR)
    assert not desk.memory.owed
    assert not desk.memory.is_owing.is_set()
