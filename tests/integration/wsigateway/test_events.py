"""The event stream, seen by a real WebSocket client."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from parley.backing.db.provisioning import NewTenant, provision_tenant
from parley.backing.db.tokens import TokenRepository
from parley.backing.factory import Backing, Port, create_backing
from parley.backing.settings import BackingSettings
from parley.model.events import CallProgress, CallUpdated, RegistrationAdded, encode_event
from parley.model.ids import CallId, InstanceId, TenantId
from parley.model.registration import Binding
from parley.service.clock import SystemClock
from parley.service.metrics import Registry
from parley.testkit.contracts.arms import settled
from parley.wsigateway.app import WsiGateway, create_app
from parley.wsigateway.settings import WsiGatewaySettings

_WAIT_S = 5.0
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
            assert (await _next(client))["action"] == "authenticated"
            if topics:
                await _ask(client, action="subscribe", topics=topics)
            yield client


async def _next(client: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), _WAIT_S))
    return message


async def _ask(client: ClientConnection, **message: object) -> dict[str, Any]:
    await client.send(json.dumps(message))
    return await _next(client)


async def _close_code(client: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed):
        while True:
            await asyncio.wait_for(client.recv(), _WAIT_S)
    return client.close_code


Open = Callable[..., Awaitable[Stream]]


@pytest.fixture
async def open_stream(tmp_path: Path) -> AsyncIterator[Open]:
    clock = SystemClock()
    backing = create_backing(
        Port.DATABASE | Port.BUS, BackingSettings.load(data=tmp_path, is_durable=False), clock
    )
    gateways: list[WsiGateway] = []
    await backing.start()
    tokens = TokenRepository(backing.db)
    secrets = {"platform": (await tokens.create("p"))[0]}
    for name in ("acme", "other"):
        new = NewTenant(name=name, domains=[f"{name}.example"], id=TenantId(name))
        await provision_tenant(backing.db, new)
        secrets[name] = (await tokens.create("t", TenantId(name)))[0]

    async def open_with(**settings: Any) -> Stream:
        registry = Registry()
        gateway = create_app(WsiGatewaySettings.load(port=0, **settings), backing, clock, registry)
        gateways.append(gateway)
        await gateway.start()
        return Stream(gateway, backing, registry, secrets)

    yield open_with
    for gateway in gateways:
        await gateway.aclose()
    await backing.aclose()


@pytest.fixture
async def stream(open_stream: Open) -> Stream:
    return await open_stream(lame_duck_s=0.0)


async def test_a_tenant_gets_its_own_events_in_order(stream: Stream) -> None:
    async with stream.client("acme", "call") as client:
        for number in range(200):
            stream.publish("other", number)
            stream.publish("acme", number)
        events = [await _next(client) for _ in range(200)]
        assert [event["sequence"] for event in events] == list(range(200))
        assert {event["tenantid"] for event in events} == {"acme"}


async def test_an_event_shows_nothing_of_our_own(stream: Stream) -> None:
    binding = Binding(
        aor="sip:101@acme.example",
        contact="sip:ü@192.0.2.1",
        path=["<sip:token@edge-7.internal;lr>"],
        expires_at=NOW.timestamp(),
        call_id="c",
        cseq=1,
        edge=InstanceId("edge-7"),
        source="192.0.2.1",
    )
    event = RegistrationAdded(
        id="e1",
        source="edge-7",
        time=NOW,
        subject=binding.aor,
        tenantid=TenantId("acme"),
        data=binding,
    )
    async with stream.client("acme", "registration") as client:
        stream.backing.bus.publish("registration", "k", encode_event(event))
        text = await asyncio.wait_for(client.recv(), _WAIT_S)

    assert "edge-7" not in str(text)
    assert "token" not in str(text)
    assert json.loads(text)["data"] == {
        "aor": "sip:101@acme.example",
        "contact": "sip:ü@192.0.2.1",
        "expires_at": "2026-11-01T12:00:00Z",
        "user_agent": "",
        "source": "192.0.2.1",
    }


async def test_the_answers_name_what_is_subscribed(stream: Stream) -> None:
    async with stream.client("acme") as client:
        reply = await _ask(client, action="subscribe", topics=["registration", "call"])
        assert reply == {
            "action": "subscribed",
            "topics": ["call", "registration"],
            "tenant": None,
        }
        reply = await _ask(client, action="unsubscribe", topics=["registration"])
        assert reply["topics"] == ["call"]
        assert await _ask(client, action="ping") == {"action": "pong"}


async def test_the_platform_gets_one_tenant_or_all(stream: Stream) -> None:
    async with (
        stream.client("platform") as one,
        stream.client("platform", "call") as everything,
    ):
        await _ask(one, action="subscribe", topics=["call"], tenant="other")
        stream.publish("acme", 1)
        stream.publish("other", 2)
        assert (await _next(one))["sequence"] == 2
        events = [await _next(everything), await _next(everything)]
        assert sorted(event["sequence"] for event in events) == [1, 2]


async def test_a_tenant_cannot_subscribe_to_another(stream: Stream) -> None:
    async with stream.client("acme") as client:
        reply = await _ask(client, action="subscribe", topics=["call"], tenant="other")
        assert (reply["action"], reply["error"]) == ("error", "tenant-forbidden")
        stream.publish("other", 1)
        assert await _ask(client, action="ping") == {"action": "pong"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"action":"dance"}', '{"action":"subscribe"}', "[" * 4000],
)
async def test_a_message_that_is_not_understood_is_an_error_and_no_end(
    stream: Stream, text: str
) -> None:
    async with stream.client("acme") as client:
        await client.send(text)
        reply = await _next(client)
        assert (reply["action"], reply["error"]) == ("error", "malformed-message")
        assert await _ask(client, action="ping") == {"action": "pong"}


async def test_a_token_in_the_url_counts_for_nothing(open_stream: Open) -> None:
    stream = await open_stream(auth_timeout_s=0.05)
    async with connect(f"{stream.url}?token={stream.secrets['acme']}", proxy=None) as client:
        assert await _close_code(client) == 1008


async def test_a_token_may_come_in_the_first_message(stream: Stream) -> None:
    secret = stream.secrets["acme"]
    async with connect(stream.url, proxy=None) as client:
        reply = await _ask(client, action="auth", token=secret)
        assert reply == {"action": "authenticated", "tenant": "acme"}


async def test_a_client_without_a_good_token_is_closed(open_stream: Open) -> None:
    stream = await open_stream(auth_timeout_s=0.1)
    wrong = {"Authorization": "Bearer wrong"}
    async with connect(stream.url, additional_headers=wrong, proxy=None) as client:
        assert await _close_code(client) == 1008
    async with connect(stream.url, proxy=None) as client:
        await client.send('{"action":"subscribe","topics":["call"]}')
        assert await _close_code(client) == 1008
    async with connect(stream.url, proxy=None) as client:
        assert await _close_code(client) == 1008
    await settled(lambda: stream.registry.value("parley_wsigateway_connections") == 0)
    closed = stream.registry.value("parley_wsigateway_closed_total", {"code": "1008"})
    assert closed == 3


async def test_a_revoked_token_ends_the_connection(open_stream: Open) -> None:
    stream = await open_stream(recheck_s=0.02)
    tokens = TokenRepository(stream.backing.db)
    soon = datetime.now(UTC) + timedelta(hours=1)  # noqa: TID251 - the database's clock is real
    secret, token = await tokens.create("t", TenantId("acme"), expires_at=soon)
    headers = {"Authorization": f"Bearer {secret}"}
    async with connect(stream.url, additional_headers=headers, proxy=None) as client:
        await _next(client)
        await tokens.revoke(TenantId("acme"), token.id)
        assert await _close_code(client) == 1008


async def test_messages_of_clients_are_bounded(open_stream: Open) -> None:
    stream = await open_stream(max_messages_per_s=10)
    async with stream.client("acme") as client:
        await client.send("x" * 5000)
        assert await _close_code(client) == 1009
    async with stream.client("acme") as client:
        await client.send(b"binary")
        assert await _close_code(client) == 1003
    async with stream.client("acme") as client:
        for _ in range(30):
            await client.send('{"action":"ping"}')
        assert await _close_code(client) == 1008


async def test_a_client_that_reads_too_slowly_is_closed_with_1013(open_stream: Open) -> None:
    stream = await open_stream(queue_events=50)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", stream.gateway.server.port))
    slow.setblocking(False)
    headers = {"Authorization": f"Bearer {stream.secrets['acme']}"}
    async with (
        stream.client("acme", "call") as quick,
        connect(
            stream.url, sock=slow, proxy=None, max_queue=1, additional_headers=headers
        ) as client,
    ):
        await _next(client)
        await _ask(client, action="subscribe", topics=["call"])
        closed = {"code": "1013"}
        for number in range(400):
            stream.publish("acme", number, caller="x" * 20_000)
            assert (await _next(quick))["sequence"] == number
        assert await _close_code(client) == 1013
        await settled(lambda: stream.registry.value("parley_wsigateway_closed_total", closed) == 1)
        stream.publish("acme", 400)
        assert (await _next(quick))["sequence"] == 400


async def test_further_connections_are_told_to_come_later(open_stream: Open) -> None:
    stream = await open_stream(max_connections=1)
    headers = {"Authorization": f"Bearer {stream.secrets['other']}"}
    async with (
        stream.client("acme"),
        connect(stream.url, additional_headers=headers, proxy=None) as second,
    ):
        assert await _close_code(second) == 1013
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
        assert await _close_code(third) == 1013
        async with stream.client("other"), stream.client("platform"):
            pass
    await settled(lambda: stream.registry.value("parley_wsigateway_connections") == 0)
    async with stream.client("acme"):
        pass


async def test_a_record_that_is_no_event_harms_nobody(stream: Stream) -> None:
    async with stream.client("platform", "call") as client:
        for value in (b"", b"\xff", b"[]", b'{"tenantid":1}', b"{}"):
            stream.backing.bus.publish("call", "k", value)
        stream.publish("acme", 7)
        assert (await _next(client))["sequence"] == 7
    assert stream.registry.value("parley_wsigateway_malformed_total") == 5


async def test_draining_sends_clients_to_another_instance(stream: Stream) -> None:
    async with stream.client("acme", "call") as client:
        draining = asyncio.ensure_future(stream.gateway.drain(_WAIT_S))
        assert await _close_code(client) == 1001
        await draining
    assert not stream.gateway.is_ready()


async def test_a_draining_instance_serves_on_and_tells_clients_to_go(open_stream: Open) -> None:
    stream = await open_stream(lame_duck_s=60.0)
    async with stream.client("acme", "call") as early:
        draining = asyncio.ensure_future(stream.gateway.drain(60.0))
        assert (await _next(early))["action"] == "going-away"
        assert not stream.gateway.is_ready()
        async with stream.client("acme") as late:
            told = await _next(late)
            assert (told["action"], 0 < told["closes_in_s"] <= 60) == ("going-away", True)
            await _ask(late, action="subscribe", topics=["call"])
            stream.publish("acme", 5)
            assert (await _next(early))["sequence"] == (await _next(late))["sequence"] == 5
            draining.cancel()
            closing = asyncio.ensure_future(stream.gateway.aclose())
            assert await _close_code(late) == await _close_code(early) == 1001
            await closing


async def test_whoever_opens_sockets_and_says_nothing_closes_his_own(open_stream: Open) -> None:
    stream = await open_stream(max_waiting=3, max_waiting_per_source=2)
    async with (
        connect(stream.url, proxy=None) as first,
        connect(stream.url, proxy=None),
        connect(stream.url, proxy=None, local_addr=("127.0.0.2", 0)) as another,
        connect(stream.url, proxy=None),
        stream.client("acme") as known,
    ):
        assert await _close_code(first) == 1013
        assert await _ask(known, action="ping") == {"action": "pong"}
        reply = await _ask(another, action="auth", token=stream.secrets["other"])
        assert reply["action"] == "authenticated"
        await settled(lambda: stream.registry.value("parley_wsigateway_waiting") <= 2)


async def test_a_tenant_that_does_not_exist_cannot_be_subscribed_to(stream: Stream) -> None:
    async with stream.client("platform") as client:
        reply = await _ask(client, action="subscribe", topics=["call"], tenant="nobody")
        assert (reply["action"], reply["error"]) == ("error", "tenant-not-found")


async def test_pages_of_unknown_origin_are_refused(open_stream: Open) -> None:
    stream = await open_stream(origins=("https://console.example",))
    own = f"http://127.0.0.1:{stream.gateway.server.port}"
    for origin in ("https://console.example", own):
        async with connect(stream.url, origin=Origin(origin), proxy=None):
            pass
    with pytest.raises(InvalidStatus) as caught:
        await connect(stream.url, origin=Origin("https://evil.example"), proxy=None)
    assert caught.value.response.status_code == 403


async def test_an_event_that_two_subscriptions_want_arrives_once(stream: Stream) -> None:
    async with stream.client("platform", "call") as client:
        await _ask(client, action="subscribe", topics=["call"], tenant="acme")
        stream.publish("acme", 1)
        stream.publish("acme", 2)
        assert [(await _next(client))["sequence"] for _ in range(2)] == [1, 2]
        await _ask(client, action="unsubscribe", topics=["call"])
        stream.publish("other", 3)
        stream.publish("acme", 4)
        assert (await _next(client))["sequence"] == 4
