"""UDP sockets on loopback."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
from tests.absence import give_up

from parley.sip.hop import Hop
from parley.sip.message import Response, parse_message
from parley.sip.transaction import RequestReceived, ResponseReceived, TransactionFailed
from parley.siptransport.limits import TransportLimits
from parley.siptransport.transport import ListenOptions
from parley.testkit.sip_messages import make_request
from parley.testkit.sip_peer import MakePeer, SipPeer

ANY = Hop("udp", "127.0.0.1", 0)
OPTIONS = (
    "OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 10.9.9.9:5555;branch=z9hG4bKraw{number}{rport}\r\n"
    "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: raw{number}\r\nCSeq: 1 OPTIONS\r\n"
    "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


@pytest.fixture
def phone() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


async def _receive_from(phone: socket.socket) -> tuple[Response, int]:
    """Returns the next response and the port it came from."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(phone.fileno(), readable.set)
    try:
        async with asyncio.timeout(5):
            await readable.wait()
    finally:
        loop.remove_reader(phone.fileno())
    data, source = phone.recvfrom(65535)
    message = parse_message(data)
    assert isinstance(message, Response)
    return message, int(source[1])


async def _receive(phone: socket.socket) -> Response:
    return (await _receive_from(phone))[0]


async def test_request_and_response_cross_the_socket(make_peer: MakePeer) -> None:
    left, right = make_peer(), make_peer()
    here, there = await left.node.listen(ANY), await right.node.listen(ANY)

    left.node.send_request(make_request("OPTIONS"), there, user="me")

    received = await right.handler.next(RequestReceived)
    assert received.request.source == here
    assert received.request.listener == there
    assert received.request.via.rport == here.port
    answered = await left.handler.next(ResponseReceived)
    assert answered.transaction.user == "me"
    assert answered.response.status == 200


async def test_the_response_goes_to_the_source_port_when_rport_is_asked_for(
    peer: SipPeer, phone: socket.socket
) -> None:
    there = await peer.node.listen(ANY)
    request = OPTIONS.format(number=1, rport=";rport").encode()
    phone.sendto(request, ("127.0.0.1", there.port))

    response = await _receive(phone)

    assert response.via.host == "10.9.9.9"
    assert response.via.received == "127.0.0.1"
    assert response.via.rport == phone.getsockname()[1]


