"""Flows in tokens: a UDP flow belongs to a public address, not to one process."""

from parley.edgeproxy.routing.addresses import EdgeAddresses
from parley.edgeproxy.routing.routes import Routes
from parley.edgeproxy.routing.token import TokenCodec
from parley.sip.hop import Hop
from parley.sip.message import Request

PHONE = Hop("udp", "198.51.100.7", 40000)
CONNECTION = Hop("tcp", "198.51.100.7", 40000, 17)


def _edge(host: str = "192.0.2.1", port: int = 5060) -> EdgeAddresses:
    addresses = EdgeAddresses()
    addresses.add_outside(Hop("udp", host, port))
    addresses.set_inside(Hop("tcp", "10.0.0.1", 5070))
    return addresses


def test_a_udp_flow_is_good_at_every_edge_of_the_same_address() -> None:
    assert _edge().own_flow(_edge().shared_flow(PHONE)) == PHONE


def test_a_udp_flow_of_another_address_is_not() -> None:
    flow = _edge().shared_flow(PHONE)

    assert _edge(host="192.0.2.2").own_flow(flow) is None
    assert _edge(port=5062).own_flow(flow) is None


def test_a_connection_keeps_its_number() -> None:
    addresses = _edge()

    assert addresses.own_flow(addresses.shared_flow(CONNECTION)) == CONNECTION


def test_a_path_written_by_one_edge_is_read_by_another() -> None:
    here, there = _edge(), _edge()
    path = Routes(TokenCodec(b"secret"), here).path(PHONE)
    request = Request("INVITE", "sip:1002@198.51.100.7")
    request.add("route", path)

    token = Routes(TokenCodec(b"secret"), there).take_own(request)
    assert token is not None
    assert there.own_flow(token.flow) == PHONE


def test_a_transport_that_was_closed_reaches_nobody() -> None:
    addresses = _edge()
    assert addresses.has_outside("udp")

    addresses.close_outside("udp")
    assert not addresses.has_outside("udp")
