"""Requests whose call manager is gone, silent or not the owner: where they go on."""

import pytest
from tests.unit.edgeproxy.proxy_bench import PHONE, Bench, FakeTransaction

from parley.edgeproxy.proxy.forwarding import Forwarding
from parley.edgeproxy.proxy.proxy import SILENCE_S
from parley.edgeproxy.proxy.pursuit import MAX_REDIRECTS, UNKNOWN_PAUSE_S, UNKNOWN_S
from parley.model import rendezvous


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.start("cm1", "cm2", "cm3")
    return bench


def _successor(*names: str) -> str | None:
    return rendezvous.choose("call-1", names)


def _hosts(bench: Bench) -> list[str]:
    return [one.hop.host for one in bench.node.requests]


def _branch(client: FakeTransaction) -> str | None:
    return client.request.via.branch


async def test_a_request_whose_owner_is_gone_goes_to_the_successor_as_the_same(
    bench: Bench,
) -> None:
    first = bench.follow_up("cm1")
    bench.fail(first, "transport")

    second = bench.node.requests[-1]
    assert _hosts(bench) == ["cm1", _successor("cm2", "cm3")]
    assert _branch(second) == _branch(first)
    assert len(second.request.get_all("via")) == 2
    assert bench.statuses == []
    bench.respond(second, 200)
    assert bench.statuses == [200]


async def test_a_new_call_whose_call_manager_is_gone_goes_where_its_sweeper_sends_it(
    bench: Bench,
) -> None:
    first = bench.call(bench.server())
    left = [name for name in ("cm1", "cm2", "cm3") if name != first.hop.host]
    bench.respond(first, 180)
    bench.fail(first, "transport")

    second = bench.node.requests[-1]
    assert second.hop.host == _successor(*left)
    assert _branch(second) == _branch(first)
    assert len(second.request.get_all("record-route")) == 2


async def test_a_call_manager_that_says_nothing_is_left(bench: Bench) -> None:
    first = bench.follow_up("cm1")
    bench.wait(SILENCE_S - 0.1)
    assert _hosts(bench) == ["cm1"]

    bench.wait(0.1)
    assert _hosts(bench) == ["cm1", _successor("cm2", "cm3")]
    assert bench.node.abandoned == [first]
    assert bench.callmanagers.is_suspect("cm1", bench.clock.now())


@pytest.mark.parametrize("status", [100, 180])
async def test_a_call_manager_that_was_heard_is_waited_for(bench: Bench, status: int) -> None:
    client = bench.call(bench.server())
    bench.respond(client, status)

    bench.wait(30.0)
    assert len(bench.node.requests) == 1


async def test_the_last_call_manager_is_waited_for(bench: Bench) -> None:
    client = bench.follow_up("cm1")
    bench.callmanagers.mark_unreachable("cm2", bench.clock.now())
    bench.callmanagers.mark_unreachable("cm3", bench.clock.now())

    bench.wait(SILENCE_S)
    assert bench.node.abandoned == []
    bench.respond(client, 200)
    assert bench.statuses == [200]


async def test_what_is_unanswered_leaves_a_call_manager_that_is_not_reported_any_more(
    bench: Bench,
) -> None:
    ringing = bench.follow_up("cm1", "INVITE")
    bench.respond(ringing, 180)
    done = bench.follow_up("cm1")
    bench.respond(done, 200)
    other = bench.follow_up("cm2")

    bench.proxy.on_gone({"cm1"})
    assert bench.node.abandoned == [ringing]
    assert bench.node.requests[-1].request.method == "INVITE"
    assert bench.node.requests[-1].hop.host == _successor("cm2", "cm3")
    assert other not in bench.node.abandoned


async def test_a_cancelled_call_is_cancelled_at_the_successor(bench: Bench) -> None:
    server = bench.server()
    client = bench.call(server)
    bench.respond(client, 180)
    cancel = server.request.copy()
    cancel.add("reason", "SIP;cause=487")
    bench.proxy.on_cancel(server, cancel)
    client.is_cancelled = True
    bench.fail(client, "transport")

    second = bench.node.requests[-1]
    assert second is not client
    assert bench.node.cancelled[-1] == (second, (("reason", "SIP;cause=487"),))
    bench.respond(second, 487)
    assert bench.statuses == [180, 487]


async def test_a_cancelled_call_that_nobody_can_take_is_ended(bench: Bench) -> None:
    server = bench.server()
    client = bench.call(server)
    bench.proxy.on_cancel(server, server.request)
    for name in ("cm1", "cm2", "cm3"):
        bench.callmanagers.mark_unreachable(name, bench.clock.now())
    bench.fail(client, "transport")

    assert bench.statuses == [487]


