"""What the engine is told of a session's streams, also when it fails in between."""

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
        failing: methods, and how many of their calls succeed before one fails.
        updated: endpoints that were told something, in order.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.failing: dict[str, int] = {}
        self.updated: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def update(self, endpoint: int, spec: Any) -> None:
        self._fail_if_due("update")
        self._engine.update(endpoint, spec)
        self.updated.append(endpoint)

    def bridge(self, a: int, b: int) -> None:
        self._fail_if_due("bridge")
        self._engine.bridge(a, b)

    def _fail_if_due(self, method: str) -> None:
        left = self.failing.pop(method, None)
        if left == 0:
            raise EngineError("out of order")
        if left is not None:
            self.failing[method] = left - 1


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


def test_a_stream_that_the_engine_did_not_take_is_told_again_by_a_repeat(
    relay: Relay, frail: Frail, phone: MakePhone
) -> None:
    a, b, new_a, new_b = (phone() for _ in range(4))
    opened = one(relay, opening(at(a), at(b)))
    command = moving(at(new_a), at(new_b), 5.0)
    frail.failing["update"] = 1
    assert one(relay, command).error is ReplyError.INTERNAL
    frail.updated.clear()
    assert one(relay, command).ok
    assert len(frail.updated) == 2
    assert is_bridged(opened, new_a, new_b)


def test_a_time_out_that_the_engine_did_not_take_is_told_again_by_a_repeat(
    relay: Relay, frail: Frail, phone: MakePhone
) -> None:
    one(relay, opening(at(phone()), at(phone())))
    command = UpdateSession("s", 1, [], 5.0)
    frail.failing["update"] = 1
    assert one(relay, command).error is ReplyError.INTERNAL
    [told] = frail.updated
    assert one(relay, command).ok
    assert len(frail.updated) == 2 and told != frail.updated[1]
    assert one(relay, command).ok
    assert len(frail.updated) == 2


def test_a_change_that_the_engine_did_not_take_is_not_told_with_another_one(
    relay: Relay, frail: Frail, phone: MakePhone
) -> None:
    a, b, elsewhere = phone(), phone(), phone()
    opened = one(relay, opening(at(a), at(b)))
    frail.failing["update"] = 0
    command = UpdateSession("s", 1, [LegSpec("b", [at(elsewhere)])], 5.0)
    assert one(relay, command).error is ReplyError.INTERNAL
    assert one(relay, UpdateSession("s", 1)).ok
    assert frail.updated == []
    assert one(relay, UpdateSession("s", 1, [], 6.0)).ok
    assert len(frail.updated) == 2
    assert is_bridged(opened, a, b)


def test_a_stream_that_cannot_be_joined_to_its_peer_is_closed_again(
    relay: Relay, frail: Frail, phone: MakePhone, engine: Engine
) -> None:
    a, b = phone(), phone()
    command = opening(at(a), at(b))
    frail.failing["bridge"] = 0
    assert one(relay, command).error is ReplyError.INTERNAL
    assert (relay.sessions, engine.endpoints) == (0, 0)
    opened = one(relay, command)
    more = UpdateSession("s", 1, [LegSpec(leg, [StreamSpec(1)]) for leg in ("a", "b")])
    frail.failing["bridge"] = 0
    assert one(relay, more).error is ReplyError.INTERNAL
    assert engine.endpoints == 2
    assert one(relay, UpdateSession("s", 1)).legs == opened.legs
    assert is_bridged(opened, a, b)


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
