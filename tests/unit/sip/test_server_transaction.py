"""Server transactions over a link: automatic 100, timers G, H, I, J, L."""

import pytest

from parley.sip.timers import Timers
from parley.sip.transaction import (
    AckReceived,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    TransactionFailed,
)
from parley.testkit.sip_messages import make_request, make_response
from parley.testkit.sip_pair import SipPair


def _receive(pair: SipPair, method: str = "INVITE") -> ServerTransaction:
    pair.left.layer.send_request(make_request(method), pair.right.hop, pair.now)
    pair.run()
    return pair.right.next_event(RequestReceived).transaction


def _answer(pair: SipPair, transaction: ServerTransaction, status: int) -> None:
    transaction.send_response(make_response(transaction, status), pair.now)


def test_100_is_sent_after_200_ms_only_if_the_user_said_nothing() -> None:
    pair = SipPair("udp")
    _receive(pair)
    pair.run(1)
    assert pair.right.sent_at("100") == [0.2]

    pair = SipPair("udp")
    transaction = _receive(pair)
    pair.run(0.1)
    _answer(pair, transaction, 180)
    pair.run(1)
    assert pair.right.sent_at("100") == []


def test_100_is_sent_at_once_when_the_layer_is_a_proxys() -> None:
    pair = SipPair("udp", Timers(trying=0))
    _receive(pair)
    _receive(pair, "OPTIONS")
    pair.run(1)
    assert pair.right.sent_at("100") == [0]


def test_a_retransmitted_request_is_answered_by_the_last_response_and_reported_once() -> None:
    pair = SipPair("udp")
    pair.right.lose([True, True, True])
    transaction = _receive(pair)
    _answer(pair, transaction, 180)

    pair.run(10)

    assert pair.left.sent_at("INVITE") == [0, 0.5, 1.5, 3.5]
    assert pair.right.sent_at("180") == [0, 0.5, 1.5, 3.5]
    assert not pair.right.events


def test_invite_failure_is_retransmitted_up_to_every_t2_until_timer_h() -> None:
    pair = SipPair("udp")
    transaction = _receive(pair)
    transaction.user = "call"
    pair.left.lose([True] * 100)
    _answer(pair, transaction, 486)

    pair.run(40)

    sent = pair.right.sent_at("486")
    assert sent == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    failed = pair.right.next_event(TransactionFailed)
    assert (failed.transaction.user, failed.cause) == ("call", "timeout")
    assert pair.right.layer.server_count == 0


def test_invite_failure_over_tcp_is_sent_once_and_still_needs_its_ack() -> None:
    pair = SipPair("tcp")
    transaction = _receive(pair)
    pair.left.lose([True] * 100)
    _answer(pair, transaction, 486)

    pair.run(40)

    assert pair.right.sent_at("486") == [0]
    assert pair.right.next_event(TransactionFailed).cause == "timeout"


def test_the_ack_ends_retransmissions_and_timer_i_the_transaction() -> None:
    pair = SipPair("udp")
    transaction = _receive(pair)
    _answer(pair, transaction, 486)
    pair.run(4.9)

    assert pair.right.sent_at("486") == [0]
    assert transaction.state.name == "CONFIRMED"
    pair.run(0.2)
    assert transaction.state.name == "TERMINATED"
    assert not pair.right.events


def test_other_requests_are_answered_again_until_timer_j() -> None:
    pair = SipPair("udp")
    pair.right.lose([True, True])
    transaction = _receive(pair, "BYE")
    _answer(pair, transaction, 200)
    pair.run(31)

    assert pair.right.sent_at("200") == [0, 0.5, 1.5]
    assert transaction.state.name == "COMPLETED"
    pair.run(1.1)
    assert transaction.state.name == "TERMINATED"


def test_a_second_final_response_and_late_provisionals_are_dropped() -> None:
    pair = SipPair("udp")
    for method in ("INVITE", "BYE"):
        transaction = _receive(pair, method)
        for status in (486, 200, 180, 500):
            _answer(pair, transaction, status)
        pair.run(0.1)
        assert transaction.response is not None
        assert transaction.response.status == 486
    assert {sent.what for sent in pair.right.sent} == {"486"}


