"""Call ids and branches that every edge derives alike."""

import pytest

from parley.edgeproxy.routing.derivation import Derivation, call_of
from parley.sip.headers import parse_via
from parley.sip.message import Request, Response, response_to
from parley.testkit.sip_messages import make_request

EDGE, OTHER_EDGE = Derivation(b"shared"), Derivation(b"shared")
CREDENTIALS = 'Digest username="1001", nonce="n1", nc=00000001, response="r"'
UPSTREAM = "SIP/2.0/TCP callmanager.parley.internal;parley-host=192.0.2.7;parley-port=5080"


def _invite(branch: str = "z9hG4bKp1", credentials: str = CREDENTIALS, cseq: int = 2) -> Request:
    request = make_request(cseq=cseq)
    request.prepend("via", f"SIP/2.0/UDP 192.0.2.1:5060;branch={branch};rport")
    if credentials:
        request.add("proxy-authorization", credentials)
    return request


def _answer(branch_maker: Derivation = EDGE) -> Response:
    """A phone's response to a request that an edge has forwarded."""
    request = make_request()
    request.prepend("via", f"{UPSTREAM};branch=z9hG4bK-call7-1-b")
    branch = branch_maker.branch(request)
    request.prepend("via", f"SIP/2.0/UDP 192.0.2.100:5060;branch={branch}")
    return response_to(request, 200, to_tag="b")


def test_an_invite_is_the_same_call_at_every_edge_and_over_every_flow() -> None:
    first = EDGE.call_id(_invite())

    assert OTHER_EDGE.call_id(_invite(branch="z9hG4bKother")) == first
    assert len(first) == 24
    assert "-" not in first


@pytest.mark.parametrize(
    "other",
    [_invite(cseq=3), _invite(credentials=CREDENTIALS.replace("00000001", "00000002"))],
    ids=["later request", "later count"],
)
def test_another_invite_is_another_call(other: Request) -> None:
    assert EDGE.call_id(other) != EDGE.call_id(_invite())


def test_without_credentials_the_branch_tells_calls_apart() -> None:
    first = EDGE.call_id(_invite(credentials=""))

    assert EDGE.call_id(_invite(credentials="")) == first
    assert EDGE.call_id(_invite("z9hG4bKp2", credentials="")) != first


def test_a_stranger_cannot_tell_the_id_of_a_call() -> None:
    assert Derivation(b"else").call_id(_invite()) != EDGE.call_id(_invite())


def test_a_branch_depends_on_request_and_method_and_is_the_same_at_every_edge() -> None:
    assert OTHER_EDGE.branch(_invite()) == EDGE.branch(_invite())
    assert EDGE.branch(_invite("z9hG4bKp2")) != EDGE.branch(_invite())
    bye = make_request("BYE")
    bye.copy_lines("via", _invite())
    assert EDGE.branch(bye) != EDGE.branch(_invite())


def test_an_ack_has_the_branch_of_its_invite() -> None:
    ack = make_request("ACK")
    ack.copy_lines("via", _invite())

    assert EDGE.branch(ack) == EDGE.branch(_invite())


def test_a_cancel_has_the_branch_of_its_invite() -> None:
    cancel = make_request("CANCEL")
    cancel.copy_lines("via", _invite())

    assert OTHER_EDGE.branch(cancel) == EDGE.branch(_invite())


def test_a_client_without_magic_cookie_gets_a_branch_as_well() -> None:
    assert EDGE.branch(_invite("1")).startswith("z9hG4bK")
    assert EDGE.branch(_invite("1")) != EDGE.branch(_invite("1", cseq=3))


def test_a_response_proves_that_an_edge_forwarded_the_request() -> None:
    assert OTHER_EDGE.is_own(_answer())
    assert not EDGE.is_own(_answer(Derivation(b"else")))


def test_a_response_with_another_way_back_proves_nothing() -> None:
    response = _answer()
    mine, _ = response.values("via")
    response.set("via", f"{mine}, SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK-call7-1-b")
    assert not EDGE.is_own(response)

    response.set("via", mine)
    assert not EDGE.is_own(response)


@pytest.mark.parametrize(
    ("branch", "call_id"),
    [
        ("z9hG4bK-call7-3-12", "call7"),
        ("z9hG4bK-a-b-3-12", "a-b"),
        ("z9hG4bKcall7-3-12", ""),
        ("z9hG4bK-call7", ""),
        ("x", ""),
    ],
)
def test_a_call_managers_branch_names_its_call(branch: str, call_id: str) -> None:
    assert call_of(parse_via(f"SIP/2.0/TCP cm.test;branch={branch}")) == call_id