async def test_a_request_follows_the_owner_that_a_call_manager_names(bench: Bench) -> None:
    first = bench.follow_up("cm1")
    bench.respond(first, 503, owner="cm3")

    assert _hosts(bench) == ["cm1", "cm3"]
    assert _branch(bench.node.requests[-1]) == _branch(first)
    assert bench.statuses == []


async def test_an_owner_that_failed_just_now_gets_a_moment(bench: Bench) -> None:
    first = bench.follow_up("cm1")
    bench.fail(first, "transport")
    second = bench.node.requests[-1]
    bench.respond(second, 503, owner="cm1")
    assert len(bench.node.requests) == 2

    bench.wait(0.1)
    assert bench.node.requests[-1].hop.host == "cm1"
    assert len(bench.node.requests) == 3


async def test_a_cancel_during_the_moment_reaches_the_owner(bench: Bench) -> None:
    server = bench.server()
    first = bench.call(server)
    bench.callmanagers.mark_unreachable("cm3", bench.clock.now())
    bench.respond(first, 503, owner="cm3")
    bench.proxy.on_cancel(server, server.request)
    assert bench.node.cancelled == []

    bench.wait(0.1)
    assert bench.node.requests[-1].hop.host == "cm3"
    assert bench.node.cancelled == [(bench.node.requests[-1], ())]


async def test_an_owner_that_only_this_edge_does_not_reach_loses_its_call(bench: Bench) -> None:
    bench.follow_up("cm1")
    bench.wait(SILENCE_S)
    stand_in = bench.node.requests[-1].hop.host
    assert not bench.node.requests[-1].request.has("x-parley-unreachable")
    bench.respond(bench.node.requests[-1], 503, owner="cm1")
    bench.wait(0.1)
    assert bench.node.requests[-1].hop.host == "cm1"

    bench.wait(SILENCE_S)
    assert bench.node.requests[-1].hop.host == stand_in
    assert bench.node.requests[-1].request.get("x-parley-unreachable") == "cm1"
    bench.respond(bench.node.requests[-1], 200)
    assert bench.statuses == [200]


async def test_redirects_come_to_an_end(bench: Bench) -> None:
    bench.follow_up("cm1")
    for number in range(MAX_REDIRECTS + 1):
        bench.respond(bench.node.requests[-1], 503, owner=("cm2", "cm3")[number % 2])

    assert bench.statuses == [503]
    assert not any(one.has("x-parley-owner") for one in bench.node.responses)


async def test_a_503_without_an_owner_ends_a_request_within_a_dialog(bench: Bench) -> None:
    bench.respond(bench.follow_up("cm1"), 503)

    assert bench.statuses == [503]
    assert len(bench.node.requests) == 1


async def test_who_cannot_tell_whose_a_call_is_leads_to_another_call_manager(bench: Bench) -> None:
    first = bench.follow_up("cm1", "INVITE")
    bench.respond(first, 100)
    bench.respond(first, 503, is_unknown=True)

    assert _hosts(bench) == ["cm1", _successor("cm2", "cm3")]
    assert _branch(bench.node.requests[-1]) == _branch(first)
    assert not bench.callmanagers.is_suspect("cm1", bench.clock.now())
    bench.respond(bench.node.requests[-1], 200)
    assert bench.statuses == [200]


async def test_when_nobody_can_tell_the_owner_is_asked_again_after_a_moment(bench: Bench) -> None:
    bench.follow_up("cm1", "INVITE")
    for _ in range(3):
        bench.respond(bench.node.requests[-1], 503, is_unknown=True)
    assert sorted(_hosts(bench)) == ["cm1", "cm2", "cm3"]

    bench.wait(UNKNOWN_PAUSE_S)
    assert _hosts(bench)[3:] == ["cm1"]
    assert _branch(bench.node.requests[-1]) == _branch(bench.node.requests[0])
    bench.respond(bench.node.requests[-1], 503, owner="cm2")
    bench.respond(bench.node.requests[-1], 200)
    assert _hosts(bench)[3:] == ["cm1", "cm2"]
    assert bench.statuses == [200]


