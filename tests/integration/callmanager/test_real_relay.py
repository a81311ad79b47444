"""Calls whose media goes through the real relay, in the same process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from parley.backing.db.tenants import TenantRepository
from parley.backing.media.direct import DirectMediaControl
from parley.mediaengine import Engine
from parley.mediarelay.metrics import RelayMetrics
from parley.mediarelay.net_policy import NetPolicy
from parley.mediarelay.relay import Relay
from parley.model.media import LegSpec, OpenSession, StreamSpec
from parley.model.tenant import TenantSettings
from parley.sdp import parse_sdp
from parley.service.metrics import Registry
from parley.service.settings import PortRange
from parley.sip.transaction import AckReceived

RTP = bytes.fromhex("8000000100000000deadbeef") + b"\x55" * 160


@pytest.fixture
def relay() -> Iterator[Relay]:
    engine = Engine("127.0.0.1", 32600, 32639, quarantine_s=0, tick_s=0.01)
    policy = NetPolicy("127.0.0.1", PortRange(32600, 32639))
    relay = Relay(engine, "127.0.0.1", RelayMetrics(Registry()), policy)
    yield relay
    relay.close()


@pytest.fixture
def ears() -> Iterator[tuple[socket.socket, socket.socket]]:
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for ear in made:
        ear.bind(("127.0.0.1", 0))
        ear.setblocking(False)
    yield made[0], made[1]
    for ear in made:
        ear.close()


async def hear(speaker: socket.socket, port: int, listener: socket.socket) -> bytes:
    """Sends packets until one arrives at the other end: the first may only teach the source."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(5):
        while True:
            speaker.sendto(RTP, ("127.0.0.1", port))
            try:
                async with asyncio.timeout(0.1):
                    return await loop.sock_recv(listener, 2000)
            except TimeoutError:
                continue


@asynccontextmanager
async def talking(speaker: socket.socket, port: int) -> AsyncIterator[None]:
    """Sends packets at intervals."""

    async def talk() -> None:
        while True:
            speaker.sendto(RTP, ("127.0.0.1", port))
            await asyncio.sleep(0.02)

    task = asyncio.create_task(talk())
    try:
        yield
    finally:
        task.cancel()


@pytest.fixture
async def manager(world: Any, relay: Relay) -> Any:
    """With the relay in the same process."""
    return await world.start_manager(media=DirectMediaControl(relay))


async def test_audio_goes_through_the_relay_and_is_counted(
    world: Any, ann: Any, bob: Any, make_sdp: Any, ears: Any
) -> None:
    ann.call("1002", make_sdp("127.0.0.1", ears[0].getsockname()[1]))
    invite = await bob.request()
    bob.respond(200, make_sdp("127.0.0.1", ears[1].getsockname()[1]))
    answer = await ann.response()
    ann.ack()
    await bob.handler.next(AckReceived)
    for_ann = parse_sdp(answer.body).media[0].port
    for_bob = parse_sdp(invite.body).media[0].port
    assert await hear(ears[0], for_ann, ears[1]) == RTP
    assert await hear(ears[1], for_bob, ears[0]) == RTP
    ann.ask("BYE")
    await bob.request()
    bob.respond(200)
    ended = await world.wait_event("call.ended")
    assert sorted(stream.leg for stream in ended.data.media) == ["a", "b"]
    assert all(stream.packets_received for stream in ended.data.media)


@pytest.mark.usefixtures("bob")
async def test_an_offer_that_points_inside_is_answered_488(
    ann: Any, make_sdp: Any, relay: Relay
) -> None:
    [other] = relay.execute([OpenSession("other", 1, legs=[LegSpec("a", [StreamSpec(0)])])])
    relay_s_own = other.legs[0].streams[0].rtp_port
    for ip, port in (("169.254.169.254", 80), ("127.0.0.1", relay_s_own), ("::1", 4000)):
        ann.call("1002", make_sdp(ip, port))
        assert (await ann.response()).status == 488
    assert relay.session_ids == ["other"]


@pytest.fixture
async def for_ann(world: Any, relay: Relay, ann: Any, bob: Any, make_sdp: Any, ears: Any) -> int:
    """The port that Ann sends to in a call of a tenant that waits 1 s for media."""
    settings = TenantSettings(media_timeout_s=1.0)
    await TenantRepository(world.backing.db).update(world.tenant, settings=lambda _: settings)
    relay.start()
    ann.call("1002", make_sdp("127.0.0.1", ears[0].getsockname()[1]))
    await bob.request()
    bob.respond(200, make_sdp("127.0.0.1", ears[1].getsockname()[1]))
    answer = await ann.response()
    ann.ack()
    await bob.handler.next(AckReceived)
    return parse_sdp(answer.body).media[0].port


async def test_a_held_call_without_music_lives_on(
    world: Any, ann: Any, bob: Any, for_ann: int, make_sdp: Any, ears: Any
) -> None:
    async with talking(ears[0], for_ann):
        ann.ask("INVITE", make_sdp("127.0.0.1", 4000, "sendonly"))
        while (await bob.request()).method == "OPTIONS":
            bob.respond(200)
        bob.respond(200, make_sdp("127.0.0.1", 5000, "recvonly"))
        assert (await ann.response()).status == 200
    ann.ack(cseq=2)
    await bob.handler.next(AckReceived)
    # Another call falls silent later, and ends for it.
    carl = await world.phone("1001", "phone-of-carl")
    carl.call("999", make_sdp("127.0.0.1", 4100))
    await carl.response()
    carl.ack()
    assert (await carl.request()).method == "BYE"
    carl.respond(200)
    ended = await world.wait_event("call.ended")
    assert ended.data.call_id == carl.call_id
    assert ann.handler.events.empty()
    ann.ask("BYE")
    assert (await bob.request()).method == "BYE"
    bob.respond(200)
    await world.wait_event("call.ended")


async def test_a_muted_phone_is_asked_and_a_silent_call_ends(
    world: Any, bob: Any, for_ann: int, ears: Any
) -> None:
    async with talking(ears[0], for_ann):
        for _ in range(2):
            assert (await bob.request()).method == "OPTIONS"
            bob.respond(200)
    while (request := await bob.request()).method == "OPTIONS":
        bob.respond(200)
    assert request.method == "BYE"
    bob.respond(200)
    ended = await world.wait_event("call.ended")
    assert ended.data.termination.reason == "media-timeout"


async def test_the_echo_is_heard(manager: Any, ann: Any, make_sdp: Any, ears: Any) -> None:
    ann.call("999", make_sdp("127.0.0.1", ears[0].getsockname()[1]))
    answer = await ann.response()
    ann.ack()
    port = parse_sdp(answer.body).media[0].port
    # The echo speaks with a source (SSRC) of its own.
    assert (await hear(ears[0], port, ears[0]))[12:] == RTP[12:]
    ann.ask("BYE")
    await ann.response()
    async with asyncio.timeout(5):
        await manager.calls.wait_idle()
