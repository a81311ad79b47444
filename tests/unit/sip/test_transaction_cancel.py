"""CANCEL (RFC 3261 9): when it leaves, how it is matched and answered, and its races."""

from parley.sip.message import Request, Response
from parley.sip.transaction import (
    CancelReceived,
    ClientTransaction,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    State,
    TransactionFailed,
)
from parley.testkit.sip_messages import make_request, make_response
from parley.testkit.sip_pair import SipPair

REASON = (("reason", 'SIP;cause=200;text="Call completed elsewhere"'),)


def _ring(pair: SipPair) -> tuple[ClientTransaction, ServerTransaction]:
    client = pair.left.layer.send_request(make_request(), pair.right.hop, pair.now)
    pair.run()
    server = pair.right.next_event(RequestReceived).transaction
    server.send_response(make_response(server, 180), pair.now)
    pair.run()
    pair.left.events.clear()
    return client, server


def _responses(pair: SipPair, status: int) -> list[Response]:
    messages = [sent.message for sent in pair.right.sent]
    return [m for m in messages if isinstance(m, Response) and m.status == status]


def test_cancel_of_a_ringing_invite_is_answered_by_the_layer_and_ends_in_487() -> None:
    pair = SipPair("udp")
    client, server = _ring(pair)

    pair.left.layer.cancel(client, pair.now, REASON)
    pair.run()

    cancelled = pair.right.next_event(CancelReceived)
    assert cancelled.transaction is server
    assert cancelled.request.get("reason") == REASON[0][1]
    assert [each.cseq.method for each in _responses(pair, 200)] == ["CANCEL"]
    # The To tag of both answers should be the same (9.2).
    assert _responses(pair, 200)[0].to.tag == "b1"
    server.send_response(make_response(server, 487), pair.now)
    pair.run(1)
    assert pair.left.next_event(ResponseReceived).response.status == 487
    assert not pair.left.events
    assert server.state is State.CONFIRMED


def test_cancel_has_the_invites_branch_route_and_number() -> None:
    pair = SipPair("udp")
    invite = make_request(cseq=5)
    invite.add("route", "<sip:edge.test;lr>")
    client = pair.left.layer.send_request(invite, pair.right.hop, pair.now)
    pair.run(0.3)
    pair.left.layer.cancel(client, pair.now)
    pair.run()

    cancel = next(sent.message for sent in pair.left.sent if sent.what == "CANCEL")
    assert isinstance(cancel, Request)
    assert cancel.get_all("via") == [invite.get("via")]
    assert cancel.uri_text == invite.uri_text
    assert str(cancel.cseq) == "5 CANCEL"
    assert cancel.get("to") == invite.get("to")
    assert cancel.get_all("route") == ["<sip:edge.test;lr>"]


def test_cancel_waits_for_the_first_provisional_and_is_sent_once() -> None:
    pair = SipPair("udp", latency_s=0.3)
    client = pair.left.layer.send_request(make_request(), pair.right.hop, pair.now)
    pair.left.layer.cancel(client, pair.now)
    pair.left.layer.cancel(client, pair.now)
    assert client.is_cancelled
    pair.run(0.7)
    assert pair.left.sent_at("CANCEL") == []
    pair.run(0.4)
    # The automatic 100 left at 0.5 and arrived at 0.8.
    assert pair.left.sent_at("CANCEL") == [0.8]
    pair.left.layer.cancel(client, pair.now)
    pair.run(0.1)
    assert len(pair.left.sent_at("CANCEL")) == 1


def test_cancel_is_never_sent_when_the_final_response_comes_first() -> None:
    for status, state in ((486, State.COMPLETED), (200, State.ACCEPTED)):
        pair = SipPair("udp")
        client = pair.left.layer.send_request(make_request(), pair.right.hop, pair.now)
        pair.run()
        server = pair.right.next_event(RequestReceived).transaction
        pair.left.layer.cancel(client, pair.now)
        server.send_response(make_response(server, status), pair.now)
        pair.run(20)
        assert pair.left.sent_at("CANCEL") == []
        assert client.state is state


