"""What a client may cost the gateway, and other clients."""

import socket
from contextlib import ExitStack

import httpx2
import pytest
from tests.integration.wsigateway.conftest import Open, ask, close_code, next_message
from websockets.asyncio.client import connect

from parley.testkit.contracts.arms import settled


async def test_messages_of_clients_are_bounded(open_stream: Open) -> None:
    stream = await open_stream(max_messages_per_s=10)
    async with stream.client("acme") as client:
        await client.send("x" * 5000)
        assert await close_code(client) == 1009
    async with stream.client("acme") as client:
        await client.send(b"binary")
        assert await close_code(client) == 1003
    async with stream.client("acme") as client:
        for _ in range(30):
            await client.send('{"action":"ping"}')
        assert await close_code(client) == 1008


async def test_a_client_that_reads_too_slowly_is_closed_with_1013(open_stream: Open) -> None:
    stream = await open_stream(queue_events=50)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.settimeout(5)
    slow.connect(("127.0.0.1", stream.gateway.server.port))
    slow.setblocking(False)
    headers = {"Authorization": f"Bearer {stream.secrets['acme']}"}
    async with (
        stream.client("acme", "call") as quick,
        connect(
            stream.url, sock=slow, proxy=None, max_queue=1, additional_headers=headers
        ) as client,
    ):
        await next_message(client)
        await ask(client, action="subscribe", topics=["call"])
        closed = {"code": "1013"}
        for number in range(400):
            stream.publish("acme", number, caller="x" * 20_000)
            assert (await next_message(quick))["sequence"] == number
        assert await close_code(client) == 1013
        await settled(lambda: stream.registry.value("parley_wsigateway_closed_total", closed) == 1)
        stream.publish("acme", 400)
        assert (await next_message(quick))["sequence"] == 400


async def test_further_connections_are_told_to_come_later(open_stream: Open) -> None:
    stream = await open_stream(max_connections=1)
    headers = {"Authorization": f"Bearer {stream.secrets['other']}"}
    async with (
        stream.client("acme"),
        connect(stream.url, additional_headers=headers, proxy=None) as second,
    ):
        assert await close_code(second) == 1013
    await settled(lambda: stream.registry.value("parley_wsigateway_connections") == 0)
    async with stream.client("acme"):
        pass


async def test_one_tenant_does_not_take_the_places_of_others(open_stream: Open) -> None:
    stream = await open_stream(max_connections_per_tenant=2)
    headers = {"Authorization": f"Bearer {stream.secrets['acme']}"}
    async with (
        stream.client("acme"),
        stream.client("acme"),
        connect(stream.url, additional_headers=headers, proxy=None) as third,
    ):
        assert await close_code(third) == 1013
        async with stream.client("other"), stream.client("platform"):
            pass
    await settled(lambda: stream.registry.value("parley_wsigateway_connections") == 0)
    async with stream.client("acme"):
        pass


async def test_requests_that_never_end_make_room_for_each_other(open_stream: Open) -> None:
    stream = await open_stream(max_waiting_per_source=2)
    place = ("127.0.0.1", stream.gateway.server.port)
    with ExitStack() as stack:
        begun = [stack.enter_context(socket.create_connection(place, 5)) for _ in range(6)]
        for sock in begun:
            sock.sendall(b"GET /v1/events HTTP/1.1\r\n")
        async with stream.client("acme"):
            assert stream.gateway.server.connections <= 2


async def test_whoever_opens_sockets_and_says_nothing_closes_his_own(open_stream: Open) -> None:
    stream = await open_stream(max_waiting=3, max_waiting_per_source=2)
    async with (
        connect(stream.url, proxy=None) as first,
        connect(stream.url, proxy=None),
        connect(stream.url, proxy=None, local_addr=("127.0.0.2", 0)) as another,
        connect(stream.url, proxy=None),
        stream.client("acme") as known,
    ):
        assert await close_code(first) == 1013
        assert await ask(known, action="ping") == {"action": "pong"}
        reply = await ask(another, action="auth", token=stream.secrets["other"])
        assert reply["action"] == "authenticated"
        await settled(lambda: stream.registry.value("parley_wsigateway_waiting") <= 2)


@pytest.mark.parametrize("path", ["/", "/v1/events"])
async def test_who_opens_the_address_in_a_browser_is_told_what_is_here(
    open_stream: Open, path: str
) -> None:
    stream = await open_stream()
    async with httpx2.AsyncClient() as browser:
        response = await browser.get(f"http://127.0.0.1:{stream.gateway.server.port}{path}")
    assert (response.status_code, response.headers["upgrade"]) == (426, "websocket")
    assert "/v1/events" in response.text
