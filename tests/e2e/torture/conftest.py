"""A platform whose tenant owns the domains of the examples; its log is judged when it stops."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from ipaddress import ip_network

import httpx2
import pytest
from tests.e2e.torture.peer import Peer

from parley.testkit.phones.line import Line
from parley.testkit.phones.raw_phone import RawPhone
from parley.testkit.platform.running import Platform, Topology

_DOMAINS = ("example.com", "example.net", "example.org", "company.com")
_USERS = ("user", "j.user", "watson")
_FIRST_NUMBER = 3000
_PASSWORD = "correct-horse-4475"
_KNOWN_S = 10.0
_POLL_S = 0.05

Account = Callable[[str], Line]
MakePeer = Callable[[str, int], Peer]


@pytest.fixture(scope="session")
def silent() -> Iterator[dict[str, Peer]]:
    """Peers that heard nothing, by their test, nor may until the platform has stopped."""
    peers: dict[str, Peer] = {}
    yield peers
    late = {test: heard for test, peer in peers.items() if (heard := peer.unheard())}
    for peer in peers.values():
        peer.close()
    assert not late, "answered late instead of dropped"


@pytest.fixture(scope="session")
def platform(
    tmp_path_factory: pytest.TempPathFactory,
    untimed: Callable[[], AbstractContextManager[None]],
    silent: dict[str, Peer],
) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform-torture")
    with untimed():
        running = Platform(Topology.ALLINONE, folder, settings={"PARLEY_DRAIN_S": "3"})
    try:
        with untimed():
            _own_domains(running)
        yield running
    finally:
        with untimed():
            running.stop()


def _own_domains(platform: Platform) -> None:
    demo = platform.demo
    tenant = f"/v1/tenants/{demo.tenant_id}"
    headers = {"Authorization": f"Bearer {demo.api_token}"}
    with httpx2.Client(base_url=demo.api_url, headers=headers, timeout=5.0) as http:
        http.patch(tenant, json={"further_domains": _DOMAINS}).raise_for_status()
        for number, user in enumerate(_USERS, start=_FIRST_NUMBER):
            body = {"number": str(number), "auth_name": user, "password": _PASSWORD}
            http.post(f"{tenant}/extensions", json=body).raise_for_status()
    until = time.perf_counter() + _KNOWN_S
    with RawPhone(Line("user", _PASSWORD, _DOMAINS[-1]), demo.sip) as phone:
        while phone.transact(phone.request("REGISTER")).status == 404:
            assert time.perf_counter() < until, "the edge does not know the domains of the tenant"
            time.sleep(_POLL_S)


@pytest.fixture(scope="session")
def account() -> Account:
    """The line of a user of the RFCs."""
    return lambda user: Line(user, _PASSWORD, _DOMAINS[0])


@pytest.fixture(scope="session")
def hosts() -> Iterator[str]:
    """Loopback addresses: one that nobody has used hears no late answer to somebody else."""
    network = ip_network(f"127.{100 + secrets.randbelow(100)}.{4 * secrets.randbelow(64)}.0/22")
    return map(str, network.hosts())


@pytest.fixture
def make_peer(
    request: pytest.FixtureRequest,
    platform: Platform,
    silent: dict[str, Peer],
    hosts: Iterator[str],
) -> Iterator[MakePeer]:
    """Strangers by transport and by the port that they say they listen at."""
    peers: list[Peer] = []

    def make(transport: str, port: int) -> Peer:
        peers.append(Peer(transport, next(hosts), port, platform.demo.sip))
        return peers[-1]

    yield make
    for peer in peers:
        if peer.answers:
            peer.close()
        else:
            silent[request.node.name] = peer


@pytest.fixture(scope="session")
def stranger(platform: Platform) -> Iterator[RawPhone]:
    """Somebody else, to whom the edge answers all the while."""
    with RawPhone(Line("7777", "no-password", platform.demo.domain), platform.demo.sip) as phone:
        yield phone
