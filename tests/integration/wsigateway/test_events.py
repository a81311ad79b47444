"""The event stream, seen by a real WebSocket client."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.wsigateway.conftest import (
    NOW,
    WAIT_S,
    Open,
    Stream,
    ask,
    close_code,
    next_message,
)
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from parley.backing.db.tokens import TokenRepository
from parley.model.events import RegistrationAdded, encode_event
from parley.model.ids import InstanceId, TenantId
from parley.model.registration import Binding
from parley.testkit.contracts.arms import settled


async def test_a_tenant_gets_its_own_events_in_order(stream: Stream) -> None:
    async with stream.client("acme", "call") as client:
        for number in range(200):
            stream.publish("other", number)
            stream.publish("acme", number)
        events = [await next_message(client) for _ in range(200)]
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
        text = await asyncio.wait_for(client.recv(), WAIT_S)

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
        reply = await ask(client, action="subscribe", topics=["registration", "call"])
        assert reply == {
            "action": "subscribed",
            "topics": ["call", "registration"],
            "tenant": None,
        }
        reply = await ask(client, action="unsubscribe", topics=["registration"])
        assert reply["topics"] == ["call"]
        assert await ask(client, action="ping") == {"action": "pong"}


async def test_the_platform_gets_one_tenant_or_all(stream: Stream) -> None:
    async with (
        stream.client("platform") as one,
        stream.client("platform", "call") as everything,
    ):
        await ask(one, action="subscribe", topics=["call"], tenant="other")
        stream.publish("acme", 1)
        stream.publish("other", 2)
        assert (await next_message(one))["sequence"] == 2
        events = [await next_message(everything), await next_message(everything)]
        assert sorted(event["sequence"] for event in events) == [1, 2]


async def test_a_tenant_cannot_subscribe_to_another(stream: Stream) -> None:
    async with stream.client("acme") as client:
        reply = await ask(client, action="subscribe", topics=["call"], tenant="other")
        assert (reply["action"], reply["error"]) == ("error", "tenant-forbidden")
        stream.publish("other", 1)
        assert await ask(client, action="ping") == {"action": "pong"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"action":"dance"}', '{"action":"subscribe"}', "[" * 4000],
)
async def test_a_message_that_is_not_understood_is_an_error_and_no_end(
    stream: Stream, text: str
) -> None:
    async with stream.client("acme") as client:
        await client.send(text)
        reply = await next_message(client)
        assert (reply["action"], reply["error"]) == ("error", "malformed-message")
        assert await ask(client, action="ping") == {"action": "pong"}


async def test_a_token_in_the_url_counts_for_nothing(open_stream: Open) -> None:
    stream = await open_stream(auth_timeout_s=0.05)
    async with connect(f"{stream.url}?token={stream.secrets['acme']}", proxy=None) as client:
        assert await close_code(client) == 1008


async def test_a_token_may_come_in_the_first_message(stream: Stream) -> None:
    secret = stream.secrets["acme"]
    async with connect(stream.url, proxy=None) as client:
        reply = await ask(client, action="auth", token=secret)
        assert reply == {"action": "authenticated", "tenant": "acme"}


async def test_a_client_without_a_good_token_is_closed(open_stream: Open) -> None:
    stream = await open_stream(auth_timeout_s=0.1)
    wrong = {"Authorization": "Bearer wrong"}
    async with connect(stream.url, additional_headers=wrong, proxy=None) as client:
        assert await close_code(client) == 1008
    async with connect(stream.url, proxy=None) as client:
        await client.send('{"action":"subscribe","topics":["call"]}')
        assert await close_code(client) == 1008
    async with connect(stream.url, proxy=None) as client:
        assert await close_code(client) == 1008
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
        await next_message(client)
        await tokens.revoke(TenantId("acme"), token.id)
        assert await close_code(client) == 1008


async def test_a_record_that_is_no_event_harms_nobody(stream: Stream) -> None:
    async with stream.client("platform", "call") as client:
        for value in (b"", b"\xff", b"[]", b'{"tenantid":1}', b"{}"):
            stream.backing.bus.publish("call", "k", value)
        stream.publish("acme", 7)
        assert (await next_message(client))["sequence"] == 7
    assert stream.registry.value("parley_wsigateway_malformed_total") == 5


async def test_draining_sends_clients_to_another_instance(stream: Stream) -> None:
    async with stream.client("acme", "call") as client:
        draining = asyncio.ensure_future(stream.gateway.drain(WAIT_S))
        assert await close_code(client) == 1001
        await draining
    assert not stream.gateway.is_ready()


async def test_a_draining_instance_serves_on_and_tells_clients_to_go(open_stream: Open) -> None:
    stream = await open_stream(lame_duck_s=60.0)
    async with stream.client("acme", "call") as early:
        draining = asyncio.ensure_future(stream.gateway.drain(60.0))
        assert (await next_message(early))["action"] == "going-away"
        assert not stream.gateway.is_ready()
        async with stream.client("acme") as late:
            told = await next_message(late)
            assert (told["action"], 0 < told["closes_in_s"] <= 60) == ("going-away", True)
            await ask(late, action="subscribe", topics=["call"])
            stream.publish("acme", 5)
            assert (
                (await next_message(early))["sequence"]
                == (await next_message(late))["sequence"]
                == 5
            )
            draining.cancel()
            closing = asyncio.ensure_future(stream.gateway.aclose())
            assert await close_code(late) == await close_code(early) == 1001
            await closing


async def test_a_tenant_that_does_not_exist_cannot_be_subscribed_to(stream: Stream) -> None:
    async with stream.client("platform") as client:
        reply = await ask(client, action="subscribe", topics=["call"], tenant="nobody")
        assert (reply["action"], reply["error"]) == ("error", "tenant-not-found")


async def test_pages_of_unknown_origin_are_refused(open_stream: Open) -> None:
    stream = await open_stream(origins=("https://console.example",))
    own = f"http://127.0.0.1:{stream.gateway.server.port}"
    for origin in ("https://console.example", own):
        async with connect(stream.url, origin=Origin(origin), proxy=None):
            pass
    for origin in ("https://evil.example", "http://[", "null"):
        with pytest.raises(InvalidStatus) as caught:
            await connect(stream.url, origin=Origin(origin), proxy=None)
        assert caught.value.response.status_code == 403


async def test_an_event_that_two_subscriptions_want_arrives_once(stream: Stream) -> None:
    async with stream.client("platform", "call") as client:
        await ask(client, action="subscribe", topics=["call"], tenant="acme")
        stream.publish("acme", 1)
        stream.publish("acme", 2)
        assert [(await next_message(client))["sequence"] for _ in range(2)] == [1, 2]
        await ask(client, action="unsubscribe", topics=["call"])
        stream.publish("other", 3)
        stream.publish("acme", 4)
        assert (await next_message(client))["sequence"] == 4
