"""Clients without a token at the API's port, beside one that has shown his."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest
from tests.integration.restgateway.conftest import Api

from parley.restgateway.app import RestGateway
from parley.restgateway.settings import RestGatewaySettings
from parley.service.clock import SystemClock
from parley.service.metrics import Registry

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PAGE = "/static-offline-docs/swagger-ui-bundle.js"


@pytest.fixture
async def gateway(api: Api) -> AsyncIterator[RestGateway]:
    settings = RestGatewaySettings.load(
        port=0, max_connections=8, max_source_strangers=3, lame_duck_s=0
    )
    gateway = RestGateway(settings, api.backing, SystemClock(), Registry())
    await gateway.start()
    yield gateway
    await gateway.aclose()


async def connected(gateway: RestGateway, stack: AsyncExitStack) -> Client:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", gateway.server.port))
    reader, writer = await asyncio.open_connection(sock=sock)
    stack.push_async_callback(closed, writer)
    return reader, writer


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def is_served(client: Client, headers: dict[str, str]) -> bool:
    """Asks for a tenant; False when the connection ends instead."""
    reader, writer = client
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HEAD /v1/tenants/acme HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode())
    try:
        async with asyncio.timeout(10.0):
            return b" 200 " in await reader.readuntil(b"\r\n\r\n")
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


async def test_clients_that_read_no_page_keep_nobody_out(api: Api, gateway: RestGateway) -> None:
    async with AsyncExitStack() as stack:
        customer = await connected(gateway, stack)
        assert await is_served(customer, api.acme)
        for _ in range(8):
            _, writer = await connected(gateway, stack)
            writer.write(f"GET {PAGE} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

        # Until the server has found out who does not read, a newcomer of their address may fail.
        async with asyncio.timeout(10.0):
            while not await is_served(await connected(gateway, stack), api.acme):
                pass
        assert gateway.server.connections <= 2 + 3
        assert await is_served(customer, api.acme)
