import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from parley.mediaengine import Engine
from parley.mediarelay.metrics import RelayMetrics
from parley.mediarelay.net_policy import NetPolicy
from parley.mediarelay.relay import Relay
from parley.model.media import (
    Address,
    CloseSession,
    Command,
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
from parley.service.metrics import Registry
from parley.service.settings import PortRange

RTP = bytes([0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]) + b"\xd5" * 160
MakePhone = Callable[[], socket.socket]


def stream(
    phone: socket.socket | None = None, index: int = 0, *, active: bool = True
) -> StreamSpec:
    remote = None if phone is None else Address(*phone.getsockname())
    return StreamSpec(index, remote, active=active)


def leg(name: str, *streams: StreamSpec) -> LegSpec:
    return LegSpec(name, list(streams))


def opening(*legs: LegSpec, epoch: int = 1, timeout_s: float = 0.0) -> OpenSession:
    return OpenSession("s", epoch, SessionMode.BRIDGE, list(legs), timeout_s)


def one(relay: Relay, command: Command) -> Reply:
    (reply,) = relay.execute([command])
    return reply


def rtp_port(reply: Reply, name: str, index: int = 0) -> int:
    (found,) = [leg for leg in reply.legs if leg.leg == name]
    return next(stream.rtp_port for stream in found.streams if stream.index == index)


def prove(phone: socket.socket, port: int) -> None:
    """The three packets before `RTP` by which a source that the SDP does not name is learnt."""
    for sequence in (b"\xff\xfe", b"\xff\xff", b"\0\0"):
        phone.sendto(RTP[:2] + sequence + RTP[4:], ("127.0.0.1", port))


def test_a_call_takes_three_commands_and_its_media_is_counted(
    relay: Relay, phone: MakePhone, registry: Registry
) -> None:
    a, b = phone(), phone()
    opened = one(relay, opening(leg("a", stream(a)), leg("b", stream())))
    updated = one(relay, UpdateSession("s", 1, [leg("b", stream(b))]))
    assert opened.ok
    assert updated.legs == opened.legs
    a.sendto(RTP, ("127.0.0.1", rtp_port(opened, "a")))
    assert b.recvfrom(2000) == (RTP, ("127.0.0.1", rtp_port(opened, "b")))
    b.sendto(RTP, ("127.0.0.1", rtp_port(opened, "b")))
    assert a.recvfrom(2000) == (RTP, ("127.0.0.1", rtp_port(opened, "a")))
    closed = one(relay, CloseSession("s", 1))
    assert [(s.leg, s.packets_received) for s in closed.stats] == [("a", 1), ("b", 1)]
    assert relay.sessions == 0
    assert registry.value("parley_mediarelay_packets_total", {"direction": "received"}) == 2


def test_the_rtcp_port_is_the_next_one(relay: Relay) -> None:
    (ports,) = one(relay, opening(leg("a", stream()))).legs
    (local,) = ports.streams
    assert local.rtp_port % 2 == 0
    assert local.rtcp_port == local.rtp_port + 1


def test_an_open_may_be_repeated(relay: Relay) -> None:
    command = opening(leg("a", stream()), leg("b", stream()))
    assert one(relay, command) == one(relay, command)
    assert relay.sessions == 1


def test_an_older_epoch_is_refused_and_a_newer_taken_over(relay: Relay) -> None:
    one(relay, opening(leg("a", stream()), epoch=5))
    for command in (opening(epoch=4), UpdateSession("s", 4), CloseSession("s", 4)):
        assert one(relay, command).error is ReplyError.STALE_EPOCH
    assert one(relay, UpdateSession("s", 6)).ok
    assert one(relay, CloseSession("s", 5)).error is ReplyError.STALE_EPOCH
    assert one(relay, CloseSession("s", 6)).ok


def test_what_is_not_there_can_be_closed_but_not_updated(relay: Relay) -> None:
    assert one(relay, UpdateSession("x", 1)).error is ReplyError.UNKNOWN_SESSION
    assert one(relay, CloseSession("x", 1)) == Reply("x", ok=True)


def test_an_update_can_add_a_stream(relay: Relay, phone: MakePhone) -> None:
    a, b = phone(), phone()
    one(relay, opening(leg("a", stream()), leg("b", stream())))
    legs = [leg("a", stream(a, index=1)), leg("b", stream(b, index=1))]
    reply = one(relay, UpdateSession("s", 1, legs))
    a.sendto(RTP, ("127.0.0.1", rtp_port(reply, "a", 1)))
    assert b.recv(2000) == RTP


def test_an_echo_session_answers_its_only_leg(relay: Relay, phone: MakePhone) -> None:
    a = phone()
    reply = one(relay, OpenSession("s", 1, SessionMode.ECHO, [leg("a", stream(a))]))
    a.sendto(RTP, ("127.0.0.1", rtp_port(reply, "a")))
    assert a.recv(2000)[12:] == RTP[12:]


def test_a_refused_open_leaves_nothing_behind(relay: Relay, engine: Engine) -> None:
    free = engine.free_pairs
    many = [stream(index=index) for index in range(16)]
    reply = one(relay, opening(leg("a", *many), leg("b", *many)))
    assert reply.error is ReplyError.PORTS_EXHAUSTED
    assert "32500-32539" in reply.detail
    assert (relay.sessions, engine.streams) == (0, 0)
    assert free > 0


def test_an_update_changes_all_that_it_names_or_nothing(
    relay: Relay, engine: Engine, phone: MakePhone
) -> None:
    a, b = phone(), phone()
    opened = one(relay, opening(leg("a", stream(a)), leg("b", stream(b))))
    free = engine.free_pairs
    elsewhere, more = phone(), [stream(index=index) for index in range(1, 16)]
    ours = StreamSpec(0, Address("127.0.0.1", rtp_port(opened, "a") + 1))
    changes = [
        ([leg("a", stream(elsewhere), *more), leg("b", *more)], ReplyError.PORTS_EXHAUSTED),
        ([leg("a", stream(elsewhere)), leg("b", StreamSpec(-1))], ReplyError.INVALID),
        ([leg("a", stream(elsewhere)), leg("b", ours)], ReplyError.ADDRESS_REFUSED),
    ]
    for legs, error in changes:
        assert one(relay, UpdateSession("s", 1, legs, 5.0)).error is error
        b.sendto(RTP, ("127.0.0.1", rtp_port(opened, "b")))
        assert a.recv(2000) == RTP
        assert one(relay, UpdateSession("s", 1)).legs == opened.legs
        assert engine.streams == 2
    assert free > 0
    assert len(one(relay, CloseSession("s", 1)).stats) == 2


def test_what_the_system_does_not_send_is_told_and_counted(
    relay: Relay, phone: MakePhone, registry: Registry
) -> None:
    a, echoed = phone(), phone()
    # Loopback's broadcast address: the system asks for a right that the socket has not got.
    nowhere = StreamSpec(0, Address("127.255.255.255", 4000))
    opened = one(relay, opening(leg("a", stream(a)), leg("b", nowhere)))
    a.sendto(RTP, ("127.0.0.1", rtp_port(opened, "a")))
    # The same thread does the one after the other.
    reply = one(relay, OpenSession("e", 1, SessionMode.ECHO, [leg("a", stream(echoed))]))
    echoed.sendto(RTP, ("127.0.0.1", rtp_port(reply, "a")))
    echoed.recv(2000)
    closed = one(relay, CloseSession("s", 1))
    assert [(stats.leg, stats.send_failed) for stats in closed.stats] == [("a", 0), ("b", 1)]
    assert registry.value("parley_mediarelay_packets_send_failed_total") == 1


def test_a_phone_behind_nat_in_a_forbidden_network_is_sent_nothing_before_it_was_heard(
    engine: Engine, registry: Registry, phone: MakePhone
) -> None:
    policy = NetPolicy("127.0.0.1", PortRange(32500, 32539), forbidden=["127.0.0.2"])
    relay = Relay(engine, "127.0.0.1", RelayMetrics(registry), policy)
    a, b, inside = phone(), phone(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inside.bind(("127.0.0.2", 0))
    inside.setblocking(False)
    with inside:
        remote = Address(*inside.getsockname())
        hidden = StreamSpec(0, remote, learn_from=["127.0.0.2", "127.0.0.1"])
        opened = one(relay, opening(leg("a", hidden), leg("b", stream(b))))
        inside.sendto(RTP, ("127.0.0.1", rtp_port(opened, "a")))
        b.sendto(RTP, ("127.0.0.1", rtp_port(opened, "b")))
        prove(a, rtp_port(opened, "a"))
        a.sendto(RTP, ("127.0.0.1", rtp_port(opened, "a")))
        assert b.recv(2000) == RTP
        b.sendto(RTP, ("127.0.0.1", rtp_port(opened, "b")))
        assert a.recv(2000) == RTP
        with pytest.raises(BlockingIOError):
            inside.recv(2000)
    alone = StreamSpec(0, remote, learn_from=["127.0.0.2"])
    refused = one(relay, OpenSession("t", 1, legs=[leg("a", alone)]))
    assert refused.error is ReplyError.ADDRESS_REFUSED


def test_a_phone_on_the_relay_s_machine_may_have_a_port_between_the_relay_s(
    relay: Relay, phone: MakePhone
) -> None:
    b = phone()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as a:
        a.bind(("127.0.0.1", 32520))
        a.settimeout(3)
        opened = one(relay, opening(leg("a", stream(a)), leg("b", stream(b))))
        b.sendto(RTP, ("127.0.0.1", rtp_port(opened, "b")))
        assert a.recv(2000) == RTP


def test_a_port_that_the_relay_opens_for_the_command_that_names_it_is_refused(
    registry: Registry, phone: MakePhone
) -> None:
    ports = PortRange(32540, 32543)
    with ExitStack() as stack:
        engine = Engine("127.0.0.1", *ports, quarantine_s=0)
        stack.callback(engine.shut_down)
        relay = Relay(engine, "127.0.0.1", RelayMetrics(registry), NetPolicy("127.0.0.1", ports))
        opened = one(relay, opening(leg("a", stream(phone()))))
        last = 32540 if rtp_port(opened, "a") == 32542 else 32542
        itself = StreamSpec(0, Address("127.0.0.1", last))
        refused = one(relay, UpdateSession("s", 1, [leg("b", itself)]))
        assert refused.error is ReplyError.ADDRESS_REFUSED
        assert engine.streams == 1
        assert one(relay, UpdateSession("s", 1)).legs == opened.legs


def test_a_phone_that_tells_its_machine_s_other_address_is_heard_from_loopback(
    relay: Relay, phone: MakePhone
) -> None:
    a, b = phone(), phone()
    remote = Address("192.0.2.1", a.getsockname()[1])
    told = StreamSpec(0, remote, learn_from=["192.0.2.1"])
    opened = one(relay, opening(leg("a", told), leg("b", stream(b))))
    prove(a, rtp_port(opened, "a"))
    a.sendto(RTP, ("127.0.0.1", rtp_port(opened, "a")))
    assert b.recv(2000) == RTP
    b.sendto(RTP, ("127.0.0.1", rtp_port(opened, "b")))
    assert a.recv(2000) == RTP


@pytest.mark.parametrize(
    "bad",
    [
        StreamSpec(0, Address("phone.example", 4000)),
        StreamSpec(0, Address("127.0.0.1", 0)),
        StreamSpec(0, Address("127.0.0.1", 70000)),
        StreamSpec(0, Address("::1", 4000)),
        StreamSpec(0, Address("239.1.1.1", 4000)),
        StreamSpec(0, Address("169.254.169.254", 80)),
        StreamSpec(0, remote_rtcp=Address("127.0.0.1", -1)),
    ],
)
def test_an_address_where_media_may_not_go_is_refused(
    relay: Relay, engine: Engine, bad: StreamSpec
) -> None:
    assert one(relay, opening(leg("a", bad))).error is ReplyError.ADDRESS_REFUSED
    assert (relay.sessions, engine.streams) == (0, 0)


@pytest.mark.parametrize(
    "bad",
    [
        StreamSpec(-1),
        StreamSpec(16),
        StreamSpec(0, clock_rate=0),
        StreamSpec(0, learn_from=["anywhere"]),
    ],
)
def test_nonsense_is_refused_and_harms_nothing(
    relay: Relay, engine: Engine, bad: StreamSpec
) -> None:
    assert one(relay, opening(leg("a", bad))).error is ReplyError.INVALID
    assert one(relay, opening(leg("", stream()))).error is ReplyError.INVALID
    assert one(relay, opening(timeout_s=-1.0)).error is ReplyError.INVALID
    assert one(relay, opening(leg("a"), leg("b"), leg("c"))).error is ReplyError.INVALID
    assert (relay.sessions, engine.streams) == (0, 0)


def test_a_session_keeps_its_mode(relay: Relay) -> None:
    one(relay, opening())
    assert one(relay, OpenSession("s", 1, SessionMode.ECHO)).error is ReplyError.INVALID


def test_a_bug_in_one_command_is_that_commands_error(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(relay._handlers, UpdateSession, lambda _: 1 / 0)
    replies = relay.execute([UpdateSession("s", 1), opening()])
    assert [reply.error for reply in replies] == [ReplyError.INTERNAL, None]


def test_a_draining_relay_keeps_its_sessions_and_takes_no_new_ones(relay: Relay) -> None:
    one(relay, opening())
    relay.is_draining = True
    assert one(relay, opening()).ok
    assert one(relay, OpenSession("t", 1)).error is ReplyError.DRAINING


class Listener:
    """The events of a relay, awaited one by one."""

    def __init__(self, relay: Relay) -> None:
        self._queue: asyncio.Queue[MediaEvent] = asyncio.Queue()
        relay.on_event(self._queue.put_nowait)
        relay.start()

    async def next(self) -> MediaEvent:
        return await asyncio.wait_for(self._queue.get(), 3)

    def is_empty(self) -> bool:
        return self._queue.empty()


async def test_silence_of_a_leg_is_told_once_both_sides_are_known(
    relay: Relay, phone: MakePhone
) -> None:
    events = Listener(relay)
    a, b = phone(), phone()
    one(relay, opening(leg("a", stream(a)), leg("b", stream()), timeout_s=0.03))
    held = leg("b", stream(b, active=False))
    one(relay, UpdateSession("s", 1, [held]))
    assert await events.next() == MediaTimedOut("s", "a")
    one(relay, UpdateSession("s", 1, [leg("b", stream(b))]))
    while (told := await events.next()) != MediaTimedOut("s", "b"):
        assert told == MediaTimedOut("s", "a", is_other_heard=True)
    relay.close()


async def test_silence_of_a_leg_is_told_again_and_whether_the_other_is_heard(
    relay: Relay, phone: MakePhone
) -> None:
    events = Listener(relay)
    a, b = phone(), phone()
    opened = one(relay, opening(leg("a", stream(a)), leg("b", stream(b)), timeout_s=0.6))
    loop = asyncio.get_running_loop()

    def talk() -> None:
        b.sendto(RTP, ("127.0.0.1", rtp_port(opened, "b")))

    for moment in range(30):
        loop.call_later(moment * 0.05, talk)
    assert await events.next() == MediaTimedOut("s", "a", is_other_heard=True)
    assert await events.next() == MediaTimedOut("s", "a", is_other_heard=True)
    # Now the other falls silent too; who has been so all the time is not taken for heard.
    while (told := await events.next()) == MediaTimedOut("s", "a", is_other_heard=True):
        pass
    assert told == MediaTimedOut("s", "b")
    assert await events.next() == MediaTimedOut("s", "a")
    relay.close()


async def test_a_leg_is_not_silent_while_one_of_its_streams_is_heard(
    relay: Relay, phone: MakePhone, engine: Engine
) -> None:
    events = Listener(relay)
    a = phone()
    legs = [leg("a", stream(a, index=0), stream(a, index=1))]
    opened = one(relay, OpenSession("s", 1, SessionMode.ECHO, legs, 0.2))
    heard = 0

    def talk() -> None:
        a.sendto(RTP, ("127.0.0.1", rtp_port(opened, "a", 1)))

    loop = asyncio.get_running_loop()
    for moment in range(10):
        loop.call_later(moment * 0.05, talk)
    assert await events.next() == MediaTimedOut("s", "a")
    heard = one(relay, CloseSession("s", 1)).stats[1].packets_received
    assert heard == 10
    relay.close()


async def test_a_dropped_session_is_told_as_lost(relay: Relay, engine: Engine) -> None:
    events = Listener(relay)
    one(relay, opening(leg("a", stream())))
    assert relay.is_silent("s", 60)
    relay.drop_all("nobody wants it")
    assert await events.next() == SessionLost("s", "nobody wants it")
    assert engine.streams == 0
    await asyncio.wait_for(relay.wait_empty(), 1)
    relay.close()


async def test_closing_the_relay_frees_everything_and_may_be_repeated(
    relay: Relay, engine: Engine
) -> None:
    relay.start()
    one(relay, opening(leg("a", stream())))
    relay.close()
    relay.close()
    assert (relay.sessions, engine.streams) == (0, 0)
    assert one(relay, opening(leg("a", stream()))).ok is False
