"""What the engine is told of a session's streams, also when it fails."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

import pytest

from parley.mediaengine import Engine, EngineError
from parley.mediarelay.metrics import RelayMetrics
from parley.mediarelay.net_policy import NetPolicy
from parley.mediarelay.relay import Relay
from parley.model.media import (
    Address,
    Command,
    LegSpec,
    MediaEvent,
    MediaTimedOut,
    OpenSession,
    Reply,
    ReplyError,
    StreamSpec,
    UpdateSession,
)
from parley.service.metrics import Registry
from parley.service.settings import PortRange

RTP = bytes([0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]) + b"\xd5" * 160
RTCP = bytes([0x80, 200, 0, 6]) + bytes(24)
MakePhone = Callable[[], socket.socket]


class Frail:
    """An engine that can be made to fail.

    Attributes:
        is_failing: nothing is applied.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.is_failing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def apply(self, *arguments: Any) -> list[tuple[str, int, int]]:
        if self.is_failing:
            raise EngineError("out of order")
        return self._engine.apply(*arguments)


@pytest.fixture
def frail(engine: Engine) -> Frail:
    return Frail(engine)


@pytest.fixture
def relay(frail: Frail, registry: Registry) -> Relay:
    policy = NetPolicy("127.0.0.1", PortRange(32500, 32539))
    return Relay(cast(Engine, frail), "127.0.0.1", RelayMetrics(registry), policy)


def at(phone: socket.socket, index: int = 0) -> StreamSpec:
    return StreamSpec(index, Address(*phone.getsockname()))


def opening(a: StreamSpec, b: StreamSpec, timeout_s: float = 0.0) -> OpenSession:
    return OpenSession(
        "s", 1, legs=[LegSpec("a", [a]), LegSpec("b", [b])], media_timeout_s=timeout_s
    )


def moving(a: StreamSpec, b: StreamSpec, timeout_s: float | None = None) -> UpdateSession:
    return UpdateSession("s", 1, [LegSpec("a", [a]), LegSpec("b", [b])], timeout_s)


def one(relay: Relay, command: Command) -> Reply:
    (reply,) = relay.execute([command])
    return reply


def port(reply: Reply, name: str) -> int:
    (found,) = [leg for leg in reply.legs if leg.leg == name]
    return found.streams[0].rtp_port


def is_bridged(opened: Reply, a: socket.socket, b: socket.socket) -> bool:
    """Whether what one phone sends reaches the other, both ways."""
    for one, leg, other in ((a, "a", b), (b, "b", a)):
        one.sendto(RTP, ("127.0.0.1", port(opened, leg)))
        if other.recv(2000) != RTP:
            return False
    return True


def test_what_the_engine_did_not_take_is_done_by_a_repeat_and_by_nothing_else(
    relay: Relay, frail: Frail, phone: MakePhone
) -> None:
    a, b, new_a, new_b = (phone() for _ in range(4))
    opened = one(relay, opening(at(a), at(b)))
    command = moving(at(new_a), at(new_b), 5.0)
    frail.is_failing = True
    assert one(relay, command).error is ReplyError.INTERNAL
    frail.is_failing = False
    assert one(relay, UpdateSession("s", 1)).legs == opened.legs
    assert is_bridged(opened, a, b)
    assert one(relay, command).ok
    assert is_bridged(opened, new_a, new_b)


def test_a_session_that_the_engine_did_not_take_is_not_there(
    relay: Relay, frail: Frail, phone: MakePhone
) -> None:
    command = opening(at(phone()), at(phone()))
    frail.is_failing = True
    assert one(relay, command).error is ReplyError.INTERNAL
    frail.is_failing = False
    assert relay.sessions == 0
    assert one(relay, UpdateSession("s", 1)).error is ReplyError.UNKNOWN_SESSION
    assert one(relay, command).ok


def test_a_refused_command_of_a_new_owner_leaves_the_session_to_the_old_one(
    relay: Relay, phone: MakePhone
) -> None:
    opened = one(relay, opening(at(phone()), at(phone())))
    nonsense = LegSpec("b", [StreamSpec(99)])
    assert one(relay, UpdateSession("s", 7, [nonsense])).error is ReplyError.INVALID
    assert one(relay, UpdateSession("s", 1)).legs == opened.legs
    assert one(relay, UpdateSession("s", 7)).ok
    assert one(relay, UpdateSession("s", 1)).error is ReplyError.STALE_EPOCH


def test_a_phone_that_describes_itself_again_may_speak_from_another_port(
    relay: Relay, phone: MakePhone
) -> None:
    a, b, rebound = phone(), phone(), phone()
    private = StreamSpec(0, Address("10.255.255.1", 4000), learn_from=["127.0.0.1"])
    opened = one(relay, opening(private, at(b)))

    def speak(from_: socket.socket, ssrc: int) -> None:
        for sequence in range(4):
            packet = bytes([0x80, 0, 0, sequence, 0, 0, 0, 0, 0, 0, 0, ssrc]) + b"\xd5" * 160
            from_.sendto(packet, ("127.0.0.1", port(opened, "a")))

    speak(a, 1)
    assert b.recv(2000)[11] == 1
    speak(rebound, 2)
    b.settimeout(0.15)
    with pytest.raises(TimeoutError):
        b.recv(2000)
    b.settimeout(3)
    assert one(relay, UpdateSession("s", 1, [LegSpec("a", [private])])).ok
    speak(rebound, 2)
    assert b.recv(2000)[11] == 2


def test_another_time_out_changes_nothing_else(relay: Relay, phone: MakePhone) -> None:
    a, b, new_b, rtcp = (phone() for _ in range(4))
    here = Address(*a.getsockname())
    opened = one(relay, opening(StreamSpec(0, here, here), at(b)))
    moved = StreamSpec(0, Address(*new_b.getsockname()), Address(*rtcp.getsockname()))
    assert one(relay, UpdateSession("s", 1, [LegSpec("b", [moved])])).ok
    assert one(relay, UpdateSession("s", 1, [], 7.0)).ok
    assert is_bridged(opened, a, new_b)
    a.sendto(RTCP, ("127.0.0.1", port(opened, "a") + 1))
    assert rtcp.recv(2000) == RTCP


async def test_a_leg_whose_silence_was_told_is_sent_to_where_it_is_now(
    relay: Relay, phone: MakePhone
) -> None:
    a, b, new_b = phone(), phone(), phone()
    opened = one(relay, opening(at(a), at(b)))
    assert one(relay, UpdateSession("s", 1, [LegSpec("b", [at(new_b)])], 0.05)).ok
    events: asyncio.Queue[MediaEvent] = asyncio.Queue()
    relay.on_event(events.put_nowait)
    relay.start()
    legs: set[str] = set()
    while len(legs) < 2:
        event = await asyncio.wait_for(events.get(), 3)
        assert isinstance(event, MediaTimedOut)
        legs.add(event.leg)
    assert is_bridged(opened, a, new_b)
    relay.close()


def test_the_load_can_be_read_after_the_end(
    relay: Relay, phone: MakePhone, registry: Registry
) -> None:
    one(relay, opening(at(phone()), at(phone())))
    assert registry.value("parley_mediarelay_sessions") == 1
    assert registry.value("parley_mediarelay_free_port_pairs") == 18
    relay.close()
    assert b"parley_mediarelay_sessions 0.0" in registry.render()
    assert registry.value("parley_mediarelay_free_port_pairs") == 20
