"""Nodes on loopback sockets, and a certificate made for this run."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from parley.sip.timers import DEFAULT_TIMERS, Timers
from parley.siptransport.limits import DEFAULT_LIMITS, TransportLimits
from parley.siptransport.policy import DEFAULT_POLICY, NodePolicy
from parley.testkit.sip_peer import MakePeer, SipPeer


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each test runs on both loops: services use uvloop, other tests the standard one."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def make_peer() -> AsyncIterator[MakePeer]:
    peers: list[SipPeer] = []

    def make(
        timers: Timers = DEFAULT_TIMERS,
        limits: TransportLimits = DEFAULT_LIMITS,
        client_tls: ssl.SSLContext | None = None,
        policy: NodePolicy = DEFAULT_POLICY,
    ) -> SipPeer:
        peers.append(SipPeer(timers, limits, client_tls, policy))
        return peers[-1]

    yield make
    for peer in peers:
        await peer.node.aclose()


@pytest.fixture
def peer(make_peer: MakePeer) -> SipPeer:
    """One of the usual kind."""
    return make_peer()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost and 127.0.0.1, with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)  # noqa: TID251 - the validity of a real certificate
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def client_tls(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))
