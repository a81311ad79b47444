"""Responses without transaction, and responses whose way back is gone."""

import pytest
from tests.unit.edgeproxy.proxy_bench import Bench

from parley.edgeproxy.proxy.strays import MAX_REROUTES
from parley.model import rendezvous
from parley.sip.hop import Hop
from parley.sip.message import Response, response_to
from parley.testkit.sip_messages import make_request

FLOW = Hop("local", "elsewhere", 40000, 5)


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.start("cm1", "cm2", "cm3")
    return bench


def _from_phone(bench: Bench, listener: str, method: str = "INVITE", status: int = 200) -> Response:
    """A phone's response to what the call manager at `listener` sent through some edge."""
    request = make_request(method)
    upstream = f"SIP/2.0/LOCAL callmanager.parley.internal;parley-host={listener};parley-port=0"
    # Listeners of the local network have port 0, which no parameter can say: sent-by does.
    upstream = upstream if "." in listener else f"SIP/2.0/LOCAL {listener}"
    request.prepend("via", f"{upstream};branch=z9hG4bK-call-1-2-1")
    branch = bench.derivation.branch(request)
    request.prepend("via", f"SIP/2.0/UDP 192.0.2.100:5060;branch={branch}")
    return response_to(request, status, to_tag="b")


def _to_phone(status: int, method: str = "INVITE") -> Response:
    request = make_request(method)
    request.prepend(
        "via", "SIP/2.0/UDP 10.0.0.1:5060;received=192.0.2.1;rport=4444;branch=z9hG4bKp"
    )
    request.prepend("via", "SIP/2.0/TCP 192.0.2.50:5070;branch=z9hG4bKe")
    return response_to(request, status, to_tag="b")


@pytest.mark.parametrize(("method", "status"), [("INVITE", 200), ("INVITE", 486), ("BYE", 200)])
async def test_what_an_edge_forwarded_comes_back_through_another(
    bench: Bench, method: str, status: int
) -> None:
    bench.strays.on_stray(_from_phone(bench, "cm1", method, status), is_inside=False)

    ((response, hop),) = bench.node.sent
    assert hop.host == "cm1"
    assert len(response.get_all("via")) == 1


async def test_a_response_for_a_call_manager_that_is_gone_goes_to_the_successor(
    bench: Bench,
) -> None:
    bench.strays.on_stray(_from_phone(bench, "192.0.2.9"), is_inside=False)

    ((_, hop),) = bench.node.sent
    assert hop.host == rendezvous.choose("call-1", ("cm1", "cm2", "cm3"))


async def test_a_forged_response_is_dropped(bench: Bench) -> None:
    forged = _from_phone(bench, "cm1")
    _, upstream = forged.values("via")
    forged.set("via", f"SIP/2.0/UDP 192.0.2.100:5060;branch=z9hG4bK{'0' * 32}, {upstream}")
    elsewhere = _from_phone(bench, "cm1")
    mine, upstream = elsewhere.values("via")
    elsewhere.set("via", f"{mine.replace('192.0.2.100', '192.0.2.101')}, {upstream}")

    for response in (forged, elsewhere):
        bench.strays.on_stray(response, is_inside=False)
    assert bench.node.sent == []


@pytest.mark.parametrize(("method", "status"), [("INVITE", 180), ("INVITE", 486), ("BYE", 200)])
async def test_a_call_managers_response_goes_on_to_the_phone(
    bench: Bench, method: str, status: int
) -> None:
    bench.strays.on_stray(_to_phone(status, method), is_inside=True)

    ((_, hop),) = bench.node.sent
    assert hop == Hop("udp", "192.0.2.1", 4444)


async def test_trying_goes_nowhere(bench: Bench) -> None:
    bench.strays.on_stray(_to_phone(100), is_inside=True)
    bench.strays.on_stray(_from_phone(bench, "cm1", status=100), is_inside=False)

    assert bench.node.sent == []


async def test_a_via_opens_no_connection_to_a_phone(bench: Bench) -> None:
    response = _to_phone(200)
    _, phone = response.values("via")
    response.set("via", f"SIP/2.0/TCP 192.0.2.50:5070, {phone.replace('UDP', 'TCP')}")
    bench.strays.on_stray(response, is_inside=True)

    assert bench.node.sent == []


def _bared(bench: Bench, listener: str) -> Response:
    response = _from_phone(bench, listener)
    response.remove_first_value("via")
    response.listener = bench.addresses.inside
    return response


async def test_a_lost_connection_is_replaced_by_a_new_one_to_the_same_call_manager(
    bench: Bench,
) -> None:
    hop = bench.strays.reroute(_bared(bench, "cm2"), FLOW)

    assert hop is not None
    assert hop.host == "cm2"


async def test_a_call_manager_that_refuses_is_replaced_by_the_successor(bench: Bench) -> None:
    response = _bared(bench, "cm2")
    hop = bench.strays.reroute(response, FLOW)
    assert hop is not None
    other = bench.strays.reroute(response, hop)

    assert other is not None
    assert other.host == rendezvous.choose("call-1", ("cm1", "cm3"))


async def test_rerouting_comes_to_an_end(bench: Bench) -> None:
    response = _bared(bench, "cm2")
    tries = [bench.strays.reroute(response, FLOW) for _ in range(MAX_REROUTES + 1)]

    assert None not in tries[:-1]
    assert tries[-1] is None


@pytest.mark.parametrize(
    "via",
    [
        "SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKp",
        "SIP/2.0/TCP x;parley-host=cm1;parley-port=5070;branch=z9hG4bKp",
        "SIP/2.0/TCP cm1:0;branch=z9hG4bK-call-1-2-1",
    ],
)
async def test_the_answer_to_a_phone_has_no_other_way_than_its_connection(
    bench: Bench, via: str
) -> None:
    response = _to_phone(200)
    response.set("via", via)
    response.listener = bench.addresses.outside["udp"]

    assert bench.strays.reroute(response, Hop("tcp", "192.0.2.1", 40000, 9)) is None
