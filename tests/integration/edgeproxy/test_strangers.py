"""What an edge spends on senders who have proved nothing."""

import asyncio
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from parley.edgeproxy.app import EdgeProxy
from parley.sip.transaction import AckReceived, RequestReceived
from parley.siptransport.stream import StreamTransport

if TYPE_CHECKING:
    from tests.integration.edgeproxy.conftest import CallManager, Phone, World

DOMAIN = "demo.test"


class Stranger:
    """A UDP socket on an address of its own."""

    def __init__(self, edge: EdgeProxy, host: str = "127.0.0.9") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.setblocking(False)
        self._to = edge.addresses.outside["udp"]
        self.address = "{}:{}".format(*self._socket.getsockname())

    def send(self, data: str | bytes) -> int:
        """Sends one datagram; returns its length."""
        raw = data.encode() if isinstance(data, str) else data
        return self._socket.sendto(raw, (self._to.host, self._to.port))

    async def receive(self) -> bytes:
        """The next datagram."""
        async with asyncio.timeout(5):
            return await asyncio.get_running_loop().sock_recv(self._socket, 65535)

    async def hear(self) -> int:
        """The status of the next response."""
        return int((await self.receive()).split()[1])

    def count_heard(self) -> int:
        """How many datagrams have come and were not received yet."""
        count = 0
        with suppress(BlockingIOError):
            while self._socket.recv(65535):
                count += 1
        return count

    async def hears_nothing_before(self, marker: str) -> bool:
        """Whether the answer to a last request comes before any other."""
        self.send(request("OPTIONS", f"sip:{DOMAIN}", self, call_id=marker))
        return marker.encode() in await self.receive()

    def close(self) -> None:
        self._socket.close()


def request(
    method: str,
    uri: str,
    stranger: Stranger,
    *,
    extra: str = "",
    call_id: str = "c1",
    tag: str = "",
) -> str:
    """A short request."""
    return (
        f"{method} {uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {stranger.address};branch=z9hG4bK{call_id};rport\r\n"
        f"From: <sip:1001@{DOMAIN}>;tag=1\r\nTo: <sip:1001@{DOMAIN}>{tag}\r\n"
        f"Call-ID: {call_id}\r\nCSeq: 1 {method}\r\n{extra}\r\n"
    )


