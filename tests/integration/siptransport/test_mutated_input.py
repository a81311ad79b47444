"""Mutated messages of all kinds: an answer or silence, never an exception, and then it works."""

import asyncio
import random

import pytest

from parley.sip.hop import Hop
from parley.sip.message import ParseError, parse_message
from parley.sip.transaction import RequestReceived, ResponseReceived
from parley.siptransport.connection import StreamConnection
from parley.siptransport.stream import StreamTransport
from parley.testkit.sip_messages import make_request
from parley.testkit.sip_peer import MakePeer, SipPeer

SOURCE = Hop("udp", "127.0.0.1", 9)
ALPHABET = (
    b"\0",
    b"\xff",
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"<",
    b'"',
    b"%",
    b"[",
    b"1" * 40,
)


def _samples() -> list[bytes]:
    samples = []
    for method in ("INVITE", "ACK", "CANCEL", "BYE", "REGISTER"):
        for via in ("a.test:5060;branch=z9hG4bK1;rport", "[::1];branch=1", "a-b_c.:1;received=x"):
            request = make_request(method)
            request.add("via", f"SIP/2.0/UDP {via}")
            request.add("record-route", "<sip:p.test;lr>, <sip:q.test;lr>")
            request.body = b"v=0\r\n"
            samples.append(bytes(request))
    samples.append(
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a.test;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
        b"To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    )
    return samples


def _mutated(chance: random.Random, data: bytes) -> bytes:
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice((0, 1, 1, 2, 8, 64)))
        data = data[:start] + chance.choice((b"", *ALPHABET, data[start:end] * 2)) + data[end:]
    return data


@pytest.mark.parametrize("seed", range(4))
async def test_no_datagram_raises(make_peer: MakePeer, seed: int) -> None:
    chance = random.Random(seed)
    peer = make_peer()
    listener = await peer.node.listen(Hop("udp", "127.0.0.1", 0))
    samples = _samples()
    for _ in range(500):
        data = _mutated(chance, chance.choice(samples))
        try:
            message = parse_message(data)
        except ParseError as error:
            peer.node.receive_malformed(error, SOURCE, listener)
        else:
            peer.node.receive(message, SOURCE, listener)
        peer.node.flush()
    assert peer.node.counts.handler_errors == 0
    other = make_peer()
    await other.node.listen(Hop("udp", "127.0.0.1", 0))
    other.node.send_request(make_request("OPTIONS"), listener)
    assert (await other.handler.next(ResponseReceived)).response.status == 200


@pytest.mark.parametrize("seed", range(2))
async def test_no_stream_raises(make_peer: MakePeer, seed: int) -> None:
    chance = random.Random(seed)
    peer = make_peer()
    listener = await peer.node.listen(Hop("tcp", "127.0.0.1", 0))
    samples = _samples()
    for _ in range(20):
        _, writer = await asyncio.open_connection(listener.host, listener.port)
        writer.write(b"".join(_mutated(chance, chance.choice(samples)) for _ in range(10)))
        writer.write_eof()
        while not isinstance(await peer.handler.next(object), Hop):
            pass
        writer.close()
    assert peer.node.counts.handler_errors == 0
    stream = peer.node.transports["tcp"]
    assert isinstance(stream, StreamTransport)
    assert stream.connection_count == 0
    assert not any(isinstance(each, StreamConnection) for each in stream._by_peer.values())


async def test_a_via_that_cannot_be_written_back_is_dropped(peer: SipPeer) -> None:
    listener = await peer.node.listen(Hop("udp", "127.0.0.1", 0))
    request = make_request("OPTIONS")
    request.add("via", "SIP/2.0/UDP a.test;branch=z9hG4bKx;rport")
    peer.node.receive(request, SOURCE._replace(host="fe80::1%\r\n"), listener)
    assert peer.node.counts.malformed == 1
    request = make_request("OPTIONS")
    request.add("via", "SIP/2.0/UDP a.test;branch=z9hG4bKx;rport")
    peer.node.receive(request, SOURCE, listener)
    assert isinstance(await peer.handler.next(object), RequestReceived)
