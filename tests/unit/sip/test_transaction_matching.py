"""Matching (RFC 3261 17.1.3, 17.2.3) and what happens when a transport fails."""

import pytest

from parley.sip.hop import Hop
from parley.sip.message import Request, response_to
from parley.sip.transaction import (
    AckReceived,
    ClientTransaction,
    RequestReceived,
    ServerTransaction,
    StrayResponse,
    TransactionFailed,
    TransactionLayer,
)
from parley.sip.transaction_events import TransactionEvent
from parley.testkit.ids import CountingIds
from parley.testkit.sip_messages import make_request, make_response

UDP = Hop("udp", "192.0.2.1", 5060)
FLOW = Hop("tcp", "192.0.2.1", 40000, 17)


def _incoming(via: str, method: str = "INVITE", hop: Hop = UDP, **changes: str) -> Request:
    request = make_request(method)
    request.prepend("via", via)
    for name, value in changes.items():
        request.set({"from_": "from", "call_id": "call-id"}.get(name, name), value)
    request.source = hop
    return request


def _events(layer: TransactionLayer) -> list[TransactionEvent]:
    events = list(layer.events)
    layer.events.clear()
    return events


def _sent(layer: TransactionLayer) -> list[str]:
    sent = []
    while layer.transmits:
        message, _ = layer.transmits.popleft()
        sent.append(message.method if isinstance(message, Request) else str(message.status))
    return sent


@pytest.mark.parametrize(
    ("via", "method", "is_same"),
    [
        ("SIP/2.0/UDP a.test:5060;branch=z9hG4bK1", "INVITE", True),
        ("SIP/2.0/UDP A.TEST:5060;branch=z9hG4bK1;received=192.0.2.1", "INVITE", True),
        ("SIP/2.0/UDP a.test:5060;branch=z9hG4bK2", "INVITE", False),
        ("SIP/2.0/UDP b.test:5060;branch=z9hG4bK1", "INVITE", False),
        ("SIP/2.0/UDP a.test:5062;branch=z9hG4bK1", "INVITE", False),
        ("SIP/2.0/UDP a.test:5060;branch=z9hG4bK1", "OPTIONS", False),
    ],
)
def test_requests_match_by_branch_sent_by_and_method(via: str, method: str, is_same: bool) -> None:
    layer = TransactionLayer(CountingIds())
    layer.receive_message(_incoming("SIP/2.0/UDP a.test:5060;branch=z9hG4bK1"), 0)
    layer.receive_message(_incoming(via, method), 0)
    assert len(_events(layer)) == (1 if is_same else 2)


def test_a_magic_cookie_alone_identifies_nothing() -> None:
    via = "SIP/2.0/UDP a.test:5060;branch=z9hG4bK"
    layer = TransactionLayer(CountingIds())
    for call_id in ("one@a", "two@a", "one@a"):
        layer.receive_message(_incoming(via, call_id=call_id), 0)
    assert len(_events(layer)) == 2


def test_a_merged_request_is_a_transaction_of_its_own_left_to_the_user() -> None:
    layer = TransactionLayer(CountingIds())
    for branch in ("z9hG4bK1", "z9hG4bK2"):
        layer.receive_message(_incoming(f"SIP/2.0/UDP p.test;branch={branch}"), 0)
    first, second = _events(layer)
    assert isinstance(first, RequestReceived)
    assert isinstance(second, RequestReceived)
    second.transaction.send_response(make_response(second.transaction, 482), 0)
    assert _sent(layer) == ["482"]
    assert first.transaction.state.name == "PROCEEDING"


OLD_VIA = "SIP/2.0/UDP old.test:5060;branch=1"


def test_a_client_of_rfc_2543_is_matched_by_its_headers() -> None:
    layer = TransactionLayer(CountingIds())
    layer.receive_message(_incoming(OLD_VIA), 0)
    layer.receive_message(_incoming(OLD_VIA), 0)
    (event,) = _events(layer)
    assert isinstance(event, RequestReceived)
    layer.receive_message(_incoming(OLD_VIA, cseq="2 INVITE"), 0)
    layer.receive_message(_incoming(OLD_VIA, call_id="other"), 0)
    layer.receive_message(_incoming(OLD_VIA, from_="<sip:x@y>;tag=other"), 0)
    assert len(_events(layer)) == 3

    event.transaction.send_response(make_response(event.transaction, 486), 0)
    layer.receive_message(_incoming(OLD_VIA, "ACK", to="<sip:bob@example.com>;tag=no"), 0)
    assert event.transaction.state.name == "COMPLETED"
    layer.receive_message(_incoming(OLD_VIA, "ACK", to="<sip:bob@example.com>;tag=b1"), 0)
    assert event.transaction.state.name == "CONFIRMED"


def test_an_ack_repeats_the_top_via_alone() -> None:
    layer = TransactionLayer(CountingIds())
    layer.receive_message(_incoming(f"{OLD_VIA}, SIP/2.0/UDP older.test;branch=1"), 0)
    (event,) = _events(layer)
    assert isinstance(event, RequestReceived)
    event.transaction.send_response(make_response(event.transaction, 486), 0)
    layer.receive_message(_incoming(OLD_VIA, "ACK", to="<sip:bob@example.com>;tag=b1"), 0)
    assert event.transaction.state.name == "CONFIRMED"


def test_a_cancel_of_rfc_2543_finds_its_invite() -> None:
    layer = TransactionLayer(CountingIds())
    layer.receive_message(_incoming(OLD_VIA), 0)
    layer.receive_message(_incoming(OLD_VIA, "CANCEL"), 0)
    assert [type(event).__name__ for event in _events(layer)] == [
        "RequestReceived",
        "CancelReceived",
    ]


