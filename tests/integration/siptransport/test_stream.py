"""TCP and TLS on loopback: reuse, flows, keep-alive, limits, failures."""

import asyncio
import socket
import ssl
import struct
from contextlib import suppress

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
from parley.sip.timers import Timers
from parley.sip.transaction import RequestReceived, ResponseReceived, TransactionFailed
from parley.siptransport.limits import TransportLimits
from parley.siptransport.policy import NodePolicy
from parley.siptransport.transport import ListenOptions
from parley.testkit.sip_messages import make_request, make_response
from parley.testkit.sip_peer import MakePeer, SipPeer

Pair = tuple[SipPeer, Hop, SipPeer, Hop]


@pytest.fixture(params=["tcp", "tls"])
async def pair(
    request: pytest.FixtureRequest,
    make_peer: MakePeer,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
) -> Pair:
    tls = server_tls if request.param == "tls" else None
    hop = TLS if tls else TCP
    left, right = make_peer(client_tls=client_tls), make_peer(client_tls=client_tls)
    options = ListenOptions(tls=tls)
    return left, await left.node.listen(hop, options), right, await right.node.listen(hop, options)


async def test_both_directions_share_one_connection(pair: Pair) -> None:
    left, _, right, there = pair
    left.node.send_request(make_request("OPTIONS"), there)
    left.node.send_request(make_request("INFO"), there)
    first = await right.handler.next(RequestReceived)
    await right.handler.next(RequestReceived)
    for _ in range(2):
        assert (await left.handler.next(ResponseReceived)).response.status == 200

    flow = first.request.source
    assert flow is not None
    assert flow.flow
    right.node.send_request(make_request("MESSAGE"), flow)
    backwards = await left.handler.next(RequestReceived)
    assert backwards.request.source is not None
    assert backwards.request.source.port == there.port
    await right.handler.next(ResponseReceived)
    # The same by address, without flow (RFC 5923).
    right.node.send_request(make_request("MESSAGE"), flow._replace(flow=0))
    await right.handler.next(ResponseReceived)
    assert stream_of(left, there.transport).connection_count == 1
    assert stream_of(right, there.transport).connection_count == 1


async def test_a_closed_connection_fails_what_waits_for_it(pair: Pair) -> None:
    left, _, right, there = pair
    client = left.node.send_request(make_request("INVITE"), there)
    received = await right.handler.next(RequestReceived)
    assert received.request.source is not None
    flow = received.request.source

    stream_of(right, there.transport)._by_flow[flow.flow].abort()

    assert await left.handler.next(TransactionFailed) == (client, "transport")
    closed = await left.handler.next(Hop)
    assert closed.transport == there.transport
    assert await right.handler.next(Hop) == flow
    # The flow is gone for good, even though its peer could be reached.
    right.node.send_request(make_request("INFO"), flow)
    assert (await right.handler.next(TransactionFailed)).cause == "transport"


async def test_a_response_whose_connection_is_gone_takes_a_new_one(pair: Pair) -> None:
    left, here, right, there = pair
    left.node.send_request(make_request("INVITE"), there)
    received = await right.handler.next(RequestReceived)
    assert received.request.source is not None
    stream_of(right, there.transport)._by_flow[received.request.source.flow].abort()
    await right.handler.next(Hop)
    await left.handler.next(TransactionFailed)
    await left.handler.next(Hop)

    # RFC 3261 18.2.2: to the sent-by port of the Via.
    right.node.respond(received.transaction, make_response(received.transaction, 486))

    stray = await left.handler.next(object)
    assert type(stray).__name__ == "StrayResponse"
    assert here.port == received.request.via.port


