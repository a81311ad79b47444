"""What every `MediaControl` does, with a real relay behind it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from parley.backing.media.base import MediaControl
from parley.backing.media.direct import DirectMediaControl
from parley.backing.media.grpc import GrpcMediaControl
from parley.mediarelay.app import GrpcFront, RelayService
from parley.mediarelay.settings import MediaRelaySettings
from parley.model.media import (
    Address,
    ApplyScene,
    CloseSession,
    LegSpec,
    MediaEvent,
    MediaTimedOut,
    OpenSession,
    Reply,
    ReplyError,
    SessionLost,
    SessionMode,
    StreamSpec,
    UpdateSession,
)
from parley.model.scene import Endpoint, Scene, Source, Stream, Transport
from parley.service.clock import SystemClock
from parley.service.metrics import Registry
from parley.service.settings import PortRange

RTP = bytes([0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]) + b"\xd5" * 160


@dataclass(slots=True)
class Media:
    """A media control, the relay behind it and the events it has told."""

    control: MediaControl
    service: RelayService
    events: asyncio.Queue[MediaEvent] = field(default_factory=asyncio.Queue)

    async def next_event(self) -> MediaEvent:
        return await asyncio.wait_for(self.events.get(), 3)


@asynccontextmanager
async def in_process(service: RelayService) -> AsyncIterator[MediaControl]:
    yield DirectMediaControl(service.relay)


@asynccontextmanager
async def over_grpc(service: RelayService) -> AsyncIterator[MediaControl]:
    settings = MediaRelaySettings.load(grpc_port=0)
    front = GrpcFront(service.relay, settings, SystemClock())
    await front.start()
    control = GrpcMediaControl([f"127.0.0.1:{front.port}"], "cm-1")
    await control.start()
    try:
        async with asyncio.timeout(5):
            await control.wait_ready()
        yield control
    finally:
        await control.aclose()
        await front.aclose()


@pytest.fixture(params=[in_process, over_grpc], ids=["direct", "grpc"])
async def media(request: pytest.FixtureRequest) -> AsyncIterator[Media]:
    settings = MediaRelaySettings.load(rtp_ports=PortRange(32540, 32579), quarantine_s=0)
    service = RelayService(settings, Registry())
    await service.start()
    try:
        async with request.param(service) as control:
            media = Media(control, service)
            control.on_event(media.events.put_nowait)
            await control.start()
            yield media
    finally:
        await service.aclose()


@pytest.fixture
def phones() -> Iterator[list[socket.socket]]:
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for phone in sockets:
        phone.bind(("127.0.0.1", 0))
        phone.settimeout(3)
    yield sockets
    for phone in sockets:
        phone.close()


def leg(name: str, phone: socket.socket | None = None) -> LegSpec:
    remote = None if phone is None else Address(*phone.getsockname())
    return LegSpec(name, [StreamSpec(0, remote, learn_from=["127.0.0.1"])])


def port(reply: Reply, name: str) -> int:
    return next(leg.streams[0].rtp_port for leg in reply.legs if leg.leg == name)


async def test_a_call_is_opened_answered_and_closed(
    media: Media, phones: list[socket.socket]
) -> None:
    a, b = phones
    opened = await media.control.execute(OpenSession("s", 1, legs=[leg("a", a), leg("b")]))
    updated = await media.control.execute(UpdateSession("s", 1, [leg("b", b)]))
    assert opened.ok and updated.legs == opened.legs
    a.sendto(RTP, ("127.0.0.1", port(opened, "a")))
    assert b.recvfrom(2000) == (RTP, ("127.0.0.1", port(opened, "b")))
    b.sendto(RTP, ("127.0.0.1", port(opened, "b")))
    assert a.recvfrom(2000) == (RTP, ("127.0.0.1", port(opened, "a")))
    closed = await media.control.execute(CloseSession("s", 1))
    assert [(stats.leg, stats.packets_received) for stats in closed.stats] == [("a", 1), ("b", 1)]
    assert media.service.relay.sessions == 0


async def test_an_echo_comes_back(media: Media, phones: list[socket.socket]) -> None:
    command = OpenSession("s", 1, SessionMode.ECHO, [leg("a", phones[0])])
    reply = await media.control.execute(command)
    phones[0].sendto(RTP, ("127.0.0.1", port(reply, "a")))
    assert phones[0].recv(2000)[12:] == RTP[12:]


async def test_commands_may_be_repeated(media: Media) -> None:
    command = OpenSession("s", 1, legs=[leg("a"), leg("b")])
    assert await media.control.execute(command) == await media.control.execute(command)
    close = CloseSession("s", 1)
    assert (await media.control.execute(close)).stats != []
    assert (await media.control.execute(close)).ok


async def test_an_older_epoch_is_refused(media: Media) -> None:
    await media.control.execute(OpenSession("s", 2, legs=[leg("a")]))
    refused = await media.control.execute(UpdateSession("s", 1, [leg("a")]))
    assert (refused.ok, refused.error) == (False, ReplyError.STALE_EPOCH)
    assert (await media.control.execute(UpdateSession("s", 3, [leg("a")]))).ok


async def test_refusals_are_replies(media: Media) -> None:
    unknown = await media.control.execute(UpdateSession("x", 1))
    assert unknown.error is ReplyError.UNKNOWN_SESSION
    legs = [LegSpec(name, [StreamSpec(index) for index in range(16)]) for name in "ab"]
    exhausted = await media.control.execute(OpenSession("y", 1, legs=legs))
    assert exhausted.error is ReplyError.PORTS_EXHAUSTED
    assert exhausted.detail
    nonsense = LegSpec("a", [StreamSpec(16)])
    invalid = await media.control.execute(OpenSession("z", 1, legs=[nonsense]))
    assert invalid.error is ReplyError.INVALID
    inside = LegSpec("a", [StreamSpec(0, Address("169.254.169.254", 80))])
    refused = await media.control.execute(OpenSession("z", 1, legs=[inside]))
    assert refused.error is ReplyError.ADDRESS_REFUSED
    assert media.service.relay.sessions == 0


async def test_silence_is_told(media: Media, phones: list[socket.socket]) -> None:
    legs = [leg("a", phones[0])]
    await media.control.execute(OpenSession("s", 1, SessionMode.ECHO, legs, 0.02))
    assert await media.next_event() == MediaTimedOut("s", "a")


async def test_a_session_that_the_relay_drops_is_told_as_lost(media: Media) -> None:
    await media.control.execute(OpenSession("s", 1, legs=[leg("a")]))
    media.service.relay.drop("s", "a reason")
    lost = await media.next_event()
    assert isinstance(lost, SessionLost)
    assert (lost.session_id, lost.reason) == ("s", "a reason")


async def test_many_commands_at_once_each_get_their_own_reply(media: Media) -> None:
    commands = [OpenSession(f"s{n}", 1, legs=[leg("a")]) for n in range(10)]
    replies = await asyncio.gather(*map(media.control.execute, commands))
    assert [reply.session_id for reply in replies] == [f"s{n}" for n in range(10)]
    assert len({port(reply, "a") for reply in replies}) == 10


def calling(*phones: socket.socket, timeout_s: float = 0.0) -> Scene:
    """One phone hears itself, two each other."""
    ends = {
        leg: Endpoint([Stream(0, Transport(Address(*phone.getsockname())))])
        for leg, phone in zip("ab", phones, strict=False)
    }
    hears = {leg: [Source(other)] for leg, other in zip(ends, reversed(ends), strict=True)}
    return Scene(ends, hears, timeout_s)


async def test_a_scene_says_who_hears_whom(media: Media, phones: list[socket.socket]) -> None:
    a, b = phones
    apply = ApplyScene("s", 1, 1, calling(a), may_open=True)
    alone = await media.control.execute(apply)
    assert await media.control.execute(apply) == alone
    a.sendto(RTP, ("127.0.0.1", port(alone, "a")))
    assert a.recv(2000)[12:] == RTP[12:]
    both = await media.control.execute(ApplyScene("s", 1, 2, calling(a, b)))
    assert port(both, "a") == port(alone, "a")
    b.sendto(RTP, ("127.0.0.1", port(both, "b")))
    assert a.recv(2000)[12:] == RTP[12:]
    closed = await media.control.execute(CloseSession("s", 1))
    assert [(s.leg, s.packets_received) for s in closed.stats] == [("a", 1), ("b", 1)]


async def test_of_scenes_the_newest_counts_and_a_new_owner_s_before_all(
    media: Media, phones: list[socket.socket]
) -> None:
    a, b = phones
    first, second = calling(a), calling(a, b)
    execute = media.control.execute
    assert (await execute(ApplyScene("s", 1, 5, first, may_open=True))).ok
    for stale in (ApplyScene("s", 1, 4, second), ApplyScene("s", 0, 9, second)):
        assert (await execute(stale)).error is ReplyError.STALE_EPOCH
    assert (await execute(ApplyScene("s", 2, 0, first))).ok
    assert (await execute(ApplyScene("s", 1, 6, second))).error is ReplyError.STALE_EPOCH
    assert (await execute(CloseSession("s", 1))).error is ReplyError.STALE_EPOCH
    assert (await execute(UpdateSession("s", 3))).ok, "an owner of the version before adopts it"
    assert (await execute(ApplyScene("s", 2, 7, second))).error is ReplyError.STALE_EPOCH
    piece = UpdateSession("s", 3, [LegSpec("a", [StreamSpec(0)])])
    assert (await execute(piece)).error is ReplyError.INVALID


async def test_a_scene_that_is_refused_changes_nothing(
    media: Media, phones: list[socket.socket]
) -> None:
    a, b = phones
    execute = media.control.execute
    unknown = await execute(ApplyScene("s", 1, 1, calling(a)))
    assert unknown.error is ReplyError.UNKNOWN_SESSION
    opened = await execute(ApplyScene("s", 1, 1, calling(a), may_open=True))
    forbidden = Stream(0, Transport(Address("169.254.169.254", 80)))
    nobody = Scene(calling(a).endpoints, {"a": [Source("nobody")]})
    inside = Scene({"a": Endpoint([forbidden])})
    ours = Scene({"a": Endpoint([Stream(0, Transport(Address("127.0.0.1", port(opened, "a"))))])})
    for scene, error in (
        (nobody, ReplyError.INVALID),
        (inside, ReplyError.ADDRESS_REFUSED),
        (ours, ReplyError.ADDRESS_REFUSED),
    ):
        assert (await execute(ApplyScene("s", 1, 2, scene))).error is error
    a.sendto(RTP, ("127.0.0.1", port(opened, "a")))
    assert a.recv(2000)[12:] == RTP[12:]


async def test_the_silence_of_a_scene_s_leg_is_told(
    media: Media, phones: list[socket.socket]
) -> None:
    scene = calling(phones[0], timeout_s=0.05)
    assert (await media.control.execute(ApplyScene("s", 1, 1, scene, may_open=True))).ok
    assert await media.next_event() == MediaTimedOut("s", "a")
