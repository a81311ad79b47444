"""Bindings whose connection has closed, while state fails and phones come back."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from parley.backing.discovery.embedded import EmbeddedDiscovery
from parley.backing.errors import BackingUnavailable
from parley.backing.state.base import Versioned
from parley.backing.state.embedded import EmbeddedState
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.registrar import connection_bindings
from parley.edgeproxy.registrar.binding_memory import BindingMemory
from parley.edgeproxy.registrar.connection_bindings import ConnectionBindings
from parley.edgeproxy.registrar.decision import Accepted
from parley.edgeproxy.registrar.events import RegistrationEvents
from parley.edgeproxy.registrar.store import Registrations
from parley.edgeproxy.routing.addresses import EdgeAddresses
from parley.edgeproxy.routing.routes import Routes
from parley.edgeproxy.routing.token import TokenCodec
from parley.model.ids import InstanceId, TenantId
from parley.model.registration import Binding
from parley.service.metrics import Registry
from parley.sip.hop import Hop
from parley.testkit.clock import FakeClock

TENANT, AOR, EDGE = TenantId("t1"), "1001@demo.test", InstanceId("edge-1")
FLOW, OTHER = Hop("tcp", "192.0.2.1", 40000, 7), Hop("tcp", "192.0.2.1", 40001, 8)


class FailingState(EmbeddedState):
    """Does not answer the next readings."""

    failures = 0

    async def get_versioned(self, key: str) -> Versioned | None:
        if self.failures:
            self.failures -= 1
            raise BackingUnavailable("away")
        return await super().get_versioned(key)


class Desk:
    """An edge that knows two connections; what it publishes is an `Accepted` in `told`."""

    def __init__(self) -> None:
        clock, metrics = FakeClock(), EdgeMetrics(Registry())
        addresses = EdgeAddresses()
        addresses.set_inside(Hop("local", "edge", 0))
        self.told: asyncio.Queue[Accepted] = asyncio.Queue()
        self.state = FailingState(clock, None)
        self.registrations = Registrations(self.state, metrics, BindingMemory())
        self.routes = Routes(TokenCodec(b"secret"), addresses)
        self.connections = ConnectionBindings(
            registrations=self.registrations,
            events=cast("RegistrationEvents", self),
            routes=self.routes,
            discovery=EmbeddedDiscovery(),
            instance=EDGE,
            clock=clock,
            metrics=metrics,
        )

    def publish(self, tenant: TenantId, outcome: Accepted, wall_s: float) -> None:
        self.told.put_nowait(outcome)

    def binding(self, flow: Hop, edge: InstanceId = EDGE) -> Binding:
        return Binding(
            aor=f"sip:{AOR}",
            contact=f"sip:1001@192.0.2.1:{flow.port}",
            path=[self.routes.path(flow)],
            expires_at=FakeClock().wall_s() + 600,
            call_id="c",
            cseq=1,
            edge=edge,
            source="192.0.2.1",
        )

    async def bind(self, *flows: Hop) -> None:
        made = [self.binding(flow) for flow in flows]
        await self.registrations.update(TENANT, AOR, 0.0, lambda _: Accepted(made, added=made))
        for flow in flows:
            self.connections.note_bound(flow, TENANT, AOR)

    async def next_removed(self) -> list[str]:
        async with asyncio.timeout(5):
            return [one.contact for one in (await self.told.get()).removed]


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name in ("GRACE_S", "RETRY_S"):
        monkeypatch.setattr(connection_bindings, name, 0.0)
    desk = Desk()
    desk.connections.note_open(FLOW)
    desk.connections.note_open(OTHER)
    return desk


@pytest.fixture
async def running(desk: Desk) -> AsyncIterator[None]:
    task = asyncio.create_task(desk.connections.run())
    yield
    task.cancel()


@pytest.mark.usefixtures("running")
async def test_what_closes_while_state_is_away_is_taken_out_afterwards(desk: Desk) -> None:
    await desk.bind(FLOW, OTHER)
    desk.state.failures = 3

    desk.connections.on_closed(FLOW)

    assert await desk.next_removed() == ["sip:1001@192.0.2.1:40000"]
    assert [one.contact for one in (await desk.registrations.stored.find(AOR)).bindings] == [
        "sip:1001@192.0.2.1:40001"
    ]


@pytest.mark.usefixtures("running")
async def test_a_connection_that_closed_before_its_binding_was_written_is_seen(desk: Desk) -> None:
    desk.connections.on_closed(FLOW)

    await desk.bind(FLOW)

    assert await desk.next_removed() == ["sip:1001@192.0.2.1:40000"]


async def test_bindings_of_connections_are_gone_with_them_or_with_their_edge(desk: Desk) -> None:
    is_gone = desk.connections.is_gone
    assert not is_gone(desk.binding(FLOW))
    assert not is_gone(desk.binding(Hop("udp", "192.0.2.1", 5060)))
    assert is_gone(desk.binding(FLOW, InstanceId("edge-that-died")))

    desk.connections.on_closed(FLOW)

    assert is_gone(desk.binding(FLOW))
    assert not is_gone(desk.binding(OTHER))
