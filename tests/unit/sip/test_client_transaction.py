"""Client transactions over a link: timers A, B, D, E, F, K, M and C."""

import pytest

from parley.sip.transaction import (
    RequestReceived,
    ResponseReceived,
    StrayResponse,
    TransactionFailed,
)
from parley.testkit.sip_messages import make_request, make_response
from parley.testkit.sip_pair import SipPair


def test_invite_is_retransmitted_at_doubling_intervals_until_timer_b() -> None:
    pair = SipPair("udp")
    pair.left.lose([True] * 100)

    transaction = pair.left.layer.send_request(make_request(), pair.right.hop, pair.now, "me")
    pair.run(40)

    assert pair.left.sent_at("INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert pair.left.next_event(TransactionFailed) == (transaction, "timeout")
    assert transaction.user == "me"
    assert transaction.state.name == "TERMINATED"
    assert pair.left.layer.client_count == 0


def test_other_requests_are_retransmitted_up_to_every_t2_until_timer_f() -> None:
    pair = SipPair("udp")
    pair.left.lose([True] * 100)

    pair.left.layer.send_request(make_request("OPTIONS"), pair.right.hop, pair.now)
    pair.run(40)

    sent = pair.left.sent_at("OPTIONS")
    assert sent == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert pair.left.next_event(TransactionFailed).cause == "timeout"


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_nothing_is_retransmitted_over_a_reliable_transport(method: str) -> None:
    pair = SipPair("tcp")
    pair.left.lose([True])

    pair.left.layer.send_request(make_request(method), pair.right.hop, pair.now)
    pair.run(31.9)
    assert pair.left.sent_at(method) == [0]
    assert not pair.left.events
    pair.run(0.1)
    assert pair.left.next_event(TransactionFailed).cause == "timeout"


def test_invite_retransmission_stops_at_the_first_provisional() -> None:
    pair = SipPair("udp")

    pair.left.layer.send_request(make_request(), pair.right.hop, pair.now)
    pair.run(30)

    # The peer's user says nothing, so its layer sends 100 after 200 ms.
    assert pair.left.sent_at("INVITE") == [0]
    assert pair.right.sent_at("100") == [0.2]
    assert pair.left.next_event(ResponseReceived).response.status == 100


def test_after_a_provisional_other_requests_are_retransmitted_every_t2() -> None:
    pair = SipPair("udp")
    pair.left.layer.send_request(make_request("OPTIONS"), pair.right.hop, pair.now)
    pair.run()
    request = pair.right.next_event(RequestReceived)
    request.transaction.send_response(make_response(request.request, 183), pair.now)

    pair.run(33)

    assert pair.left.sent_at("OPTIONS") == [0, 0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
    # Each retransmission is answered by the same provisional.
    assert len(pair.right.sent_at("183")) == 9


def test_invite_failure_is_acknowledged_each_time_and_reported_once_until_timer_d() -> None:
    pair = SipPair("udp")
    transaction = pair.left.layer.send_request(make_request(), pair.right.hop, pair.now)
    pair.run()
    request = pair.right.next_event(RequestReceived)
    pair.left.lose([True, True])  # the first two ACKs
    request.transaction.send_response(make_response(request.request, 486), pair.now)

    pair.run(10)

    assert pair.right.sent_at("486") == [0, 0.5, 1.5]
    assert pair.left.sent_at("ACK") == [0, 0.5, 1.5]
    assert pair.left.next_event(ResponseReceived).response.status == 486
    assert not pair.left.events
    assert not pair.right.events
    assert transaction.state.name == "COMPLETED"
    pair.run(21.9)
    assert pair.left.layer.client_count == 1
    pair.run(0.2)
    assert pair.left.layer.client_count == 0
    # Timer I took the server's side 5 s after the ACK that arrived.
    assert pair.right.layer.server_count == 0


def test_the_ack_to_a_failure_is_built_from_the_invite_and_its_response() -> None:
    pair = SipPair("udp")
    invite = make_request(cseq=7)
    invite.add("route", "<sip:edge.test;lr>")
    pair.left.layer.send_request(invite, pair.right.hop, pair.now)
    pair.run()
    request = pair.right.next_event(RequestReceived)
    request.transaction.send_response(make_response(request.request, 404, to_tag="b9"), pair.now)
    pair.run()

    ack = pair.left.sent[-1].message
    assert ack.get_all("via") == [invite.get("via")]
    assert ack.get_all("route") == ["<sip:edge.test;lr>"]
    assert ack.cseq.number == 7
    assert ack.cseq.method == "ACK"
    assert ack.to.tag == "b9"
    assert ack.get("from") == invite.get("from")
    assert ack.call_id == invite.call_id


def test_a_completed_request_absorbs_late_finals_until_timer_k() -> None:
    pair = SipPair("udp")
    transaction = pair.left.layer.send_request(make_request("BYE"), pair.right.hop, pair.now)
    pair.run()
    request = pair.right.next_event(RequestReceived)
    response = make_response(request.request, 200)
    request.transaction.send_response(response, pair.now)
    pair.run(0.1)
    pair.left.layer.receive_message(response.copy(), pair.now)
    pair.run(4.8)

    assert pair.left.next_event(ResponseReceived).transaction is transaction
    assert not pair.left.events
    assert pair.left.layer.client_count == 1
    pair.run(0.2)
    assert pair.left.layer.client_count == 0
    pair.left.layer.receive_message(response.copy(), pair.now)
    assert isinstance(pair.left.layer.events.popleft(), StrayResponse)


def test_a_reliable_transaction_ends_with_its_final_response() -> None:
    pair = SipPair("tls")
    for method, status in (("BYE", 200), ("INVITE", 603)):
        pair.left.layer.send_request(make_request(method), pair.right.hop, pair.now)
        pair.run()
        request = pair.right.next_event(RequestReceived)
        request.transaction.send_response(make_response(request.request, status), pair.now)
        pair.run()
        assert pair.left.next_event(ResponseReceived).response.status == status
        assert pair.left.layer.client_count == 0
        assert pair.right.layer.server_count == 0


def test_every_2xx_to_an_invite_is_reported_for_timer_m() -> None:
    pair = SipPair("udp")
    transaction = pair.left.layer.send_request(make_request(), pair.right.hop, pair.now)
    pair.run()
    request = pair.right.next_event(RequestReceived)
    for tag in ("fork-1", "fork-2", "fork-1"):
        request.transaction.send_response(make_response(request.request, 200, to_tag=tag), pair.now)
        pair.run(10)

    tags = [pair.left.next_event(ResponseReceived).response.to.tag for _ in range(3)]
    assert tags == ["fork-1", "fork-2", "fork-1"]
    assert transaction.state.name == "ACCEPTED"
    pair.run(2.1)
    assert transaction.state.name == "TERMINATED"
    assert pair.left.sent_at("ACK") == []


def test_an_invite_that_rings_beyond_timer_c_is_cancelled_and_then_given_up() -> None:
    pair = SipPair("udp")
    pair.left.layer.send_request(make_request(), pair.right.hop, pair.now)
    pair.run()
    request = pair.right.next_event(RequestReceived)
    for _ in range(2):
        # Each provisional above 100 starts timer C again (16.7 step 2).
        request.transaction.send_response(make_response(request.request, 180), pair.now)
        pair.run(100)
    pair.right.events.clear()
    pair.left.events.clear()

    pair.run(84)
    assert pair.left.sent_at("CANCEL") == []
    pair.run(2)
    assert pair.left.sent_at("CANCEL") == [285]
    pair.run(33)
    assert pair.left.next_event(TransactionFailed).cause == "timeout"
    assert pair.left.layer.client_count == 0


def test_a_request_gets_our_via_with_its_own_branch_on_top() -> None:
    pair = SipPair("udp")
    request = make_request("OPTIONS")
    request.add("via", "SIP/2.0/TCP phone.test;branch=z9hG4bKold")
    pair.left.layer.send_request(request, pair.right.hop, pair.now)
    pair.left.layer.send_request(make_request("OPTIONS"), pair.right.hop, pair.now)
    pair.run()

    first, second = (sent.message.via for sent in pair.left.sent[:2])
    assert (first.host, first.port, first.wants_rport) == ("left.test", 5060, True)
    assert first.branch != second.branch
    assert str(first.branch).startswith("z9hG4bK")
    assert len(request.get_all("via")) == 2