async def test_a_refused_connection_fails_each_request_that_waited(
    make_peer: MakePeer,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        hop = Hop("tcp", "127.0.0.1", free.getsockname()[1])
        peer = make_peer()
        clients = [peer.node.send_request(make_request("INFO"), hop) for _ in range(3)]
        failed = [await peer.handler.next(TransactionFailed) for _ in range(3)]
    assert failed == [(client, "transport") for client in clients]


async def test_the_connect_queue_is_bounded(make_peer: MakePeer) -> None:
    peer = make_peer(limits=TransportLimits(connect_backlog=2))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        hop = Hop("tcp", "127.0.0.1", listening.getsockname()[1])
        clients = [peer.node.send_request(make_request("INFO"), hop) for _ in range(3)]
        assert await peer.handler.next(TransactionFailed) == (clients[2], "transport")


async def test_an_untrusted_certificate_fails_the_request(
    make_peer: MakePeer, server_tls: ssl.SSLContext
) -> None:
    server, client = make_peer(), make_peer()
    hop = await server.node.listen(TLS, ListenOptions(tls=server_tls))
    client.node.send_request(make_request("INFO"), hop)
    assert (await client.handler.next(TransactionFailed)).cause == "transport"


async def test_a_double_line_end_gets_a_single_one(peer: SipPeer) -> None:
    reader, writer = await connect(await peer.node.listen(TCP))
    writer.write(b"\r\n\r\n")
    assert await bounded(reader.readexactly(2)) == b"\r\n"
    writer.write(b"\r\n\r\n" + OPTIONS % 1)
    answer = await bounded(reader.readuntil(b"\r\n\r\n"))
    assert answer.startswith(b"\r\nSIP/2.0 200")
    await close(writer)


async def test_line_ends_in_a_row_get_one(peer: SipPeer) -> None:
    reader, writer = await connect(await peer.node.listen(TCP))
    writer.write(b"\r\n" * 4000 + OPTIONS % 1)
    answer = await bounded(reader.readuntil(b"\r\n\r\n"))
    assert answer.lstrip().startswith(b"SIP/2.0 200")
    assert len(answer) - len(answer.lstrip()) < 40
    await close(writer)


async def test_who_gets_no_answers_gets_none_to_line_ends(make_peer: MakePeer) -> None:
    peer = make_peer(policy=NodePolicy(admits_source=lambda source, listener: False))
    reader, writer = await connect(await peer.node.listen(TCP))
    writer.write(b"\r\n\r\n" + OPTIONS % 1)
    assert (await bounded(reader.readuntil(b"\r\n\r\n"))).startswith(b"SIP/2.0 200")
    await close(writer)


async def test_many_messages_at_once_leave_turns_to_others(make_peer: MakePeer) -> None:
    peer = make_peer(limits=TransportLimits(messages_per_turn=5))
    hop = await peer.node.listen(TCP)
    pairs = [await connect(hop) for _ in range(3)]
    most = before = 0

    def look() -> None:
        nonlocal most, before
        most, before = max(most, peer.node.counts.received - before), peer.node.counts.received
        if peer.node.counts.received < 600:
            asyncio.get_running_loop().call_soon(look)

    for at, (_, writer) in enumerate(pairs):
        writer.write(b"".join(OPTIONS % (1000 * at + number) for number in range(200)))
    look()
    for at, (reader, writer) in enumerate(pairs):
        for number in range(200):
            answer = await bounded(reader.readuntil(b"\r\n\r\n"))
            assert b"raw%d;" % (1000 * at + number) in answer
        await close(writer)
    assert 5 <= most <= 20  # three that have just come, and one that waited


async def test_messages_may_come_in_any_pieces(peer: SipPeer) -> None:
    reader, writer = await connect(await peer.node.listen(TCP))
    data = OPTIONS % 1 + OPTIONS % 2
    for start in range(0, len(data), 100):
        writer.write(data[start : start + 100])
        await writer.drain()
    for number in (b"raw1", b"raw2"):
        assert number in await bounded(reader.readuntil(b"\r\n\r\n"))
    await close(writer)


async def test_a_bad_message_is_answered_and_the_stream_goes_on(peer: SipPeer) -> None:
    reader, writer = await connect(await peer.node.listen(TCP))
    writer.write((OPTIONS % 1).replace(b"CSeq: 1 OPTIONS", b"CSeq: 1 BYE") + OPTIONS % 2)
    assert (await bounded(reader.readuntil(b"\r\n\r\n"))).startswith(b"SIP/2.0 400")
    assert (await bounded(reader.readuntil(b"\r\n\r\n"))).startswith(b"SIP/2.0 200")
    assert peer.node.counts.malformed == 1
    await close(writer)


async def test_a_stream_without_content_length_is_answered_and_closed(peer: SipPeer) -> None:
    reader, writer = await connect(await peer.node.listen(TCP))
    writer.write((OPTIONS % 1).replace(b"Content-Length: 0\r\n", b""))
    assert (await bounded(reader.read())).startswith(b"SIP/2.0 400")
    await close(writer)
    assert (await peer.handler.next(Hop)).transport == "tcp"


async def test_what_is_buffered_behind_a_lost_connection_is_not_answered_elsewhere(
    make_peer: MakePeer,
) -> None:
    peer = make_peer(limits=TransportLimits(write_buffer_bytes=4096))
    hop = await peer.node.listen(TCP)
    with socket.create_server(("127.0.0.1", 0)) as third:
        via = f"SIP/2.0/TCP 127.0.0.1:{third.getsockname()[1]};branch=z9hG4bKraw;x={'y' * 3000}"
        bad = (OPTIONS % 1).replace(b"CSeq: 1 OPTIONS", b"CSeq: 1 BYE")
        bad = bad.replace(b"SIP/2.0/TCP 10.9.9.9:5555;branch=z9hG4bKraw1;rport", via.encode())
        phone = socket.socket()
        phone.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        phone.setblocking(False)
        with phone, suppress(OSError):
            await asyncio.get_running_loop().sock_connect(phone, (hop.host, hop.port))
            async with asyncio.timeout(20):
                while peer.handler.events.empty():
                    await asyncio.get_running_loop().sock_sendall(phone, bad * 100)
        assert (await peer.handler.next(Hop)).transport == "tcp"
        answered = peer.node.counts.sent
        await until(lambda: not peer.node.transports["tcp"].connection_count)
        third.setblocking(False)
        with pytest.raises(BlockingIOError):
            third.accept()
        assert peer.node.counts.sent == answered


async def test_binary_garbage_closes_the_connection(peer: SipPeer) -> None:
    hop = await peer.node.listen(TCP)
    for garbage in (b"\x16\x03\x01" * 40000, b"\r\n\r\n\x00\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
        reader, writer = await connect(hop)
        writer.write(garbage)
        with suppress(ConnectionError):  # a reset says the same as an end
            await bounded(reader.read())
        await close(writer)
        await peer.handler.next(Hop)
    assert peer.node.counts.handler_errors == 0


async def test_connections_of_one_source_are_limited(make_peer: MakePeer) -> None:
    peer = make_peer(limits=TransportLimits(connections_per_source=2))
    hop = await peer.node.listen(TCP)
    kept = [await connect(hop) for _ in range(2)]
    for reader, writer in kept:
        writer.write(b"\r\n\r\n")
        assert await bounded(reader.readexactly(2)) == b"\r\n"
    reader, writer = await connect(hop)
    with suppress(ConnectionError):
        assert await bounded(reader.read()) == b""
    await close(writer)
    await close(kept[0][1])
    await peer.handler.next(Hop)
    reader, writer = await connect(hop)
    writer.write(b"\r\n\r\n")
    assert await bounded(reader.readexactly(2)) == b"\r\n"
    for _, each in (kept[1], (reader, writer)):
        await close(each)


async def test_idle_silent_and_stuck_connections_are_swept(make_peer: MakePeer) -> None:
    limits = TransportLimits(accept_timeout_s=30, message_timeout_s=60, idle_timeout_s=900)
    peer = make_peer(limits=limits)
    hop = await peer.node.listen(TCP)
    stream = stream_of(peer, "tcp")
    start = stream.clock.now()

    _, silent = await connect(hop)
    await until(lambda: stream.connection_count == 1)
    stream.sweep(start + 29)
    assert stream.connection_count == 1
    stream.sweep(start + 32)
    await peer.handler.next(Hop)

    reader, stuck = await connect(hop)
    stuck.write(b"\r\n\r\n")
    await bounded(reader.readexactly(2))
    stuck.write(b"OPTIONS sip:")
    await until(lambda: any(c._stuck_since for c in stream._by_flow.values()))
    stream.sweep(stream.clock.now() + 59)
    assert stream.connection_count == 1
    stream.sweep(stream.clock.now() + 61)
    await peer.handler.next(Hop)

    reader, idle = await connect(hop)
    idle.write(b"\r\n\r\n")
    await bounded(reader.readexactly(2))
    stream.sweep(stream.clock.now() + 890)
    assert stream.connection_count == 1
    stream.sweep(stream.clock.now() + 901)
    await peer.handler.next(Hop)
    for writer in (silent, stuck, idle):
        await close(writer)


async def test_a_peer_that_does_not_read_is_cut_off(make_peer: MakePeer) -> None:
    peer = make_peer(limits=TransportLimits(write_buffer_bytes=65536))
    reader, writer = await connect(await peer.node.listen(TCP))
    writer.write(OPTIONS % 1)
    received = await peer.handler.next(RequestReceived)
    assert received.request.source is not None
    await bounded(reader.readuntil(b"\r\n\r\n"))
    big = make_request("MESSAGE")
    big.body = b"x" * 60000
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads too
    for _ in range(400):
        peer.node.send_request(big.copy(), received.request.source)
        if stream_of(peer, "tcp").connection_count == 0:
            break
        await asyncio.sleep(0)
    assert (await peer.handler.next(object)) is not None
    assert stream_of(peer, "tcp").connection_count == 0
    writer.transport.abort()


async def test_flow_numbers_do_not_come_back_after_a_restart(make_peer: MakePeer) -> None:
    flows = []
    for _ in range(2):
        peer = make_peer()
        _, writer = await connect(await peer.node.listen(TCP))
        writer.write(OPTIONS % 1)
        received = await peer.handler.next(RequestReceived)
        assert received.request.source is not None
        flows.append(received.request.source.flow)
        await peer.node.aclose()
        await close(writer)
    assert flows[0] < flows[1]


async def test_a_flow_of_another_peer_is_not_used(peer: SipPeer) -> None:
    _, writer = await connect(await peer.node.listen(TCP))
    writer.write(OPTIONS % 1)
    received = await peer.handler.next(RequestReceived)
    assert received.request.source is not None
    peer.node.send_request(make_request("INFO"), received.request.source._replace(port=1))
    assert (await peer.handler.next(TransactionFailed)).cause == "transport"
    await close(writer)


async def test_closing_flushes_what_was_written(peer: SipPeer) -> None:
    reader, writer = await connect(await peer.node.listen(TCP))
    writer.write(OPTIONS % 1)
    await peer.handler.next(RequestReceived)
    await peer.node.aclose()
    assert (await bounded(reader.read())).startswith(b"SIP/2.0 200")
    await close(writer)


async def test_a_reset_connection_is_an_ordinary_end(peer: SipPeer) -> None:
    hop = await peer.node.listen(TCP)
    with socket.create_connection((hop.host, hop.port)) as phone:
        phone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        phone.sendall(b"OPTIONS sip:half")
    assert (await peer.handler.next(Hop)).transport == "tcp"


@pytest.mark.parametrize("hop", [TCP, TLS])
async def test_tls_needs_a_context_and_tcp_none(
    make_peer: MakePeer, server_tls: ssl.SSLContext, hop: Hop
) -> None:
    with pytest.raises(ValueError, match="TLS context"):
        await make_peer().node.listen(hop, ListenOptions(tls=server_tls if hop is TCP else None))


async def test_a_client_without_listener_gets_its_answers(make_peer: MakePeer) -> None:
    server, client = make_peer(), make_peer(Timers(t1=0.05))
    hop = await server.node.listen(TCP)
    client.node.send_request(make_request("INFO"), hop)
    received = await server.handler.next(RequestReceived)
    assert received.request.via.host.endswith(".invalid")
    await client.handler.next(ResponseReceived)
