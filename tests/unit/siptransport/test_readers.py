"""Both ways to read datagrams bring the same."""

import socket
from collections.abc import Callable, Iterator

import pytest

from parley.sip.datagrams import DatagramReader
from parley.sip.hop import Hop
from parley.siptransport.udp import PlainReader, Reader

FLOW = 3
MakeReader = Callable[[socket.socket], Reader]


@pytest.fixture(params=["127.0.0.1", "::1"])
def receiver(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((request.param, 0))
        yield sock


@pytest.fixture
def sender(receiver: socket.socket) -> Iterator[socket.socket]:
    with socket.socket(receiver.family, socket.SOCK_DGRAM) as sock:
        sock.connect(receiver.getsockname())
        yield sock


@pytest.fixture(
    params=[
        lambda sock: DatagramReader(sock.fileno(), FLOW),
        lambda sock: PlainReader(sock, FLOW),
    ],
    ids=["many at once", "one by one"],
)
def make_reader(request: pytest.FixtureRequest) -> MakeReader:
    made: MakeReader = request.param
    return made


def test_what_came_is_read_in_order_with_its_source(
    make_reader: MakeReader, receiver: socket.socket, sender: socket.socket
) -> None:
    reader = make_reader(receiver)
    host, port = sender.getsockname()[:2]
    texts = [b"x" * 60_000, *(f"datagram {number}".encode() for number in range(50))]
    for text in texts:
        sender.send(text)

    read = reader.read(64)

    assert [data for data, _ in read] == texts
    assert {source for _, source in read} == {Hop("udp", host, port, FLOW)}
    assert all(isinstance(source, Hop) for _, source in read)
    assert reader.read(64) == []


def test_keep_alives_are_left_out_and_count(
    make_reader: MakeReader, receiver: socket.socket, sender: socket.socket
) -> None:
    reader = make_reader(receiver)
    for text in (b"", b"\r\n\r\n", b"hello", b"again"):
        sender.send(text)

    assert [data for data, _ in reader.read(3)] == [b"hello"]
    assert [data for data, _ in reader.read(3)] == [b"again"]
