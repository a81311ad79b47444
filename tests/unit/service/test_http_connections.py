"""What unknown clients may cost an HTTP server, over real sockets."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from parley.service.http import HttpServer
from parley.service.http_connections import HttpLimits, vouch
from parley.testkit.contracts.arms import settled

_HOST = "127.0.0.1"
_WAIT_S = 10.0
_FAR_S = 60.0

Serve = Callable[..., Awaitable[HttpServer]]
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        if scope["query_string"]:
            await _say_farewell(scope["query_string"], send)
            return
        while (await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": "heard"})
        return
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/known":
        vouch(scope)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    size = int(scope["query_string"] or b"0")
    if scope["path"] != "/at-once":
        await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
        size = 3
    await send({"type": "http.response.body", "body": b"x" * size})


async def _say_farewell(how: bytes, send: Any) -> None:
    if how == b"close":
        await send({"type": "websocket.close"})
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            while True:
                await send({"type": "websocket.send", "bytes": b"x" * 1_000_000})


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[HttpServer] = []

    async def start(**limits: Any) -> HttpServer:
        server = HttpServer(_app, _HOST, 0, name="test", limits=HttpLimits(**limits))
        await server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.aclose()


async def _answer(server: HttpServer, text: bytes) -> bytes:
    """All that the server says to this text until it closes."""
    reader, writer = await asyncio.open_connection(_HOST, server.port)
    writer.write(text)
    try:
        return await asyncio.wait_for(reader.read(), _WAIT_S)
    except ConnectionResetError:
        return b""
    finally:
        await _closed(writer)


async def _connected(server: HttpServer, host: str) -> Client:
    """Connects from an address of this machine."""
    async with asyncio.timeout(_WAIT_S):
        return await asyncio.open_connection(_HOST, server.port, limit=1024, local_addr=(host, 0))


async def _unread(server: HttpServer, host: str) -> Client:
    """Asks for more than the kernel keeps and reads the beginning only."""
    reader, writer = await _connected(server, host)
    writer.write(b"GET /?50000000 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await asyncio.wait_for(reader.readexactly(12), _WAIT_S) == b"HTTP/1.1 200"
    return reader, writer


async def _served(server: HttpServer, host: str, path: bytes = b"/") -> Client:
    """Asks from an address and keeps the connection."""
    reader, writer = await _connected(server, host)
    await _ask(reader, writer, path)
    return reader, writer


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: bytes) -> None:
    writer.write(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
    assert b"200" in await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), _WAIT_S)


async def _is_cut(client: Client) -> bool:
    """Reads to the end of a connection, which must come before that of a keep-alive."""
    with suppress(ConnectionError):
        while await asyncio.wait_for(client[0].read(1 << 20), 2.0):
            pass
    return True


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf"],
)
async def test_a_request_that_does_not_come_is_given_up(serve: Serve, begun: bytes) -> None:
    server = await serve(head_timeout_s=0.05, request_timeout_s=0.05)

    assert await _answer(server, begun) == b""


@pytest.mark.parametrize("path", [b"/", b"/at-once"])
@pytest.mark.parametrize("kept", [b"keep-alive", b"close"])
async def test_a_response_that_is_not_read_is_given_up(
    serve: Serve, path: bytes, kept: bytes
) -> None:
    server = await serve(request_timeout_s=1.0)
    size = 50_000_000
    reader, writer = await asyncio.open_connection(_HOST, server.port, limit=1024)
    writer.write(b"GET %b?%d HTTP/1.1\r\nHost: a\r\nConnection: %b\r\n\r\n" % (path, size, kept))
    assert await reader.readexactly(12) == b"HTTP/1.1 200"
    await settled(lambda: not server.connections)

    got = 0
    while chunk := await asyncio.wait_for(reader.read(1 << 20), _WAIT_S):
        got += len(chunk)

    assert got < size
    await _closed(writer)


async def test_a_large_head_is_refused(serve: Serve) -> None:
    server = await serve(max_head_bytes=2048)
    filler = b"".join(b"X-%d: %s\r\n" % (n, b"x" * 1000) for n in range(10))

    answer = await _answer(server, _GET.removesuffix(b"\r\n") + filler + b"\r\n")

    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


async def test_silent_sockets_keep_nobody_out(serve: Serve) -> None:
    server = await serve(max_connections=10, head_timeout_s=_FAR_S)
    silent = [await asyncio.open_connection(_HOST, server.port) for _ in range(25)]

    answer = await _answer(server, _GET)
    oldest = await asyncio.wait_for(silent[0][0].read(), _WAIT_S)

    assert answer.startswith(b"HTTP/1.1 200")
    assert oldest == b""
    for _, writer in silent:
        await _closed(writer)


@pytest.mark.parametrize("begin", [_connected, _unread, _served])
async def test_connections_of_one_source_make_room_for_each_other(
    serve: Serve, begin: Callable[[HttpServer, str], Awaitable[Client]]
) -> None:
    server = await serve(max_strangers_per_source=2, head_timeout_s=_FAR_S)
    other = await begin(server, "127.0.0.2")
    clients = [await begin(server, _HOST) for _ in range(2)]
    await settled(lambda: server.connections == 3)

    clients.append(await _served(server, _HOST))

    assert await _is_cut(clients[0])
    assert server.connections == 3
    for _, writer in (other, *clients):
        await _closed(writer)


async def test_clients_that_do_not_read_keep_nobody_out(serve: Serve) -> None:
    server = await serve(max_connections=3, request_timeout_s=_FAR_S)
    unread = [await _unread(server, f"127.0.0.{number}") for number in range(2, 5)]

    newcomer = await _served(server, _HOST)

    assert await _is_cut(unread[0])
    for _, writer in (newcomer, *unread):
        await _closed(writer)


async def test_who_proved_himself_makes_room_for_no_stranger(serve: Serve) -> None:
    server = await serve(max_connections=4, head_timeout_s=_FAR_S)
    known = [await _served(server, _HOST, b"/known") for _ in range(2)]
    strangers = [await _connected(server, _HOST) for _ in range(5)]

    for client in known:
        await _ask(*client, b"/")
    for client in strangers[:3]:
        assert await _is_cut(client)
    for _, writer in (*known, *strangers):
        await _closed(writer)


async def test_the_known_make_room_for_a_newcomer_when_they_are_alone(serve: Serve) -> None:
    server = await serve(max_connections=2)
    known = [await _served(server, _HOST, b"/known") for _ in range(2)]

    newcomer = await _served(server, _HOST)

    assert await _is_cut(known[0])
    for _, writer in (newcomer, *known):
        await _closed(writer)


async def test_the_known_make_room_first_when_they_keep_more_than_half(serve: Serve) -> None:
    server = await serve(max_connections=4, head_timeout_s=_FAR_S)
    known = [await _served(server, _HOST, b"/known") for _ in range(4)]
    newcomers = [await _connected(server, _HOST) for _ in range(2)]

    for client in known[:2]:
        assert await _is_cut(client)
    for client in newcomers:
        await _ask(*client, b"/")
    for _, writer in (*known, *newcomers):
        await _closed(writer)


async def test_known_clients_that_do_not_read_keep_nobody_out(serve: Serve) -> None:
    server = await serve(max_connections=3, request_timeout_s=_FAR_S)
    known = [await _served(server, _HOST, b"/known") for _ in range(3)]
    for reader, writer in known:
        writer.write(b"GET /known?50000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(12), _WAIT_S) == b"HTTP/1.1 200"

    newcomer = await _served(server, _HOST)

    assert await _is_cut(known[0])
    for _, writer in (newcomer, *known):
        await _closed(writer)


async def test_who_does_not_prove_himself_again_is_a_stranger(serve: Serve) -> None:
    server = await serve(max_connections=4, max_strangers_per_source=2, head_timeout_s=_FAR_S)
    known = [await _served(server, _HOST, b"/known") for _ in range(4)]
    for client in known[:3]:
        await _ask(*client, b"/")

    assert await _is_cut(known[0])  # the third stranger of this source is one too many
    newcomers = [await _served(server, "127.0.0.2") for _ in range(2)]
    assert await _is_cut(known[1])
    await _ask(*known[3], b"/known")
    for _, writer in (*newcomers, *known):
        await _closed(writer)


async def test_a_connection_serves_one_request_after_the_other(serve: Serve) -> None:
    server = await serve(max_connections=1)
    reader, writer = await asyncio.open_connection(_HOST, server.port)
    for _ in range(3):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200" in await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), _WAIT_S)
    await _closed(writer)


async def test_a_large_websocket_message_is_refused_before_it_is_read(serve: Serve) -> None:
    server = await serve(max_message_bytes=4096)
    async with connect(f"ws://{_HOST}:{server.port}/", proxy=None) as client:
        assert client.protocol.extensions == []
        # The head of a masked frame that announces 20 MiB, and nothing of it.
        client.transport.write(b"\x81\xff" + (20 << 20).to_bytes(8, "big") + os.urandom(4))
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(client.recv(), _WAIT_S)
        assert client.close_code == 1009


async def test_a_message_in_endless_fragments_is_refused(serve: Serve) -> None:
    server = await serve(max_message_bytes=4096)

    async with connect(f"ws://{_HOST}:{server.port}/", proxy=None) as client:
        mask = b"\x00" * 4
        client.transport.write(b"\x01\x80" + mask + (b"\x00\x80" + mask) * 100)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(client.recv(), _WAIT_S)
        assert client.close_code == 1009


@pytest.mark.parametrize("farewell", [b"close", b"flood"])
async def test_a_websocket_that_has_ended_is_gone_whatever_its_client_does(
    serve: Serve, farewell: bytes
) -> None:
    server = await serve(max_message_bytes=4096)
    reader, writer = await asyncio.open_connection(_HOST, server.port, limit=1024)
    writer.write(_UPGRADE.replace(b"/", b"/?" + farewell, 1))
    assert b"101" in await asyncio.wait_for(reader.readline(), _WAIT_S)

    assert server._server is not None
    state = server._server.server_state
    await settled(lambda: not state.connections)

    await _closed(writer)


async def test_what_comes_before_the_upgrade_is_answered_harms_nothing(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve(max_message_bytes=4096, max_head_bytes=2048)
    reader, writer = await asyncio.open_connection(_HOST, server.port)
    writer.write(_UPGRADE + b"\x81\xff" + b"x" * 20_000)

    assert b"101" in await asyncio.wait_for(reader.readline(), _WAIT_S)
    assert caplog.records == []
    await _closed(writer)


async def test_a_server_without_websockets_takes_none(serve: Serve) -> None:
    server = await serve()
    handshake = _GET.replace(b"Connection: close", b"Connection: upgrade\r\nUpgrade: websocket")

    reader, writer = await asyncio.open_connection(_HOST, server.port)
    writer.write(handshake)

    assert (await asyncio.wait_for(reader.readline(), _WAIT_S)).startswith(b"HTTP/1.1 200")
    await _closed(writer)
