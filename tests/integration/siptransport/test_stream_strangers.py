"""Connections of strangers at a public listener: few, short, and no burden to the known."""

import asyncio
import resource
import socket
import ssl
import warnings
from contextlib import ExitStack, suppress

import pytest
from tests.integration.siptransport.wire import (
    OPTIONS,
    TCP,
    TLS,
    bounded,
    close,
    connect,
    stream_of,
    until,
)

from parley.sip.hop import Hop
from parley.sip.transaction import RequestReceived, TransactionFailed
from parley.siptransport.acceptor import Acceptor
from parley.siptransport.limits import TransportLimits
from parley.siptransport.quota import GRACE_S
from parley.siptransport.transport import ListenOptions
from parley.testkit.clock import FakeClock
from parley.testkit.sip_messages import make_request
from parley.testkit.sip_peer import MakePeer, SipPeer

PUBLIC = ListenOptions(is_public=True)
STRANGERS = TransportLimits(
    strangers=3, strangers_per_source=2, accept_timeout_s=30, idle_timeout_s=900
)


async def _is_cut(reader: asyncio.StreamReader) -> bool:
    with suppress(ConnectionError):
        return await bounded(reader.read()) == b""
    return True


async def test_line_ends_alone_buy_a_stranger_no_time(make_peer: MakePeer) -> None:
    peer = make_peer(limits=STRANGERS)
    hop = await peer.node.listen(TCP, PUBLIC)
    stream = stream_of(peer, "tcp")
    reader, writer = await connect(hop)
    writer.write(b"\r\n\r\n" + OPTIONS % 1)
    await bounded(reader.readuntil(b"\r\n\r\n"))
    received = await peer.handler.next(RequestReceived)
    stream.sweep(stream.clock.now() + 29)
    assert stream.connection_count == 1

    assert received.request.source is not None
    peer.node.vouch_for(received.request.source)
    stream.sweep(stream.clock.now() + 890)
    assert stream.connection_count == 1

    other_reader, other = await connect(hop)
    other.write(b"\r\n\r\n")
    await bounded(other_reader.readexactly(2))
    stream.sweep(stream.clock.now() + 31)
    await peer.handler.next(Hop)
    assert stream.connection_count == 1
    for each in (writer, other):
        await close(each)


async def test_strangers_crowd_out_each_other_and_nobody_who_is_known(make_peer: MakePeer) -> None:
    peer = make_peer(limits=STRANGERS)
    hop = await peer.node.listen(TCP, PUBLIC)
    reader, phone = await connect(hop)
    phone.write(OPTIONS % 1)
    await bounded(reader.readuntil(b"\r\n\r\n"))
    received = await peer.handler.next(RequestReceived)
    assert received.request.source is not None
    peer.node.vouch_for(received.request.source)

    strangers = [
        await connect(hop, host)
        for host in ("127.0.0.21", "127.0.0.21", "127.0.0.22", "127.0.0.23")
    ]
    assert await _is_cut(strangers[0][0])
    third = await connect(hop, "127.0.0.22")
    assert await _is_cut(strangers[1][0])
    fourth = await connect(hop, "127.0.0.22")
    assert await _is_cut(fourth[0])

    phone.write(OPTIONS % 2)
    assert (await bounded(reader.readuntil(b"\r\n\r\n"))).startswith(b"SIP/2.0 200")
    for _, writer in (*strangers, third, fourth, (reader, phone)):
        await close(writer)


async def test_those_cut_off_before_they_began_are_closed(make_peer: MakePeer) -> None:
    peer = make_peer(limits=TransportLimits(strangers=1, strangers_per_source=9))
    hop = await peer.node.listen(TCP, PUBLIC)
    with ExitStack() as stack, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        # All are there when the listener wakes up.
        strangers = [
            stack.enter_context(socket.create_connection((hop.host, hop.port), 5)) for _ in range(5)
        ]
        await until(lambda: len(stream_of(peer, "tcp")._quota) == 1)
        for stranger in strangers[:-1]:
            assert await asyncio.to_thread(stranger.recv, 1) == b""
        assert not told


async def test_idle_strangers_keep_nobody_of_their_address_out_for_long(
    make_peer: MakePeer,
) -> None:
    peer = make_peer(limits=STRANGERS)
    hop = await peer.node.listen(TCP, PUBLIC)
    stream = stream_of(peer, "tcp")
    clock = FakeClock()
    stream.clock = clock
    idle = [await connect(hop) for _ in range(2)]
    early = await connect(hop)
    assert await _is_cut(early[0])

    clock.advance(GRACE_S)
    reader, writer = await connect(hop)
    writer.write(OPTIONS % 1)
    assert (await bounded(reader.readuntil(b"\r\n\r\n"))).startswith(b"SIP/2.0 200")
    assert await _is_cut(idle[0][0])
    assert len(stream._quota._strangers) == 2
    for _, each in (*idle, early, (reader, writer)):
        await close(each)


