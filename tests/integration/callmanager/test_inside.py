"""A call manager believes edges that prove themselves, and nobody else."""

import asyncio
import ssl
from contextlib import suppress

import pytest
from tests.cluster.authority import Authority

from parley.callmanager.app import CallManager
from parley.callmanager.settings import CallManagerSettings
from parley.edgeproxy.settings import EdgeSettings
from parley.service.errors import StartError
from parley.service.inside import Inside, InsideSettings
from parley.service.tls import TlsFiles, client_context
from parley.sip.hop import Hop
from parley.sip.transaction import ResponseReceived
from parley.siptransport.node import SipNode
from parley.siptransport.policy import NodePolicy
from parley.testkit.sip_handler import RecordingHandler
from parley.testkit.sip_messages import make_request

from .conftest import World

SECRET = "a secret of the platform"


@pytest.fixture(params=["tls", "token"])
def inside(request: pytest.FixtureRequest, authority: Authority) -> dict[str, InsideSettings]:
    """The settings of an edge and of a call manager."""
    if request.param == "token":
        return dict.fromkeys(("edgeproxy", "callmanager"), InsideSettings.load(secret=SECRET))
    found = {}
    for role in ("edgeproxy", "callmanager"):
        files = authority.issue_role(role)
        found[role] = InsideSettings.load(
            tls_certificate=files.certificate, tls_key=files.key, tls_ca=files.ca
        )
    return found


def listener_of(manager: CallManager) -> Hop:
    (transport,) = manager.node.transports.values()
    hop = transport.sent_by(Hop(transport.name, "127.0.0.1", 0))
    assert hop is not None
    return hop


def forged(hop: Hop, tenant: str) -> bytes:
    """An INVITE that names its tenant and caller itself."""
    request = make_request("INVITE")
    request.prepend("via", f"SIP/2.0/{hop.transport.upper()} 127.0.0.1:9;branch=z9hG4bKforged")
    request.add("x-parley-tenant", tenant)
    request.add("p-asserted-identity", "<sip:1001@demo.test>")
    return bytes(request)


async def test_invite_that_a_stranger_has_forged_makes_no_call(
    world: World, inside: dict[str, InsideSettings]
) -> None:
    world.network = None
    manager = await world.start_manager(inside=inside["callmanager"])
    hop = listener_of(manager)
    tls = None
    if hop.transport == "tls":
        tls = client_context(TlsFiles(ca=inside["edgeproxy"].tls_ca), checks_name=False)
    said = b""
    with suppress(ConnectionError, ssl.SSLError):
        async with asyncio.timeout(8):
            reader, writer = await asyncio.open_connection(hop.host, hop.port, ssl=tls)
            writer.write(forged(hop, world.tenant))
            try:
                said = await reader.read()
            finally:
                writer.transport.abort()

    assert said == b""
    assert manager.node.counts.received == 0
    assert len(manager.calls) == 0


async def test_edge_that_proves_itself_is_answered(
    world: World, inside: dict[str, InsideSettings]
) -> None:
    world.network = None
    manager = await world.start_manager(inside=inside["callmanager"])
    handler = RecordingHandler()
    proof = Inside(inside["edgeproxy"], "edgeproxy", ("callmanager",), world.clock)
    edge = SipNode(world.clock, world.ids, handler, policy=NodePolicy(inside=proof))

    request = make_request("OPTIONS")
    request.uri = "sip:999@demo.test"
    request.add("x-parley-tenant", world.tenant)
    request.add("p-asserted-identity", "<sip:1001@demo.test>")

    edge.send_request(request, listener_of(manager))

    try:
        assert (await handler.next(ResponseReceived)).response.status == 200
    finally:
        await edge.aclose()


async def test_call_manager_that_others_could_reach_does_not_start(world: World) -> None:
    world.network = None
    with pytest.raises(StartError, match="without TLS"):
        await world.start_manager(host="127.0.0.1", advertised_host="192.0.2.1")


def test_services_share_their_inside_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_INSIDE_SECRET", SECRET)

    assert EdgeSettings.load().inside == CallManagerSettings.load().inside