def test_a_request_that_nobody_answers_is_forgotten_in_the_end() -> None:
    pair = SipPair("udp")
    _receive(pair, "MESSAGE")
    pair.run(63)
    assert pair.right.layer.server_count == 1
    pair.run(2)
    assert pair.right.layer.server_count == 0
    assert not pair.right.events


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_accepted_invite_absorbs_retransmissions_until_timer_l(transport: str) -> None:
    pair = SipPair(transport)
    transaction = _receive(pair)
    _answer(pair, transaction, 200)
    pair.run(1)
    # RFC 6026 7.1: the INVITE again is not answered; the 2xx is the user's to repeat.
    again = transaction.request.copy()
    pair.right.layer.receive_message(again, pair.now)
    pair.run(30)

    assert pair.right.sent_at("200") == [0]
    assert not pair.right.events
    assert transaction.state.name == "ACCEPTED"
    pair.run(1.1)
    assert transaction.state.name == "TERMINATED"


def test_responses_go_where_the_via_and_the_source_say() -> None:
    pair = SipPair("udp")
    request = make_request("OPTIONS")
    request.prepend("via", "SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bKr;received=192.0.2.7")
    request.source = pair.left.hop._replace(host="192.0.2.7", port=40000)
    pair.right.layer.receive_message(request, pair.now)
    pair.right.drain(lambda side, data: None)
    transaction = pair.right.next_event(RequestReceived).transaction
    # Without rport: the source address, but the port written (RFC 3261 18.2.2).
    assert (transaction.hop.host, transaction.hop.port) == ("192.0.2.7", 5062)
    assert isinstance(transaction, ServerTransaction)


def test_the_client_sees_what_the_server_sent() -> None:
    pair = SipPair("udp", latency_s=0.05)
    pair.left.layer.send_request(make_request(), pair.right.hop, pair.now)
    pair.run(0.05)
    transaction = pair.right.next_event(RequestReceived).transaction
    for status in (180, 183, 603):
        _answer(pair, transaction, status)
    pair.run(0.2)
    statuses = [pair.left.next_event(ResponseReceived).response.status for _ in range(3)]
    assert statuses == [180, 183, 603]


def test_an_answered_request_is_forgotten_but_its_response_still_repeated() -> None:
    pair = SipPair("udp")
    pair.right.lose([True])
    transaction = _receive(pair, "REGISTER")
    assert transaction.request.has("call-id")
    _answer(pair, transaction, 200)

    pair.run(1)

    assert transaction.request.method == "REGISTER"
    assert not transaction.request.header_names()
    assert pair.left.next_event(ResponseReceived).response.status == 200


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_stateless_answer_is_sent_once_and_leaves_nothing(transport: str, method: str) -> None:
    pair = SipPair(transport)
    pair.right.lose([True])
    transaction = _receive(pair, method)

    transaction.respond_once(make_response(transaction, 407))
    assert pair.right.layer.server_count == 0
    _answer(pair, transaction, 486)
    pair.run(0.4)

    assert pair.right.sent_at("407") == [0]
    assert pair.right.sent_at("486") == []
    assert not pair.right.layer._context.by_flow


def test_a_request_repeated_after_a_stateless_answer_is_a_new_one() -> None:
    pair = SipPair("udp")
    pair.right.lose([True])
    first = _receive(pair)
    first.respond_once(make_response(first, 407))
    pair.run(0.6)
    second = pair.right.next_event(RequestReceived).transaction
    assert second is not first

    second.respond_once(make_response(second, 407))
    pair.run()

    assert pair.left.next_event(ResponseReceived).response.status == 407
    assert pair.right.next_event(AckReceived).request.method == "ACK"
    assert pair.right.layer.server_count == 0


def test_an_unverified_source_gets_no_more_than_three_times_what_it_sent() -> None:
    pair = SipPair("udp")
    transaction = _receive(pair)
    size = transaction.request.received_bytes
    assert size == len(bytes(pair.left.sent[0].message))
    response = make_response(transaction, 407)
    response.body = b"x" * 3 * size

    transaction.respond_once(response)
    pair.run(0.4)

    assert pair.right.sent_at("407") == []
    assert pair.right.layer.server_count == 0
