"""Bounds on remembered requests, and who has the second half of them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from parley.edgeproxy.limits.guard import parse_networks
from parley.edgeproxy.limits.known_sources import KnownSources
from parley.edgeproxy.limits.room import MAX_WAITING, Room
from parley.service.tasks import TaskOwner
from parley.sip.hop import Hop
from parley.sip.transaction import TransactionLayer
from parley.testkit.clock import FakeClock
from parley.testkit.ids import CountingIds
from parley.testkit.sip_messages import make_request

LIFE_S = 100.0
KNOWN, STRANGER = "192.0.2.1", "198.51.100.7"


@pytest.fixture
async def tasks() -> AsyncIterator[TaskOwner]:
    owner = TaskOwner()
    yield owner
    await owner.aclose()


def _known(clock: FakeClock, size: int = 10) -> KnownSources:
    known = KnownSources(lambda flow: None, (), (), clock, LIFE_S, size)
    known.note(Hop("udp", KNOWN, 5060))
    return known


def _fill(layer: TransactionLayer, count: int) -> None:
    for number in range(count):
        request = make_request("INVITE", call_id=f"c{number}")
        request.add("via", f"SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK{number}")
        request.source = Hop("udp", STRANGER, 5060)
        layer.receive_message(request, 0.0)


async def test_the_second_half_of_the_transactions_is_kept_for_known_sources(
    tasks: TaskOwner,
) -> None:
    layer = TransactionLayer(CountingIds())
    room = Room(layer, tasks, _known(FakeClock()), 10)
    _fill(layer, 4)
    assert room.admits(STRANGER)
    _fill(layer, 5)
    assert (room.admits(STRANGER), room.admits(KNOWN)) == (False, True)
    _fill(layer, 10)
    assert not room.admits(KNOWN)


async def test_the_second_half_of_the_places_to_wait_is_kept_too(tasks: TaskOwner) -> None:
    room = Room(TransactionLayer(CountingIds()), tasks, _known(FakeClock()), 10)
    forever = asyncio.Event()
    for number in range(MAX_WAITING // 2):
        tasks.spawn(forever.wait(), name=f"request {number}")

    assert (room.admits(STRANGER), room.admits(KNOWN)) == (False, True)


def test_a_source_is_known_for_a_while_after_its_last_proof() -> None:
    clock = FakeClock()
    known = _known(clock)
    clock.advance(LIFE_S * 0.6)
    known.note(Hop("udp", KNOWN, 5061))
    clock.advance(LIFE_S * 0.9)
    assert known.knows(KNOWN)
    clock.advance(LIFE_S * 0.2)
    assert not known.knows(KNOWN)


def test_known_sources_are_bounded_and_peers_always_known() -> None:
    networks = parse_networks(["203.0.114.0/24"])
    known = KnownSources(lambda flow: None, ("203.0.113.5",), networks, FakeClock(), LIFE_S, 2)
    for number in range(3):
        known.note(Hop("udp", f"192.0.2.{number}", 5060))
    assert [known.knows(f"192.0.2.{number}") for number in range(3)] == [False, True, True]
    assert known.knows("203.0.113.5")
    assert known.knows("203.0.114.5")


def test_a_proof_that_came_by_a_connection_vouches_for_it() -> None:
    vouched: list[Hop] = []
    known = KnownSources(vouched.append, (), (), FakeClock(), LIFE_S)
    flow = Hop("tls", KNOWN, 40000, 7)
    for source in (flow, Hop("udp", KNOWN, 5060, 1), flow):
        known.note(source)
    assert vouched == [flow, flow]


def test_who_proves_himself_makes_his_network_of_ipv6_known() -> None:
    known = KnownSources(lambda flow: None, ("2001:db8:1::1",), (), FakeClock(), LIFE_S)
    known.note(Hop("udp", "2001:db8::1", 5060))
    assert known.knows("2001:db8::2")
    assert not known.knows("2001:db8:0:1::2")
    assert not known.knows("2001:db8:1::2")
    known.note(Hop("udp", "2001:db8::2", 5060))
    assert len(known._until) == 1
