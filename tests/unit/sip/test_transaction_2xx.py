"""The 2xx to INVITE (RFC 6026, RFC 3261 13.3.1.4): sent until its ACK comes, which surfaces."""

from math import inf

import pytest

from parley.sip.hop import Hop
from parley.sip.message import Request
from parley.sip.transaction import (
    AckReceived,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    State,
    TransactionFailed,
)
from parley.testkit.sip_messages import make_request, make_response
from parley.testkit.sip_pair import SipPair


def _receive(pair: SipPair) -> ServerTransaction:
    pair.left.layer.send_request(make_request(), pair.right.hop, pair.now)
    pair.run()
    return pair.right.next_event(RequestReceived).transaction


def _ack(pair: SipPair, branch: str = "z9hG4bKack", *, tag: str = "b1", cseq: int = 1) -> Request:
    ack = make_request("ACK", to_tag=tag, cseq=cseq)
    ack.prepend("via", f"SIP/2.0/UDP left.test:5060;branch={branch};rport")
    ack.source = pair.left.hop
    return ack


@pytest.mark.parametrize("transport", ["udp", "tcp", "local"])
def test_a_2xx_is_sent_again_up_to_every_t2_whatever_the_transport(transport: str) -> None:
    pair = SipPair(transport)
    server = _receive(pair)
    server.user = "call"
    pair.right.layer.send_until_ack(server, make_response(server, 200), pair.now)

    pair.run(40)

    sent = pair.right.sent_at("200")
    assert sent == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    failed = pair.right.next_event(TransactionFailed)
    assert (failed.transaction, failed.cause) == (server, "timeout")
    assert not pair.right.events
    assert pair.right.layer.next_timeout() == inf
    assert len([e for e in pair.left.events if isinstance(e, ResponseReceived)]) == 11


def test_the_ack_stops_the_2xx_and_is_reported_each_time() -> None:
    pair = SipPair("udp")
    server = _receive(pair)
    pair.right.layer.send_until_ack(server, make_response(server, 200), pair.now)
    pair.run(1)
    pair.right.layer.receive_message(_ack(pair), pair.now)
    pair.right.layer.receive_message(_ack(pair), pair.now)
    pair.run(40)

    assert pair.right.sent_at("200") == [0, 0.5]
    assert [pair.right.next_event(AckReceived).request.method for _ in range(2)] == ["ACK", "ACK"]
    assert not pair.right.events
    assert server.state is State.TERMINATED


@pytest.mark.parametrize(("tag", "cseq"), [("other", 1), ("b1", 2)])
def test_an_ack_of_something_else_does_not_stop_it(tag: str, cseq: int) -> None:
    pair = SipPair("udp")
    server = _receive(pair)
    pair.right.layer.send_until_ack(server, make_response(server, 200), pair.now)
    pair.right.layer.receive_message(_ack(pair, tag=tag, cseq=cseq), pair.now)
    pair.run(5)
    assert pair.right.sent_at("200") == [0, 0.5, 1.5, 3.5]


def test_an_ack_with_the_invites_branch_is_reported_in_accepted() -> None:
    pair = SipPair("udp")
    server = _receive(pair)
    pair.right.layer.send_until_ack(server, make_response(server, 200), pair.now)
    branch = server.request.via.branch
    assert branch is not None
    pair.right.layer.receive_message(_ack(pair, branch), pair.now)
    pair.run(10)

    assert pair.right.next_event(AckReceived).request.via.branch == branch
    assert pair.right.sent_at("200") == [0]


def test_the_owner_can_stop_the_2xx_when_the_dialog_ends_before() -> None:
    pair = SipPair("udp")
    server = _receive(pair)
    reliable = pair.right.layer.send_until_ack(server, make_response(server, 200), pair.now)
    assert reliable is not None
    reliable.stop()
    reliable.stop()
    pair.run(40)
    assert pair.right.sent_at("200") == [0]
    assert not pair.right.events


def test_a_2xx_after_another_final_is_neither_sent_nor_repeated() -> None:
    pair = SipPair("udp")
    server = _receive(pair)
    server.send_response(make_response(server, 487), pair.now)
    assert pair.right.layer.send_until_ack(server, make_response(server, 200), pair.now) is None
    pair.run(40)
    assert pair.right.sent_at("200") == []


def test_sending_a_2xx_twice_keeps_one_retransmission() -> None:
    pair = SipPair("udp")
    server = _receive(pair)
    for _ in range(2):
        pair.right.layer.send_until_ack(server, make_response(server, 200), pair.now)
    pair.run(0.6)
    assert pair.right.sent_at("200") == [0, 0, 0.5]


def test_an_unreachable_caller_ends_the_2xx_and_is_reported_once() -> None:
    pair = SipPair("udp")
    server = _receive(pair)
    response = make_response(server, 200)
    pair.right.layer.send_until_ack(server, response, pair.now)
    pair.right.layer.message_failed(response, pair.now)
    pair.run(31)
    assert pair.right.next_event(TransactionFailed) == (server, "transport")
    assert not pair.right.events
    assert pair.right.sent_at("200") == [0]


def test_a_2xx_that_comes_after_timer_m_is_stray() -> None:
    pair = SipPair("udp")
    server = _receive(pair)
    response = make_response(server, 200)
    server.send_response(response, pair.now)
    pair.run(33)
    pair.left.events.clear()
    pair.left.layer.receive_message(response, pair.now)
    event = pair.left.layer.events.popleft()
    assert type(event).__name__ == "StrayResponse"


def test_an_ack_without_transaction_is_reported() -> None:
    pair = SipPair("udp")
    ack = _ack(pair)
    pair.right.layer.receive_message(ack, pair.now)
    assert pair.right.layer.events.popleft() == AckReceived(ack)
    assert pair.right.layer.server_count == 0
    assert isinstance(ack.source, Hop)
