"""An edge tells call managers from strangers by the listener and the certificate, not by words."""

import asyncio
from contextlib import suppress

import pytest
from tests.cluster.authority import Authority
from tests.integration.siptransport import wire

from parley.service.errors import StartError
from parley.service.ids import RandomIds
from parley.service.inside import InsideSettings
from parley.service.tls import TlsFiles, client_context
from parley.sip.hop import Hop
from parley.sip.transaction import ResponseReceived
from parley.siptransport.node import SipNode
from parley.testkit.sip_handler import RecordingHandler
from parley.testkit.sip_messages import make_request

from .conftest import World


async def status_of_register(world: World, files: TlsFiles, hop: Hop) -> int:
    """How a REGISTER of no tenant is answered: to phones by 404, to call managers by 480."""
    handler = RecordingHandler()
    tls = client_context(files, checks_name=False)
    node = SipNode(world.clock, RandomIds(), handler, client_tls=tls)
    try:
        node.send_request(make_request("REGISTER"), hop)
        return (await handler.next(ResponseReceived)).response.status
    finally:
        await node.aclose()


async def test_listener_for_phones_is_no_way_inside_whoever_comes(
    world: World, authority: Authority
) -> None:
    own, manager = authority.issue_role("edgeproxy"), authority.issue_role("callmanager")
    inside = InsideSettings.load(tls_certificate=own.certificate, tls_key=own.key, tls_ca=own.ca)
    edge = await world.edge(
        is_remote=True,
        tls_port=0,
        tls_certificate=own.certificate,
        tls_key=own.key,
        inside=inside,
    )
    assert edge.addresses.inside is not None

    assert edge.addresses.inside.transport == "tls"
    assert await status_of_register(world, manager, edge.addresses.outside["tls"]) == 404
    assert await status_of_register(world, manager, edge.addresses.inside) == 480


async def test_without_tls_who_shows_no_token_is_not_heard(world: World) -> None:
    inside = InsideSettings.load(secret="a secret of the platform")
    edge = await world.edge(is_remote=True, inside=inside)
    assert edge.addresses.inside is not None
    request = make_request("OPTIONS")
    request.prepend("via", "SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKstranger")

    reader, writer = await wire.connect(edge.addresses.inside)
    try:
        writer.write(bytes(request))
        with suppress(ConnectionResetError):
            async with asyncio.timeout(8):
                assert await reader.read() == b""
    finally:
        await wire.close(writer)

    assert edge.node.counts.received == 0
    assert edge.node.counts.strangers == 1


async def test_edge_whose_inside_others_could_reach_does_not_start(world: World) -> None:
    with pytest.raises(StartError, match="without TLS"):
        await world.edge(is_remote=True, inside_advertised_host="edge-1.parley")