async def test_handshakes_that_never_end_count_as_strangers(
    make_peer: MakePeer, server_tls: ssl.SSLContext
) -> None:
    peer = make_peer(limits=STRANGERS)
    hop = await peer.node.listen(TLS, ListenOptions(tls=server_tls, is_public=True))
    stream = stream_of(peer, "tls")
    silent = [await connect(hop) for _ in range(3)]
    assert await _is_cut(silent[2][0])
    others = [await connect(hop, host) for host in ("127.0.0.22", "127.0.0.23")]
    assert await _is_cut(silent[0][0])
    assert len(stream._quota) == 3
    for _, writer in (*silent, *others):
        await close(writer)
    await until(lambda: not len(stream._quota))


async def test_a_known_address_has_no_part_in_the_bounds_of_strangers(
    make_peer: MakePeer,
) -> None:
    peer = make_peer(limits=STRANGERS)
    peer.node.is_known = lambda host: host == "127.0.0.1"
    hop = await peer.node.listen(TCP, PUBLIC)
    known = [await connect(hop) for _ in range(4)]
    for number, (reader, writer) in enumerate(known):
        writer.write(OPTIONS % number)
        assert (await bounded(reader.readuntil(b"\r\n\r\n"))).startswith(b"SIP/2.0 200")
    assert len(stream_of(peer, "tcp")._quota._strangers) == 0
    for _, writer in known:
        await close(writer)


async def test_listening_goes_on_after_the_descriptors_were_used_up() -> None:
    taken: asyncio.Queue[socket.socket] = asyncio.Queue()
    acceptor = Acceptor("127.0.0.1", 0, lambda sock, peer: taken.put_nowait(sock))
    clients = [socket.create_connection(("127.0.0.1", acceptor.port)) for _ in range(3)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (clients[0].fileno(), hard))
    try:
        await until(lambda: acceptor._pause is not None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    async with asyncio.timeout(5):
        for client in clients:
            (await taken.get()).close()
            client.close()
    acceptor.close()
    acceptor.close()


async def test_who_does_not_read_his_answers_is_not_waited_for(make_peer: MakePeer) -> None:
    peer = make_peer(limits=TransportLimits(stranger_write_buffer_bytes=2**24))
    hop = await peer.node.listen(TCP, PUBLIC)
    stream = stream_of(peer, "tcp")
    loop = asyncio.get_running_loop()
    bad = (OPTIONS % 1).replace(b"From", b"X: " + b"x" * 1000 + b"\r\nX-From")
    bad = bad.replace(b";rport", b";rport;x=" + b"y" * 4000)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        await loop.sock_connect(deaf, (hop.host, hop.port))
        async with asyncio.timeout(20):
            await loop.sock_sendall(deaf, bad * 1500 + b"\0" * 70_000 + b"\r\n\r\n")
            await until(lambda: any(one._closed_at for one in stream._by_flow.values()))
        assert stream.connection_count == 1  # what was written still waits for him

        stream.sweep(stream.clock.now() + 0.5)
        assert stream.connection_count == 1
        stream.sweep(stream.clock.now() + 2)
        await peer.handler.next(Hop)
        assert stream.connection_count == 0


async def test_a_stranger_s_connection_is_no_way_to_the_address_it_came_from(peer: SipPeer) -> None:
    hop = await peer.node.listen(TCP, PUBLIC)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        await asyncio.get_running_loop().sock_connect(sock, (hop.host, hop.port))
        there = Hop("tcp", *sock.getsockname())
        await until(lambda: stream_of(peer, "tcp").connection_count == 1)
        peer.node.send_request(make_request("INFO"), there)
        await peer.handler.next(TransactionFailed)
        with pytest.raises(BlockingIOError):
            sock.recv(1)


@pytest.mark.parametrize("options", [PUBLIC, ListenOptions()], ids=["public", "trusted"])
async def test_a_strangers_connection_is_nobodys_way_to_his_address(
    make_peer: MakePeer, options: ListenOptions
) -> None:
    peer = make_peer()
    hop = await peer.node.listen(TCP, options)
    reader, writer = await connect(hop)
    writer.write(OPTIONS % 1)
    await bounded(reader.readuntil(b"\r\n\r\n"))
    received = await peer.handler.next(RequestReceived)
    await close(writer)
    flow = await peer.handler.next(Hop)

    assert flow == received.request.source
    assert peer.handler.closed_ways == [flow if options.is_public else flow._replace(flow=0)]