def test_a_response_needs_our_branch_and_its_method() -> None:
    layer = TransactionLayer(CountingIds())
    transaction = layer.send_request(make_request("OPTIONS"), UDP, 0)
    wrong_method = response_to(transaction.request, 200, to_tag="b")
    wrong_method.set("cseq", "1 INFO")
    wrong_branch = response_to(transaction.request, 200, to_tag="b")
    wrong_branch.replace_first_value("via", "SIP/2.0/UDP localhost.invalid;branch=z9hG4bKno")
    for response in (wrong_method, wrong_branch):
        layer.receive_message(response, 0)
    assert all(isinstance(event, StrayResponse) for event in _events(layer))
    assert transaction.state.name == "TRYING"


def test_an_ack_while_proceeding_is_dropped() -> None:
    layer = TransactionLayer(CountingIds())
    layer.receive_message(_incoming("SIP/2.0/UDP a.test;branch=z9hG4bK1"), 0)
    layer.receive_message(_incoming("SIP/2.0/UDP a.test;branch=z9hG4bK1", "ACK"), 0)
    assert not [event for event in _events(layer) if isinstance(event, AckReceived)]


# --- transport failures ---------------------------------------------------------------------


def _client(layer: TransactionLayer, method: str, hop: Hop) -> ClientTransaction:
    return layer.send_request(make_request(method), hop, 0)


def test_a_closed_flow_fails_the_requests_on_it_and_no_others() -> None:
    layer = TransactionLayer(CountingIds())
    lost = [_client(layer, method, FLOW) for method in ("INVITE", "OPTIONS")]
    lost[0].receive_response(make_response(lost[0].request, 180), 0)
    kept = _client(layer, "INVITE", FLOW._replace(flow=18))
    layer.receive_message(_incoming("SIP/2.0/TCP a.test;branch=z9hG4bK1", "BYE", FLOW), 0)
    _events(layer)

    layer.flow_closed(FLOW, 1.0)

    failures = _events(layer)
    assert failures == [TransactionFailed(each, "transport") for each in lost]
    assert kept.state.name == "CALLING"
    # The server's side may still answer on a new connection (18.2.2).
    assert layer.server_count == 1


@pytest.mark.parametrize("hop", [UDP, FLOW, Hop("local", "edge", 0)])
def test_a_message_that_cannot_be_sent_fails_its_transaction(hop: Hop) -> None:
    layer = TransactionLayer(CountingIds())
    client = _client(layer, "INVITE", hop)
    layer.message_failed(client.request, 0)
    assert _events(layer) == [TransactionFailed(client, "transport")]

    layer.receive_message(_incoming("SIP/2.0/UDP a.test;branch=z9hG4bK1", "OPTIONS", hop), 0)
    (received,) = _events(layer)
    assert isinstance(received, RequestReceived)
    server: ServerTransaction = received.transaction
    response = make_response(server, 486)
    server.send_response(response, 0)
    layer.message_failed(response, 0)
    # Over a stream the transaction ended as it answered: nobody is left to be told.
    expected = [TransactionFailed(server, "transport")] if hop is UDP else []
    assert _events(layer) == expected
    assert (layer.client_count, layer.server_count) == (0, 0)


def test_an_answer_sent_without_the_transaction_does_not_fail_it() -> None:
    layer = TransactionLayer(CountingIds())
    layer.receive_message(_incoming("SIP/2.0/TCP a.test;branch=z9hG4bK1", hop=FLOW), 0)
    (received,) = _events(layer)
    assert isinstance(received, RequestReceived)

    # A stranger who wrote the same Via into a request that was answered statelessly.
    layer.message_failed(make_response(received.transaction, 400), 0)

    assert _events(layer) == []
    assert layer.server_count == 1


def test_an_ack_that_cannot_be_sent_ends_the_client_quietly() -> None:
    layer = TransactionLayer(CountingIds())
    client = _client(layer, "INVITE", UDP)
    client.receive_response(make_response(client.request, 486), 0)
    _events(layer)
    while layer.transmits:
        message, _ = layer.transmits.popleft()
        if message is not client.request:
            layer.message_failed(message, 0)
    assert _events(layer) == []
    assert layer.client_count == 0


def test_a_failed_cancel_is_nobodys_event() -> None:
    layer = TransactionLayer(CountingIds())
    client = _client(layer, "INVITE", UDP)
    client.receive_response(make_response(client.request, 180), 0)
    layer.cancel(client, 0)
    _events(layer)
    cancel = next(transaction for transaction in layer._clients.values() if transaction.is_internal)
    layer.message_failed(cancel.request, 0)
    assert _events(layer) == []
    assert layer.client_count == 1


def test_unknown_failures_are_ignored() -> None:
    layer = TransactionLayer(CountingIds())
    request = _incoming("SIP/2.0/UDP a.test;branch=z9hG4bK1")
    layer.message_failed(request, 0)
    layer.message_failed(make_response(request, 200), 0)
    layer.flow_closed(FLOW, 0)
    assert _events(layer) == []


def test_an_answer_that_repeats_a_malformed_header_fails_no_transaction() -> None:
    layer = TransactionLayer(CountingIds())
    response = make_response(_incoming("SIP/2.0/UDP a.test;branch=z9hG4bK1"), 400)
    response.set("cseq", "no number at all")
    layer.message_failed(response, 0)
    response.set("via", ";;;")
    layer.message_failed(response, 0)
    assert _events(layer) == []