def test_cancel_that_crosses_the_2xx_changes_nothing() -> None:
    pair = SipPair("udp", latency_s=0.1)
    client = pair.left.layer.send_request(make_request(), pair.right.hop, pair.now)
    pair.run(0.1)
    server = pair.right.next_event(RequestReceived).transaction
    server.send_response(make_response(server, 180), pair.now)
    pair.run(0.1)
    pair.left.layer.cancel(client, pair.now)
    server.send_response(make_response(server, 200), pair.now)
    pair.run(0.3)

    assert not pair.right.events
    assert [each.cseq.method for each in _responses(pair, 200)] == ["INVITE", "CANCEL"]
    statuses = [pair.left.next_event(ResponseReceived).response.status for _ in range(2)]
    assert statuses == [180, 200]
    assert client.state is State.ACCEPTED


def test_cancel_without_a_match_is_answered_481_and_not_reported() -> None:
    pair = SipPair("udp")
    client, server = _ring(pair)
    server.send_response(make_response(server, 486), pair.now)
    pair.run(6)
    assert pair.right.layer.server_count == 0
    cancel = make_request("CANCEL")
    cancel.prepend("via", client.request.get("via") or "")
    cancel.source = pair.left.hop

    pair.right.layer.receive_message(cancel, pair.now)
    pair.right.layer.receive_message(cancel, pair.now)
    pair.run()

    assert len(_responses(pair, 481)) == 2  # one transaction: the second is its retransmission
    assert _responses(pair, 481)[0].to.tag
    assert not pair.right.events


def test_who_knows_a_branch_alone_ends_no_call() -> None:
    pair = SipPair("udp")
    client, server = _ring(pair)
    stranger = client.request.copy()
    stranger.method = "CANCEL"
    stranger.set("call-id", "another")
    stranger.set("cseq", "1 CANCEL")
    pair.right.layer.receive_message(stranger, pair.now)
    pair.run(0.1)
    assert len(_responses(pair, 481)) == 1
    assert server.state is State.PROCEEDING


def test_cancel_of_another_method_is_answered_200_and_has_no_effect() -> None:
    pair = SipPair("udp")
    pair.left.layer.send_request(make_request("MESSAGE"), pair.right.hop, pair.now)
    pair.run()
    server = pair.right.next_event(RequestReceived).transaction
    cancel = make_request("CANCEL")
    cancel.prepend("via", server.request.get("via") or "")
    cancel.source = pair.left.hop

    pair.right.layer.receive_message(cancel, pair.now)
    pair.run()

    assert [each.cseq.method for each in _responses(pair, 200)] == ["CANCEL"]
    assert not pair.right.events
    assert server.state is State.TRYING


def test_cancel_before_any_response_gets_a_tag_from_the_layer() -> None:
    pair = SipPair("udp")
    pair.left.layer.send_request(make_request(), pair.right.hop, pair.now)
    pair.run()
    server = pair.right.next_event(RequestReceived).transaction
    cancel = make_request("CANCEL")
    cancel.prepend("via", server.request.get("via") or "")
    cancel.source = pair.left.hop

    pair.right.layer.receive_message(cancel, pair.now)
    pair.run()

    assert _responses(pair, 200)[0].to.tag
    assert pair.right.next_event(CancelReceived).transaction is server


def test_a_cancelled_invite_without_final_response_is_given_up_after_64_t1() -> None:
    pair = SipPair("udp")
    client, _ = _ring(pair)
    pair.right.lose([True] * 100)

    pair.left.layer.cancel(client, pair.now)
    pair.run(31.9)
    assert not pair.left.events
    pair.run(0.2)

    assert pair.left.next_event(TransactionFailed) == (client, "timeout")
    # The CANCEL itself was retransmitted and its own end is nobody's event.
    assert len(pair.left.sent_at("CANCEL")) == 11
    assert not pair.left.events
    assert pair.left.layer.client_count == 0


def test_cancel_of_a_request_that_is_no_invite_does_nothing() -> None:
    pair = SipPair("udp")
    client = pair.left.layer.send_request(make_request("OPTIONS"), pair.right.hop, pair.now)
    pair.left.layer.cancel(client, pair.now)
    pair.run(1)
    assert pair.left.sent_at("CANCEL") == []
    assert not client.is_cancelled