async def test_without_rport_the_response_goes_to_the_port_written(
    peer: SipPeer, phone: socket.socket
) -> None:
    there = await peer.node.listen(ANY)
    port = phone.getsockname()[1]
    text = OPTIONS.format(number=1, rport="").replace("10.9.9.9:5555", f"10.9.9.9:{port}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.sendto(text.encode(), ("127.0.0.1", there.port))
    response = await _receive(phone)
    assert response.via.received == "127.0.0.1"


async def test_more_datagrams_than_one_wakeup_takes_are_all_answered(
    make_peer: MakePeer, phone: socket.socket
) -> None:
    peer = make_peer(limits=TransportLimits(datagrams_per_wakeup=4))
    there = await peer.node.listen(ANY)
    for number in range(50):
        data = OPTIONS.format(number=number, rport=";rport").encode()
        phone.sendto(data, ("127.0.0.1", there.port))
    call_ids = {(await _receive(phone)).call_id for _ in range(50)}
    assert len(call_ids) == 50


async def test_garbage_is_counted_answered_if_possible_and_never_fatal(
    peer: SipPeer, phone: socket.socket
) -> None:
    there = await peer.node.listen(ANY)
    good = OPTIONS.format(number=1, rport=";rport")
    garbage = [
        b"\x00" * 100,
        b"\xff\xfe" * 700,
        b"OPTIONS\r\n\r\n",
        good[:60].encode(),
        b"SIP/2.0 999999 x\r\n\r\n",
        b"x" * 60000,
    ]
    for data in (b"", b"\r\n", b"\r\n\r\n", *garbage):
        phone.sendto(data, ("127.0.0.1", there.port))
    phone.sendto(
        good.replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE").encode(), ("127.0.0.1", there.port)
    )
    assert (await _receive(phone)).status == 400
    phone.sendto(good.encode(), ("127.0.0.1", there.port))
    assert (await _receive(phone)).status == 200
    assert peer.node.counts.malformed == len(garbage) + 1
    assert peer.node.counts.handler_errors == 0


async def test_a_malformed_ack_or_response_is_never_answered(
    peer: SipPeer, phone: socket.socket
) -> None:
    there = await peer.node.listen(ANY)
    good = OPTIONS.format(number=1, rport=";rport")
    for bad in (
        good.replace("OPTIONS", "ACK").replace("Max-Forwards: 70", "Max-Forwards: x"),
        "SIP/2.0 200 OK\r\nVia: x\r\n\r\n",
    ):
        phone.sendto(bad.encode(), ("127.0.0.1", there.port))
    phone.sendto(good.encode(), ("127.0.0.1", there.port))
    assert (await _receive(phone)).status == 200
    assert peer.node.counts.malformed == 2


async def test_each_further_socket_is_a_flow_and_answers_leave_by_it(
    peer: SipPeer, phone: socket.socket
) -> None:
    first, second = await peer.node.listen(ANY), await peer.node.listen(ANY)
    assert first.port != second.port
    request = OPTIONS.format(number=1, rport=";rport").encode()
    phone.sendto(request, ("127.0.0.1", second.port))
    _, port = await _receive_from(phone)
    assert port == second.port
    received = await peer.handler.next(RequestReceived)
    assert received.request.source is not None
    assert received.request.source.flow == 1
    assert peer.node.via_for(received.request.source).endswith(f":{second.port}")
    assert peer.node.via_for(ANY).endswith(f":{first.port}")


async def test_a_name_is_resolved_before_sending(make_peer: MakePeer) -> None:
    left, right = make_peer(), make_peer()
    await left.node.listen(ANY)
    there = await right.node.listen(ANY)
    for _ in range(3):
        left.node.send_request(make_request("INFO"), there._replace(host="localhost"))
    for _ in range(3):
        await left.handler.next(ResponseReceived)


@pytest.mark.parametrize("host", ["no-such-name.invalid", "bad..name", "x" * 300])
async def test_a_name_that_does_not_resolve_fails_the_request(peer: SipPeer, host: str) -> None:
    await peer.node.listen(ANY)
    peer.node.send_request(make_request("INFO"), Hop("udp", host, 5060))
    assert (await peer.handler.next(TransactionFailed)).cause == "transport"


@pytest.mark.parametrize("hop", [Hop("udp", "127.0.0.1", 0), Hop("udp", "127.0.0.1", 9, 5)])
async def test_what_cannot_be_sent_fails_at_once(peer: SipPeer, hop: Hop) -> None:
    await peer.node.listen(ANY)
    peer.node.send_request(make_request("INFO"), hop)
    assert (await peer.handler.next(TransactionFailed)).cause == "transport"


async def test_without_a_socket_nothing_is_sent(peer: SipPeer) -> None:
    peer.node.send_request(make_request("INFO"), Hop("udp", "127.0.0.1", 9))
    assert (await peer.handler.next(TransactionFailed)).cause == "transport"


async def test_a_taken_port_is_an_error_and_leaves_no_socket(
    peer: SipPeer, make_peer: MakePeer
) -> None:
    hop = await peer.node.listen(ANY)
    with pytest.raises(OSError, match="in use"):
        await make_peer().node.listen(hop)


async def test_a_wildcard_needs_an_advertised_host(peer: SipPeer) -> None:
    with pytest.raises(ValueError, match="advertised"):
        await peer.node.listen(Hop("udp", "0.0.0.0", 0))
    options = ListenOptions(advertised="198.51.100.7")
    hop = await peer.node.listen(Hop("udp", "0.0.0.0", 0), options)
    assert hop.host == "198.51.100.7"
    assert peer.node.via_for(ANY) == f"SIP/2.0/UDP 198.51.100.7:{hop.port}"


def _has_ipv6() -> bool:
    """Asked of the system, so that a fault of ours is no reason to skip."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_ipv6_works_where_the_machine_has_it(make_peer: MakePeer) -> None:
    if not _has_ipv6():
        give_up("This machine has no IPv6 loopback.")
    left, right = make_peer(), make_peer()
    await left.node.listen(Hop("udp", "::1", 0))
    there = await right.node.listen(Hop("udp", "::1", 0))
    left.node.send_request(make_request("INFO"), there)
    received = await right.handler.next(RequestReceived)
    assert received.request.via.host == "::1"
    await left.handler.next(ResponseReceived)
