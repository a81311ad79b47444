"""Connections between services: who does not prove itself is not heard."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cluster.authority import Authority
from tests.integration.siptransport import wire

from parley.service.clock import SystemClock
from parley.service.inside import Inside, InsideSettings
from parley.service.tls import TlsFiles, client_context
from parley.service.tokens import TokenSigner
from parley.sip.hop import Hop
from parley.sip.transaction import RequestReceived, ResponseReceived, TransactionFailed
from parley.siptransport.limits import TransportLimits
from parley.siptransport.policy import NodePolicy
from parley.siptransport.transport import ListenOptions
from parley.testkit.sip_messages import make_request
from parley.testkit.sip_peer import MakePeer, SipPeer

SECRET = "a secret of the platform"
NOW = datetime.now(UTC)  # noqa: TID251 - the validity of real certificates
OPTIONS = wire.OPTIONS % 1


def tls_settings(files: TlsFiles) -> InsideSettings:
    return InsideSettings.load(
        tls_certificate=files.certificate, tls_key=files.key, tls_ca=files.ca
    )


class Pair:
    """An edge and a call manager that talk by inside connections."""

    def __init__(self, make_peer: MakePeer, settings: Callable[[str], InsideSettings]) -> None:
        self._make_peer = make_peer
        self._settings = settings
        self.proofs: dict[SipPeer, Inside] = {}
        self.manager = self.peer("callmanager", "edgeproxy")
        self.edge = self.peer("edgeproxy", "callmanager")
        self.hop = Hop("", "", 0)

    def peer(self, role: str, other: str, settings: InsideSettings | None = None) -> SipPeer:
        """Makes a node of a service that knows one other service."""
        inside = Inside(settings or self._settings(role), role, (other,), SystemClock())
        peer = self._make_peer(policy=NodePolicy(inside=inside))
        self.proofs[peer] = inside
        return peer

    async def listen(self, peer: SipPeer) -> Hop:
        inside = self.proofs[peer]
        hop = Hop(inside.transport, "127.0.0.1", 0)
        options = ListenOptions(tls=inside.server, is_home=True, is_inside=True)
        return await peer.node.listen(hop, options)

    async def start(self) -> "Pair":
        self.hop = await self.listen(self.manager)
        return self

    async def is_heard(self, peer: SipPeer) -> bool:
        """Whether a request of a node is answered by the call manager."""
        peer.node.send_request(make_request("OPTIONS"), self.hop)
        async with asyncio.timeout(5):
            event = await peer.handler.events.get()
        assert isinstance(event, ResponseReceived | TransactionFailed)
        return isinstance(event, ResponseReceived)


@pytest.fixture
async def with_tls(make_peer: MakePeer, authority: Authority) -> Pair:
    return await Pair(make_peer, lambda role: tls_settings(authority.issue_role(role))).start()


@pytest.fixture
async def with_token(make_peer: MakePeer) -> Pair:
    return await Pair(make_peer, lambda role: InsideSettings.load(secret=SECRET)).start()


@pytest.fixture(params=["tls", "token"])
async def pair(request: pytest.FixtureRequest, make_peer: MakePeer, authority: Authority) -> Pair:
    def settings(role: str) -> InsideSettings:
        if request.param == "tls":
            return tls_settings(authority.issue_role(role))
        return InsideSettings.load(secret=SECRET)

    return await Pair(make_peer, settings).start()


async def answer_to(hop: Hop, data: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """What a stranger reads until the connection ends; fails when it does not end."""
    writer = None
    try:
        async with asyncio.timeout(8):
            reader, writer = await wire.connect(hop, tls=tls)
            writer.write(data)
            return await reader.read()
    except TimeoutError:
        raise
    except OSError:
        return b""
    finally:
        if writer is not None:
            await wire.close(writer)


async def test_services_hear_each_other_in_both_directions(pair: Pair) -> None:
    assert await pair.is_heard(pair.edge)
    there = await pair.listen(pair.edge)

    pair.manager.node.send_request(make_request("OPTIONS"), there)
    await pair.manager.handler.next(RequestReceived)
    response = await pair.manager.handler.next(ResponseReceived)

    assert response.response.status == 200
    assert pair.manager.node.counts.strangers == pair.edge.node.counts.strangers == 0


@pytest.mark.parametrize("who", ["nobody", "another authority", "another role", "expired"])
async def test_who_shows_no_fitting_certificate_is_not_heard(
    who: str, with_tls: Pair, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other", NOW)
    files = {
        "nobody": TlsFiles(ca=authority.ca),
        "another authority": other.issue_role("edgeproxy")._replace(ca=authority.ca),
        "another role": authority.issue_role("restgateway"),
        "expired": authority.issue_role("edgeproxy", NOW - timedelta(seconds=1)),
    }[who]

    answer = await answer_to(with_tls.hop, OPTIONS, client_context(files, checks_name=False))

    assert answer == b""
    assert with_tls.manager.node.counts.received == 0
    assert with_tls.manager.node.counts.malformed == 0


async def test_plain_text_at_a_tls_listener_is_not_heard(with_tls: Pair) -> None:
    # What comes back is a TLS alert at most.
    assert b"SIP" not in await answer_to(with_tls.hop, OPTIONS)
    assert with_tls.manager.node.counts.received == 0


@pytest.mark.parametrize("role", ["callmanager", "mediarelay"])
async def test_service_does_not_talk_to_what_is_not_its_peer(
    role: str, with_tls: Pair, authority: Authority, tmp_path: Path
) -> None:
    own = role == "callmanager"
    signer = Authority(tmp_path / "other", NOW) if own else authority
    files = signer.issue_role(role)._replace(ca=authority.ca)
    impostor = with_tls.peer(role, "edgeproxy", tls_settings(files))
    with_tls.hop = await with_tls.listen(impostor)

    assert not await with_tls.is_heard(with_tls.edge)
    assert impostor.node.counts.received == 0


async def test_connection_lives_on_when_certificates_are_replaced(
    with_tls: Pair, authority: Authority
) -> None:
    assert await with_tls.is_heard(with_tls.edge)
    first = await with_tls.manager.handler.next(RequestReceived)

    authority.issue_role("edgeproxy")
    authority.issue_role("callmanager")
    assert await with_tls.is_heard(with_tls.edge)
    second = await with_tls.manager.handler.next(RequestReceived)
    newcomer = with_tls.peer("edgeproxy", "callmanager")

    assert first.request.source == second.request.source
    assert with_tls.edge.node.counts.flows_closed == 0
    assert await with_tls.is_heard(newcomer)


async def test_renewed_certificate_outlives_the_one_that_expired(
    make_peer: MakePeer, authority: Authority
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=6)  # noqa: TID251 - as above
    pair = await Pair(
        make_peer, lambda role: tls_settings(authority.issue_role(role, soon))
    ).start()
    assert await pair.is_heard(pair.edge)
    stale = client_context(authority.issue("stale", ["edgeproxy.parley.internal"], soon))
    stale_now = stale.current()
    authority.issue_role("edgeproxy")
    authority.issue_role("callmanager")
    async with asyncio.timeout(10):
        while datetime.now(UTC) <= soon:  # noqa: TID251, ASYNC110 - a certificate expires
            await asyncio.sleep(0.1)

    newcomer = pair.peer("edgeproxy", "callmanager", pair.proofs[pair.edge]._settings)

    assert await pair.is_heard(pair.edge)
    assert pair.edge.node.counts.flows_closed == 0
    assert await pair.is_heard(newcomer)
    stale_now.check_hostname = False
    received = pair.manager.node.counts.received
    assert await answer_to(pair.hop, OPTIONS, stale_now) == b""
    assert pair.manager.node.counts.received == received


def greeting(pair: Pair, secret: str = SECRET, role: str = "edgeproxy", port: int = 0) -> bytes:
    signer = TokenSigner((secret.encode(),), role, SystemClock())
    return f"PARLEY/1 {signer.sign(f'127.0.0.1:{port or pair.hop.port}')}\r\n".encode()


async def test_who_shows_no_fitting_token_is_not_heard(with_token: Pair) -> None:
    wrong = {
        "none": b"",
        "another secret": greeting(with_token, secret="another secret of somebody"),
        "another role": greeting(with_token, role="mediarelay"),
        "another address": greeting(with_token, port=9),
        "endless": b"PARLEY/1 " + b"x" * 100_000,
        "binary": bytes(range(128, 256)) + b"\r\n",
    }
    for data in wrong.values():
        assert await answer_to(with_token.hop, data + OPTIONS) == b""

    counts = with_token.manager.node.counts
    assert (counts.received, counts.malformed, counts.strangers) == (0, 0, len(wrong))


async def test_token_that_was_overheard_serves_nobody_again(with_token: Pair) -> None:
    overheard = greeting(with_token)
    reader, writer = await wire.connect(with_token.hop)
    writer.write(overheard + OPTIONS)
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"SIP/2.0 200")
    received = with_token.manager.node.counts.received

    assert await answer_to(with_token.hop, overheard + OPTIONS) == b""

    assert with_token.manager.node.counts.received == received
    await wire.close(writer)


async def test_token_is_taken_however_the_host_is_written(make_peer: MakePeer) -> None:
    pair = Pair(make_peer, lambda role: InsideSettings.load(secret=SECRET))
    pair.hop = await pair.manager.node.listen(
        Hop("tcp", "127.0.0.1", 0), ListenOptions(advertised="LocalHost", is_inside=True)
    )
    pair.hop = pair.hop._replace(host="localhost")

    assert await pair.is_heard(pair.edge)


async def test_greeting_may_come_in_pieces(with_token: Pair) -> None:
    reader, writer = await wire.connect(with_token.hop)
    for byte in greeting(with_token) + OPTIONS:
        writer.write(bytes((byte,)))
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"SIP/2.0 200")
    await wire.close(writer)


def silent(stack: ExitStack, hop: Hop, count: int) -> list[socket.socket]:
    """Opens connections that say nothing."""
    address = (hop.host, hop.port)
    return [stack.enter_context(socket.create_connection(address, 5)) for _ in range(count)]


async def test_many_that_say_nothing_do_not_keep_a_service_out(pair: Pair) -> None:
    with ExitStack() as stack:
        for _ in range(6):
            silent(stack, pair.hop, 50)
            await asyncio.sleep(0)
        assert await pair.is_heard(pair.edge)
        assert pair.manager.node.counts.strangers >= 300 - 256


async def test_strangers_inside_take_no_place_of_a_phone(make_peer: MakePeer) -> None:
    inside = Inside(InsideSettings.load(secret=SECRET), "edgeproxy", (), SystemClock())
    few = TransportLimits(connections=4, connections_per_source=4, strangers=2)
    edge = make_peer(limits=few, policy=NodePolicy(inside=inside))
    hop = await edge.node.listen(wire.TCP, ListenOptions(is_inside=True))
    outside = await edge.node.listen(wire.TCP, ListenOptions(is_public=True))
    stream = wire.stream_of(edge, "tcp")
    with ExitStack() as stack:
        phones = [await wire.connect(outside) for _ in range(2)]
        for _, writer in phones:
            stack.callback(writer.close)
        await wire.until(lambda: len(stream._quota) == 2)
        silent(stack, hop, 20)
        await wire.until(lambda: len(stream._services) == 20)
        for reader, writer in phones:
            writer.write(OPTIONS)
            assert await wire.bounded(reader.readexactly(11)) == b"SIP/2.0 200"


async def test_services_keep_their_connections_when_strangers_come(pair: Pair) -> None:
    assert await pair.is_heard(pair.edge)
    first = await pair.manager.handler.next(RequestReceived)
    with ExitStack() as stack:
        silent(stack, pair.hop, 300)
        assert await pair.is_heard(pair.edge)
    second = await pair.manager.handler.next(RequestReceived)
    assert first.request.source == second.request.source


async def test_connection_that_an_edge_opens_never_passes_for_the_inside(
    with_tls: Pair,
) -> None:
    await with_tls.listen(with_tls.edge)
    with_tls.edge.node.send_request(make_request("OPTIONS"), with_tls.hop)
    await with_tls.manager.handler.next(RequestReceived)
    response = await with_tls.edge.handler.next(ResponseReceived)

    assert response.response.listener == Hop("tls", "", 0)