async def test_nobody_can_tell_for_so_long_that_the_phone_hears_of_it(bench: Bench) -> None:
    bench.follow_up("cm1", "INVITE")
    began = bench.clock.now()
    answered = 0
    while not bench.statuses:
        for client in bench.node.requests[answered:]:
            bench.respond(client, 503, is_unknown=True)
            answered += 1
        bench.wait(UNKNOWN_PAUSE_S / 4)

    assert bench.statuses == [503]
    assert UNKNOWN_S - UNKNOWN_PAUSE_S <= bench.clock.now() - began <= UNKNOWN_S + UNKNOWN_PAUSE_S
    assert not any(one.has("x-parley-unknown") for one in bench.node.responses)


async def test_an_owner_that_cannot_tell_is_not_gone_back_to_at_once(bench: Bench) -> None:
    bench.follow_up("cm1")
    bench.respond(bench.node.requests[-1], 503, is_unknown=True)
    bench.respond(bench.node.requests[-1], 481)

    assert len(bench.node.requests) == 2
    assert bench.statuses == [481]


async def test_a_named_owner_that_cannot_tell_loses_the_call_that_it_does_not_have(
    bench: Bench,
) -> None:
    bench.follow_up("cm1", "INVITE")
    bench.respond(bench.node.requests[-1], 503, is_unknown=True)
    stand_in = bench.node.requests[-1].hop.host
    bench.respond(bench.node.requests[-1], 503, owner="cm1")
    assert not bench.node.requests[-1].request.has("x-parley-unreachable")
    bench.respond(bench.node.requests[-1], 503, is_unknown=True)

    assert bench.node.requests[-1].hop.host == stand_in
    assert bench.node.requests[-1].request.get("x-parley-unreachable") == "cm1"
    bench.respond(bench.node.requests[-1], 503, is_unknown=True)
    bench.wait(UNKNOWN_PAUSE_S)
    assert bench.node.requests[-1].hop.host == "cm1"
    assert not bench.node.requests[-1].request.has("x-parley-unreachable")


async def test_a_cancel_while_nobody_can_tell_is_sent_on(bench: Bench) -> None:
    server = bench.server()
    forwarding = Forwarding(server, is_inward=True, call_id="call-1", owner="cm1")
    bench.proxy.forward_inward(server.request.copy(), forwarding)
    for _ in range(3):
        bench.respond(bench.node.requests[-1], 503, is_unknown=True)
    bench.proxy.on_cancel(server, server.request)
    assert bench.node.cancelled == []

    bench.wait(UNKNOWN_PAUSE_S)
    assert bench.node.cancelled == [(bench.node.requests[-1], ())]


@pytest.mark.parametrize("status", [481, 503])
async def test_a_stand_in_that_cannot_tell_sends_a_request_back_to_its_slow_owner(
    bench: Bench, status: int
) -> None:
    bench.follow_up("cm1")
    bench.wait(SILENCE_S)
    bench.respond(bench.node.requests[-1], status)
    assert bench.statuses == []
    assert _hosts(bench)[-1] == "cm1"
    assert _branch(bench.node.requests[-1]) == _branch(bench.node.requests[0])
    bench.respond(bench.node.requests[-1], 200)
    assert bench.statuses == [200]


async def test_nobody_is_asked_more_than_a_few_times(bench: Bench) -> None:
    await bench.start(*(f"cm{number}" for number in range(1, 9)))
    client = bench.follow_up("cm1")
    while client.is_terminated is False:
        bench.fail(client, "transport")
        client = bench.node.requests[-1]

    assert len(bench.node.requests) == 4
    assert bench.statuses == [503]


async def test_a_closed_connection_makes_the_next_request_avoid_the_call_manager(
    bench: Bench,
) -> None:
    hop = bench.follow_up("cm1").hop
    bench.proxy.on_closed(hop)

    bench.follow_up("cm1")
    assert bench.node.requests[-1].hop.host == _successor("cm2", "cm3")


async def test_a_strangers_connection_from_its_address_says_nothing_of_a_call_manager(
    bench: Bench,
) -> None:
    hop = bench.follow_up("cm1").hop
    bench.proxy.on_closed(hop._replace(flow=7))

    bench.follow_up("cm1")
    assert bench.node.requests[-1].hop == hop


async def test_a_branch_that_is_still_in_use_is_replaced(bench: Bench) -> None:
    server = bench.server()
    bench.node.branches_in_use.add(bench.derivation.branch(server.request))

    assert _branch(bench.ring(server, PHONE)) == "z9hG4bKnew"


async def test_the_same_request_has_the_same_branch_at_every_edge() -> None:
    first, second = Bench(), Bench()
    one, other = first.ring(first.server(), PHONE), second.ring(second.server(), PHONE)

    assert _branch(one) == _branch(other)
    assert _branch(first.ring(first.server(), PHONE)) != _branch(one)
