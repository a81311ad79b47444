import asyncio
import socket
from collections.abc import Iterator

import msgspec
import pytest

from parley.mediaengine import (
    Engine,
    EngineError,
    InvalidScene,
    OwnPort,
    PortsExhausted,
    StaleScene,
    UnknownSession,
)
from parley.model.media import Address
from parley.model.scene import Endpoint, Scene, Sdes, Source, SrtpKey, Stream, Transport

RTP = bytes([0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]) + b"\xd5" * 160


@pytest.fixture
def phones() -> Iterator[list[socket.socket]]:
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for phone in sockets:
        phone.bind(("127.0.0.1", 0))
        phone.settimeout(3)
    yield sockets
    for phone in sockets:
        phone.close()


def at(phone: socket.socket) -> Endpoint:
    return endpoint(Transport(Address(*phone.getsockname())))


def endpoint(transport: Transport) -> Endpoint:
    return Endpoint([Stream(0, transport)])


def echo(phone: socket.socket, timeout_s: float = 0.0) -> bytes:
    return Scene({"a": at(phone)}, {"a": [Source("a")]}, timeout_s).encode()


NOBODY = Scene({"a": endpoint(Transport())}).encode()


def test_media_is_relayed_as_the_scene_says(engine: Engine, phones: list[socket.socket]) -> None:
    legs = {"a": at(phones[0]), "b": at(phones[1])}
    scene = Scene(legs, {"a": [Source("b")], "b": [Source("a")]})
    (leg, index, to_a), (_, _, to_b) = engine.apply("s", 1, 1, scene.encode())
    assert (leg, index) == ("a", 0)
    engine.flush()
    phones[0].sendto(RTP, ("127.0.0.1", to_a))
    assert phones[1].recvfrom(2000) == (RTP, ("127.0.0.1", to_b))
    assert [report.leg for report in engine.report("s")] == ["a", "b"]
    stats, _ = engine.close("s")
    assert (stats.packets_received, stats.bytes_received, stats.rejected) == (1, len(RTP), 0)
    assert stats.last_packet_age_s is not None
    assert (engine.sessions, engine.streams) == (0, 0)


def test_an_echo_comes_back(engine: Engine, phones: list[socket.socket]) -> None:
    ((_, _, port),) = engine.apply("s", 1, 1, echo(phones[0]))
    engine.flush()
    phones[0].sendto(RTP, ("127.0.0.1", port))
    assert phones[0].recv(2000)[12:] == RTP[12:]


async def test_silence_wakes_the_event_loop_that_watches(
    engine: Engine, phones: list[socket.socket]
) -> None:
    loop = asyncio.get_running_loop()
    told = loop.create_future()
    loop.add_reader(engine.event_fd(), lambda: told.set_result(engine.drain_events()))
    engine.apply("s", 1, 1, echo(phones[0], timeout_s=0.02))
    engine.flush()
    assert await asyncio.wait_for(told, 3) == [("timed_out", "s", "a", False)]
    loop.remove_reader(engine.event_fd())


def test_an_exhausted_range_is_an_error_of_its_own(engine: Engine) -> None:
    free = engine.free_pairs
    with pytest.raises(PortsExhausted, match="32400-32439"):
        while True:
            engine.apply(str(engine.sessions), 1, 1, NOBODY)
    assert 0 < engine.sessions <= free


@pytest.mark.parametrize(
    "address", [("nowhere", 4000), ("224.0.0.1", 4000), ("192.0.2.1", 0), ("::1", 4000)]
)
def test_an_address_that_no_phone_can_have_is_refused(
    engine: Engine, address: tuple[str, int]
) -> None:
    scene = Scene({"a": endpoint(Transport(Address(*address)))})
    with pytest.raises(InvalidScene):
        engine.apply("s", 1, 1, scene.encode())
    assert engine.streams == 0


@pytest.mark.parametrize(
    "scene",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode({"endpoints": {"a": {"streams": [{"index": 256}]}}}),
        msgspec.msgpack.encode({"endpoints": {"a": {"streams": [{"colour": "red"}]}}}),
        msgspec.msgpack.encode({"media_timeout_s": float("nan")}),
        msgspec.msgpack.encode({"media_timeout_s": -1}),
    ],
)
def test_what_is_no_scene_is_refused(engine: Engine, scene: bytes) -> None:
    with pytest.raises(InvalidScene):
        engine.apply("s", 1, 1, scene)


def test_each_refusal_is_an_error_of_its_own(engine: Engine) -> None:
    with pytest.raises(UnknownSession):
        engine.apply("s", 1, 1, NOBODY, may_open=False)
    ((_, _, port),) = engine.apply("s", 2, 1, NOBODY)
    with pytest.raises(StaleScene, match="epoch 1 and revision 9 are older"):
        engine.apply("s", 1, 9, NOBODY)
    circle = Scene({"a": endpoint(Transport(Address("127.0.0.1", port)))})
    with pytest.raises(OwnPort):
        engine.apply("s", 2, 2, circle.encode())


def test_keys_are_read_and_told_to_nobody(engine: Engine, phones: list[socket.socket]) -> None:
    def keys(ours: bytes) -> Sdes:
        suite = "AEAD_AES_128_GCM"
        return Sdes(SrtpKey(suite, ours, b"s" * 12), SrtpKey(suite, b"t" * 16, b"s" * 12))

    told = Transport(Address(*phones[0].getsockname()), sdes=keys(b"k" * 16))
    scene = Scene({"a": endpoint(told)}, {"a": [Source("a")]})
    ((_, _, port),) = engine.apply("s", 1, 1, scene.encode())
    engine.flush()
    phones[0].sendto(RTP, ("127.0.0.1", port))
    phones[0].settimeout(0.1)
    with pytest.raises(TimeoutError):
        phones[0].recv(2000)
    (stats,) = engine.close("s")
    assert (stats.bad_auth, stats.packets_received) == (1, 0)
    short = Scene({"a": endpoint(Transport(sdes=keys(b"k" * 15)))})
    with pytest.raises(InvalidScene) as refused:
        engine.apply("s", 1, 1, short.encode())
    for text in (str(refused.value), repr(scene)):
        assert "kkk" not in text and "ttt" not in text


def test_an_address_that_others_know_it_by_is_its_own() -> None:
    engine = Engine("127.0.0.1", 32440, 32449, own=["192.0.2.7"])
    ((_, _, port),) = engine.apply("s", 1, 1, NOBODY)
    circle = Scene({"a": endpoint(Transport(Address("192.0.2.7", port + 1)))})
    with pytest.raises(OwnPort):
        engine.apply("t", 1, 1, circle.encode())
    engine.shut_down()


def test_a_closed_engine_refuses_everything_and_may_be_closed_again(engine: Engine) -> None:
    engine.apply("s", 1, 1, NOBODY)
    engine.shut_down()
    for call in (engine.close, engine.report):
        with pytest.raises(EngineError, match="closed"):
            call("s")
    with pytest.raises(EngineError, match="closed"):
        engine.apply("s", 1, 2, NOBODY)
    engine.shut_down()
    engine.flush()


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(EngineError):
        Engine("127.0.0.1", 32500, 32400)
    with pytest.raises(EngineError):
        Engine("somewhere", 32400, 32500)
    with pytest.raises(EngineError):
        Engine("127.0.0.1", 32400, 32500, quarantine_s=-1)
    with pytest.raises(EngineError):
        Engine("127.0.0.1", 32400, 32500, tick_s=float("nan"))
