"""A gateway, its clients and what it is told."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from parley.backing.db.provisioning import NewTenant, provision_tenant
from parley.backing.db.tokens import TokenRepository
from parley.backing.factory import Backing, Port
from parley.model.events import CallProgress, CallUpdated, encode_event
from parley.model.ids import CallId, InstanceId, TenantId
from parley.service.clock import SystemClock
from parley.service.metrics import Registry
from parley.testkit.backing import in_memory
from parley.wsigateway.app import WsiGateway, create_app
from parley.wsigateway.settings import WsiGatewaySettings

WAIT_S = 5.0
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SOURCE = InstanceId("callmanager-1")


@dataclass
class Stream:
    """A running gateway and secrets of tokens by name: `platform`, `acme`, `other`."""

    gateway: WsiGateway
    backing: Backing
    registry: Registry
    secrets: dict[str, str]

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.gateway.server.port}/v1/events"

    def publish(self, tenant: str, number: int, caller: str = "101") -> None:
        progress = CallProgress(
            call_id=CallId("c1"), caller=caller, dialled="102", started_at=NOW, owner=SOURCE
        )
        event = CallUpdated(
            id=str(number),
            source=SOURCE,
            time=NOW,
            subject="c1",
            tenantid=TenantId(tenant),
            sequence=number,
            data=progress,
        )
        self.backing.bus.publish("call", f"{tenant}-key", encode_event(event))

    @asynccontextmanager
    async def client(self, token: str, *topics: str) -> AsyncIterator[ClientConnection]:
        headers = {"Authorization": f"Bearer {self.secrets[token]}"}
        async with connect(self.url, additional_headers=headers, proxy=None) as client:
            assert (await next_message(client))["action"] == "authenticated"
            if topics:
                await ask(client, action="subscribe", topics=topics)
            yield client


async def next_message(client: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), WAIT_S))
    return message


async def ask(client: ClientConnection, **message: object) -> dict[str, Any]:
    await client.send(json.dumps(message))
    return await next_message(client)


async def close_code(client: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed):
        while True:
            await asyncio.wait_for(client.recv(), WAIT_S)
    return client.close_code


Open = Callable[..., Awaitable[Stream]]


@pytest.fixture
async def open_stream() -> AsyncIterator[Open]:
    clock = SystemClock()
    async with in_memory(Port.DATABASE | Port.BUS, clock) as backing, AsyncExitStack() as stack:
        tokens = TokenRepository(backing.db)
        secrets = {"platform": (await tokens.create("p"))[0]}
        for name in ("acme", "other"):
            new = NewTenant(name=name, domains=[f"{name}.example"], id=TenantId(name))
            await provision_tenant(backing.db, new)
            secrets[name] = (await tokens.create("t", TenantId(name)))[0]

        async def open_with(**values: Any) -> Stream:
            registry = Registry()
            settings = WsiGatewaySettings.load(port=0, **values)
            gateway = create_app(settings, backing, clock, registry)
            stack.push_async_callback(gateway.aclose)
            await gateway.start()
            return Stream(gateway, backing, registry, secrets)

        yield open_with


@pytest.fixture
async def stream(open_stream: Open) -> Stream:
    return await open_stream(lame_duck_s=0.0)
