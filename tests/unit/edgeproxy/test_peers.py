"""Trusted peers: found by address, with or without port."""

import pytest

from parley.edgeproxy.identity.peers import TrustedPeers, parse_peers
from parley.sip.hop import Hop


def test_peer_is_found_by_address_and_port() -> None:
    peers = TrustedPeers(
        ["192.0.2.1:5060=One.test", "192.0.2.2=two.test", "[2001:db8::1]=six.test"]
    )

    assert peers.domain_of(Hop("udp", "192.0.2.1", 5060)) == "one.test"
    assert peers.domain_of(Hop("udp", "192.0.2.1", 5061)) is None
    assert peers.domain_of(Hop("udp", "192.0.2.2", 40000)) == "two.test"
    assert peers.domain_of(Hop("udp", "2001:db8::1", 1)) == "six.test"
    assert TrustedPeers([]).domain_of(Hop("udp", "192.0.2.2", 1)) is None


@pytest.mark.parametrize(
    "text", ["192.0.2.1", "=demo.test", "host=demo.test", "192.0.2.1:0=a", "192.0.2.1:x=a", "1=a"]
)
def test_malformed_peer_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not ip|IP address|no port"):
        parse_peers([text])


def test_peer_with_two_domains_is_an_error() -> None:
    with pytest.raises(ValueError, match="two domains"):
        parse_peers(["192.0.2.1=a.test", "192.0.2.1=b.test"])
