import asyncio
import socket
from collections.abc import Iterator

import pytest

from parley.mediaengine import EndpointSpec, Engine, EngineError, PortsExhausted

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


def spec(phone: socket.socket, timeout_s: float = 0.0) -> EndpointSpec:
    return EndpointSpec(phone.getsockname(), timeout_s=timeout_s)


def test_media_is_relayed_between_bridged_endpoints(
    engine: Engine, phones: list[socket.socket]
) -> None:
    first, first_port = engine.open(spec(phones[0]))
    second, second_port = engine.open(spec(phones[1]), near=first)
    engine.bridge(first, second)
    engine.flush()
    phones[0].sendto(RTP, ("127.0.0.1", first_port))
    assert phones[1].recvfrom(2000) == (RTP, ("127.0.0.1", second_port))
    stats = engine.close(first)
    assert (stats.packets_received, stats.bytes_received, stats.rejected) == (1, len(RTP), 0)
    assert stats.last_packet_age_s is not None
    assert engine.endpoints == 1


def test_an_echo_comes_back(engine: Engine, phones: list[socket.socket]) -> None:
    endpoint, port = engine.open(spec(phones[0]))
    engine.echo(endpoint)
    engine.flush()
    phones[0].sendto(RTP, ("127.0.0.1", port))
    assert phones[0].recv(2000)[12:] == RTP[12:]


async def test_silence_wakes_the_event_loop_that_watches(
    engine: Engine, phones: list[socket.socket]
) -> None:
    loop = asyncio.get_running_loop()
    told = loop.create_future()
    loop.add_reader(engine.event_fd(), lambda: told.set_result(engine.drain_events()))
    endpoint, _ = engine.open(spec(phones[0], timeout_s=0.02))
    engine.flush()
    assert await asyncio.wait_for(told, 3) == [("timed_out", endpoint)]
    loop.remove_reader(engine.event_fd())
    assert engine.drain_events() == []


def test_an_exhausted_range_is_an_error_of_its_own(engine: Engine) -> None:
    free = engine.free_pairs
    opened = []
    with pytest.raises(PortsExhausted, match="32400-32439"):
        while True:
            opened.append(engine.open(EndpointSpec())[0])
    assert 0 < len(opened) <= free
    for endpoint in opened:
        engine.close(endpoint)
    engine.flush()


@pytest.mark.parametrize(
    "address", [("nowhere", 4000), ("224.0.0.1", 4000), ("192.0.2.1", 0), ("::1", 4000)]
)
def test_an_address_that_no_phone_can_have_is_refused(
    engine: Engine, address: tuple[str, int]
) -> None:
    with pytest.raises(EngineError):
        engine.open(EndpointSpec(address))
    assert engine.endpoints == 0


def test_values_beyond_their_type_are_refused() -> None:
    with pytest.raises(OverflowError):
        EndpointSpec(("192.0.2.1", 65536))
    with pytest.raises(EngineError):
        EndpointSpec(timeout_s=-1)
    with pytest.raises(EngineError):
        EndpointSpec(timeout_s=float("nan"))


def test_a_closed_engine_refuses_everything_and_may_be_closed_again(engine: Engine) -> None:
    endpoint, _ = engine.open(EndpointSpec())
    engine.shut_down()
    for call in (engine.close, engine.echo, engine.stats, engine.isolate):
        with pytest.raises(EngineError, match="closed"):
            call(endpoint)
    engine.shut_down()
    engine.flush()


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(EngineError):
        Engine("127.0.0.1", 32500, 32400)
    with pytest.raises(EngineError):
        Engine("somewhere", 32400, 32500)
