"""Forwarding with a fake node: what a failed next hop is answered with, draining."""

import asyncio

import pytest
from tests.unit.edgeproxy.proxy_bench import PHONE, PHONE_TCP, Bench

from parley.edgeproxy.proxy.forwarding import Forwarding
from parley.sip.hop import Hop


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.start()
    return bench


async def test_response_goes_back_without_our_via(bench: Bench) -> None:
    client = bench.call(bench.server())

    for status in (100, 180, 200, 200):
        bench.respond(client, status)

    assert bench.statuses == [180, 200, 200]
    assert all("192.0.2.100" not in (one.get("via") or "") for one in bench.node.responses)


@pytest.mark.parametrize(
    ("hop", "cause", "method", "statuses"),
    [
        (PHONE_TCP, "transport", "INVITE", [430]),
        (PHONE_TCP, "transport", "BYE", [430]),
        (PHONE, "transport", "INVITE", [480]),
        (PHONE, "timeout", "INVITE", [408]),
        (PHONE, "timeout", "BYE", []),
    ],
)
async def test_phone_that_cannot_be_reached(
    bench: Bench, hop: Hop, cause: str, method: str, statuses: list[int]
) -> None:
    client = bench.ring(bench.server(method), hop)

    bench.fail(client, cause)

    assert bench.statuses == statuses


async def test_call_manager_that_cannot_be_reached_is_tried_once(bench: Bench) -> None:
    first = bench.call(bench.server())
    bench.fail(first, "transport")
    second = bench.node.requests[-1]
    bench.fail(second, "transport")

    assert (first.hop.host, second.hop.host) == ("cm1", "cm2")
    assert bench.statuses == [503]
    assert len(second.request.get_all("record-route")) == 2
    assert len(second.request.get_all("via")) == 2


async def test_cancelled_call_that_fails_is_ended_as_cancelled(bench: Bench) -> None:
    client = bench.call(bench.server())
    client.is_cancelled = True

    bench.fail(client, "timeout")

    assert bench.statuses == [487]


async def test_cancel_before_the_call_went_on_ends_it(bench: Bench) -> None:
    server = bench.server()

    bench.proxy.on_cancel(server, server.request)

    assert bench.statuses == [487]
    assert bench.node.cancelled == []


async def test_cancel_takes_its_reason_along(bench: Bench) -> None:
    server = bench.server()
    client = bench.call(server)
    cancel = server.request.copy()
    cancel.add("reason", 'SIP;cause=200;text="Call completed elsewhere"')

    bench.proxy.on_cancel(server, cancel)

    ((cancelled, headers),) = bench.node.cancelled
    assert cancelled is client
    assert headers == (("reason", 'SIP;cause=200;text="Call completed elsewhere"'),)


async def test_wait_for_idle_ends_with_the_last_answer(bench: Bench) -> None:
    first, second = bench.call(bench.server()), bench.ring(bench.server("BYE"), PHONE)
    waiting = asyncio.ensure_future(bench.proxy.wait_idle())
    bench.respond(first, 200)
    bench.respond(first, 200)
    await asyncio.sleep(0)
    assert not waiting.done()

    bench.fail(second, "timeout")

    await asyncio.wait_for(waiting, 5)


async def test_an_answered_call_leaves_no_way_back_to_what_it_used(bench: Bench) -> None:
    server = bench.server()
    client = bench.call(server)
    bench.respond(client, 200)
    bench.respond(client, 200)

    assert bench.statuses == [200, 200]
    assert server.user is None
    assert isinstance(client.user, Forwarding)
    assert client.user.client is None