REFUSED = {
    "challenge of a call": ("INVITE", f"sip:1002@{DOMAIN}", "", "", 407),
    "challenge of a registration": ("REGISTER", f"sip:{DOMAIN}", "", "", 401),
    "capabilities": ("OPTIONS", f"sip:{DOMAIN}", "", "", 200),
    "no such dialog": ("BYE", f"sip:1002@{DOMAIN}", "", ";tag=2", 481),
    "too many hops": ("INVITE", f"sip:1002@{DOMAIN}", "Max-Forwards: 0\r\n", "", 483),
    "an extension of the proxy": ("INVITE", f"sip:1002@{DOMAIN}", "Proxy-Require: x\r\n", "", 420),
    "an extension of the registrar": ("REGISTER", f"sip:{DOMAIN}", "Require: x\r\n", "", 420),
    "a method nobody knows": ("FROB", f"sip:1002@{DOMAIN}", "", "", 407),
    "a scheme nobody knows": ("INVITE", "isbn:2983792873", "", "", 416),
    "bytes that are no text": ("INVITE", "sip:%ff@demo.test", "", "", 400),
    "malformed credentials": ("REGISTER", f"sip:{DOMAIN}", "Authorization: Digest x\r\n", "", 400),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
async def test_who_proved_nothing_is_answered_once_and_forgotten(
    world: "World", case: tuple[str, str, str, str, int]
) -> None:
    method, uri, extra, tag, status = case
    edge = await world.edge()
    stranger = Stranger(edge)
    text = request(method, uri, stranger, extra=extra, tag=tag)
    answers = []
    for _ in range(2):
        sent = stranger.send(text)
        answers.append(await stranger.receive())
        assert int(answers[-1].split()[1]) == status
        assert len(answers[-1]) <= 3 * sent
        assert edge.node.layer.server_count == 0

    tags = {re.search(rb"\nTo:.*;tag=(\S+)", answer) for answer in answers}
    assert len({match and match[1] for match in tags}) == 1  # 8.2.7
    stranger.close()


async def test_the_ack_to_a_challenge_is_swallowed(edge: EdgeProxy) -> None:
    stranger = Stranger(edge)
    stranger.send(request("INVITE", f"sip:1002@{DOMAIN}", stranger))
    assert await stranger.hear() == 407

    stranger.send(request("ACK", f"sip:1002@{DOMAIN}", stranger, tag=";tag=2"))

    assert await stranger.hears_nothing_before("last")
    assert edge.node.layer.server_count == 0
    stranger.close()


MALFORMED: dict[str, Callable[[str], str]] = {
    "no From": lambda text: text.replace("From", "X-From"),
    "no To and no Call-ID": lambda text: text.replace("To:", "X-To:").replace("Call-ID", "X-Id"),
    "no CSeq": lambda text: text.replace("CSeq", "X-CSeq"),
    "a Via that cannot be read": lambda text: text.replace(";rport", ";;,,"),
    "a Via of another port": lambda text: re.sub(r":\d+;branch(.*);rport", r":9;branch\1", text),
}


@pytest.mark.parametrize("edit", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_request_is_answered_at_its_source(
    world: "World", edit: Callable[[str], str]
) -> None:
    stranger = Stranger(await world.edge())
    text = edit(request("OPTIONS", "sip:demo.test", stranger, extra="Max-Forwards: x\r\n"))
    stranger.send(text)
    assert await stranger.hear() == 400
    stranger.send(text.replace("OPTIONS", "ACK"))
    assert await stranger.hears_nothing_before("last")
    stranger.close()


async def test_malformed_input_uses_up_the_allowance_of_its_source(world: "World") -> None:
    edge = await world.edge(source_rate=0.001, source_burst=3, unlimited_sources="127.0.0.1")
    stranger = Stranger(edge)
    broken = request("OPTIONS", "sip:demo.test", stranger).replace("From", "X-From")
    for _ in range(5):
        stranger.send(broken)
    for _ in range(3):
        assert await stranger.hear() == 400

    stranger.send(request("OPTIONS", "sip:demo.test", stranger))
    other = Stranger(edge, "127.0.0.10")
    assert await other.hears_nothing_before("other")
    with pytest.raises(BlockingIOError):
        stranger._socket.recv(65535)
    stranger.close()
    other.close()


async def test_who_registers_over_a_connection_is_no_stranger_there(world: "World") -> None:
    edge = await world.edge(unlimited_sources="", stranger_timeout_s=5)
    stream = edge.node.transports["tcp"]
    assert isinstance(stream, StreamTransport)
    phone = await world.phone(edge, transport="tcp")
    assert (await phone.exchange(phone.request("OPTIONS"))).status == 200
    assert len(stream._quota._strangers) == 1

    assert (await phone.register()).status == 200

    assert len(stream._quota._strangers) == 0
    stream.sweep(stream.clock.now() + 60)
    assert (await phone.exchange(phone.request("OPTIONS"))).status == 200


async def test_stun_keep_alives_are_answered_within_the_rate(world: "World") -> None:
    edge = await world.edge(source_rate=0.001, source_burst=2, unlimited_sources="127.0.0.1")
    stranger = Stranger(edge)
    for number in range(4):
        stranger.send(b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes([number]) * 12)
    for number in range(2):
        answer = await stranger.receive()
        assert answer[:2] == b"\x01\x01"
        assert answer[8:20] == bytes([number]) * 12

    other = Stranger(edge, "127.0.0.10")
    assert await other.hears_nothing_before("other")
    with pytest.raises(BlockingIOError):
        stranger._socket.recv(65535)
    assert edge.node.counts.malformed == 0
    stranger.close()
    other.close()


async def test_a_full_edge_serves_whom_it_knows(world: "World") -> None:
    edge = await world.edge(max_transactions=4, unlimited_sources="")
    phone = await world.phone(edge)
    for _ in range(2):
        assert (await phone.register()).status == 200
    assert edge.node.layer.server_count == 2
    stranger = Stranger(edge)
    stranger.send(request("INVITE", f"sip:1002@{DOMAIN}", stranger))

    assert (await phone.exchange(phone.request("OPTIONS"))).status == 200
    with pytest.raises(BlockingIOError):
        stranger._socket.recv(65535)
    stranger.close()


async def test_responses_that_nobody_asked_for_use_up_the_allowance_too(world: "World") -> None:
    edge = await world.edge(source_rate=0.001, source_burst=2, unlimited_sources="127.0.0.1")
    stranger = Stranger(edge)
    for _ in range(2):
        text = request("OPTIONS", "sip:demo.test", stranger)
        stranger.send("SIP/2.0 200 OK" + text[text.index("\r\n") :])
    stranger.send(request("OPTIONS", "sip:demo.test", stranger))

    other = Stranger(edge, "127.0.0.10")
    assert await other.hears_nothing_before("other")
    with pytest.raises(BlockingIOError):
        stranger._socket.recv(65535)
    stranger.close()
    other.close()


async def test_a_flood_of_strangers_is_dropped_unread_and_the_known_are_heard(
    world: "World",
) -> None:
    edge = await world.edge(stranger_rate=0.001, stranger_burst=4, unlimited_sources="")
    phone = await world.phone(edge)
    assert (await phone.register()).status == 200
    strangers = [Stranger(edge, f"127.0.0.{30 + number}") for number in range(4)]
    for stranger in strangers:
        stranger.send(request("OPTIONS", f"sip:{DOMAIN}", stranger))

    assert (await phone.exchange(phone.request("OPTIONS"))).status == 200
    assert [await stranger.hear() for stranger in strangers[:2]] == [200, 200]
    for stranger in strangers[2:]:
        with pytest.raises(BlockingIOError):
            stranger._socket.recv(65535)
    for stranger in strangers:
        stranger.close()


async def test_a_token_makes_nobody_known_from_whom_it_was_not_given(
    world: "World", manager: "CallManager"
) -> None:
    edge = await world.edge(stranger_rate=0.001, stranger_burst=20, unlimited_sources="")
    phone = await world.phone(edge)
    _, _, ok = await phone.answered(manager)
    token = ok.values("record-route")[0]
    forger = Stranger(edge)
    stolen = request("INFO", f"sip:{DOMAIN}", forger, extra=f"Route: {token}\r\n", tag=";tag=t")
    forger.send(stolen)
    await manager.handler.next(RequestReceived)
    for number in range(25):
        forger.send(request("OPTIONS", f"sip:{DOMAIN}", forger, call_id=f"o{number}"))

    assert (await phone.exchange(phone.request("OPTIONS"))).status == 200
    assert forger.count_heard() < 25
    forger.close()


async def test_a_token_over_a_connection_makes_nobody_else_there_known(
    world: "World", manager: "CallManager"
) -> None:
    edge = await world.edge(unlimited_sources="")
    phone = await world.phone(edge)
    invite, _, ok = await phone.answered(manager)
    stolen = phone.in_dialog("INFO", invite, ok)
    stolen.prepend("via", "SIP/2.0/TCP 127.0.0.10:9;branch=z9hG4bKstolen;rport")
    hop = edge.addresses.outside["tcp"]
    with socket.create_connection((hop.host, hop.port), 5, ("127.0.0.10", 0)) as thief:
        thief.sendall(bytes(stolen))
        received = await manager.handler.next(RequestReceived)

    assert received.request.get("x-parley-source") == "127.0.0.10"
    assert not edge.node.is_known("127.0.0.10")
    assert edge.node.is_known("127.0.0.1")


async def test_an_invite_with_a_token_of_another_address_is_challenged_and_no_more(
    world: "World", manager: "CallManager", edge: EdgeProxy, phone: "Phone"
) -> None:
    invite, _, ok = await phone.answered(manager)
    token = ok.values("record-route")[0]
    forger = Stranger(edge)
    route = f"Route: {token}\r\n"
    forger.send(request("INVITE", f"sip:1002@{DOMAIN}", forger, extra=route, tag=";tag=t"))
    assert await forger.hear() == 407
    assert await forger.hears_nothing_before("other")
    forger.close()

    moved = await world.phone(edge, host="127.0.0.10")
    moved.cseq = phone.cseq
    challenge = await moved.exchange(moved.in_dialog("INVITE", invite, ok))
    moved.send(moved.authorized(moved.in_dialog("INVITE", invite, ok), challenge))
    refused = await manager.handler.next(AckReceived)
    assert refused.request.cseq.number == challenge.cseq.number
    got = await manager.handler.next(RequestReceived)
    assert challenge.status == 407
    assert got.request.get("x-parley-source") == "127.0.0.10"
    assert not got.request.has("proxy-authorization")
