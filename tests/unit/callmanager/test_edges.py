"""Which edge a request to a phone takes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from parley.backing.discovery.base import Instance, InstanceState
from parley.backing.discovery.embedded import EmbeddedDiscovery
from parley.callmanager.edges import CLOSED_S, Edges
from parley.callmanager.hops import address_of, hop_at
from parley.sip.hop import Hop
from parley.sip.message import Request
from parley.testkit.clock import FakeClock

ONE, TWO, OTHER = (Hop("tcp", "10.0.0.1", port) for port in (1, 2, 9))


class Region:
    """Edges that come and go."""

    def __init__(self) -> None:
        self.discovery = EmbeddedDiscovery()
        self.clock = FakeClock()
        self.edges = Edges(self.discovery, self.clock)
        self.seen: list[str] = []

    def look(self, instances: Sequence[Instance]) -> None:
        self.seen = sorted(each.address for each in instances)

    async def announce(self, hop: Hop, state: InstanceState = InstanceState.READY) -> Any:
        made = Instance(
            service="edgeproxy", id=f"edge-{hop.port}", address=address_of(hop), state=state
        )
        registration = await self.discovery.register(made)
        await self.is_seen([each.address for each in self.discovery.instances("edgeproxy")])
        return registration

    async def leave(self, registration: Any) -> None:
        await registration.aclose()
        await self.is_seen([each.address for each in self.discovery.instances("edgeproxy")])

    async def is_seen(self, addresses: list[str]) -> None:
        """Waits until the watch was called."""
        async with asyncio.timeout(2.0):
            while True:
                if self.seen == sorted(addresses):
                    return
                await asyncio.sleep(0)


@pytest.fixture
async def region() -> AsyncIterator[Region]:
    made = Region()
    await made.discovery.start()
    made.edges.start()
    watch = made.discovery.watch("edgeproxy", made.look)
    yield made
    watch.close()
    made.edges.close()
    await made.discovery.aclose()


async def test_a_live_edge_is_used_as_it_is_named(region: Region) -> None:
    await region.announce(ONE)
    assert region.edges.living(ONE, "call") == ONE


async def test_an_edge_that_discovery_never_named_is_left_alone(region: Region) -> None:
    await region.announce(ONE)
    assert region.edges.living(OTHER, "call") == OTHER


async def test_a_gone_edge_is_replaced_by_a_live_one_until_it_is_back(region: Region) -> None:
    gone = await region.announce(ONE)
    await region.announce(TWO)
    await region.leave(gone)
    assert region.edges.living(ONE, "call") == TWO
    await region.announce(ONE)
    assert region.edges.living(ONE, "call") == ONE


async def test_an_edge_that_was_not_reached_is_avoided_for_a_while(region: Region) -> None:
    await region.announce(ONE)
    await region.announce(TWO)
    assert region.edges.another(ONE._replace(flow=7), "call") == TWO
    assert region.edges.living(ONE, "call") == TWO
    region.clock.advance(2.1)
    assert region.edges.living(ONE, "call") == ONE


async def test_an_edge_that_was_started_again_is_used_at_once(region: Region) -> None:
    first = await region.announce(ONE)
    await region.announce(TWO)
    assert region.edges.another(ONE, "call") == TWO
    await region.leave(first)
    await region.announce(ONE)
    assert region.edges.living(ONE, "call") == ONE
    assert region.edges.another(TWO, "call") == ONE


async def test_trying_comes_to_an_end(region: Region) -> None:
    await region.announce(ONE)
    await region.announce(TWO)
    assert region.edges.another(ONE, "call") == TWO
    assert region.edges.another(TWO, "call") is None


async def test_a_draining_edge_is_the_last_choice(region: Region) -> None:
    await region.announce(ONE)
    await region.announce(TWO, InstanceState.DRAINING)
    await region.announce(OTHER)
    assert region.edges.another(ONE, "call") == OTHER
    assert region.edges.another(OTHER, "call") == TWO


def brought_by(flow: Hop) -> Request:
    """A request by the edge `ONE` over this connection."""
    request = Request("INVITE", "sip:1002@demo.test")
    request.add("via", f"SIP/2.0/TCP {ONE.host}:{ONE.port};branch=z9hG4bK1")
    request.source = flow
    return request


async def test_who_brought_a_request_is_lost_with_its_connection(region: Region) -> None:
    await region.announce(ONE)
    flow = ONE._replace(port=50000, flow=7)
    region.edges.note_closed(flow._replace(flow=6))
    assert not region.edges.is_lost(brought_by(flow))
    region.edges.note_closed(flow)
    assert region.edges.is_lost(brought_by(flow))
    region.clock.advance(CLOSED_S)
    assert not region.edges.is_lost(brought_by(flow))


async def test_who_brought_a_request_is_lost_when_it_drains_or_goes_or_is_not_reached(
    region: Region,
) -> None:
    request = brought_by(ONE._replace(port=50000, flow=7))
    registration = await region.announce(ONE)
    region.edges.another(ONE, "call")
    assert region.edges.is_lost(request)
    region.clock.advance(2.1)
    assert not region.edges.is_lost(request)
    await registration.update(state=InstanceState.DRAINING)
    await region.leave(registration)
    assert region.edges.is_lost(request)


@pytest.mark.parametrize("address", ["", "tcp", "tcp:host", "tcp::5", "tcp:host:99999", "tcp:h:x"])
def test_an_address_that_is_none_is_no_hop(address: str) -> None:
    assert hop_at(address) is None


def test_addresses_of_ipv6_are_read_with_and_without_brackets() -> None:
    assert hop_at("tcp:::1:5") == hop_at("tcp:[::1]:5") == Hop("tcp", "::1", 5)
