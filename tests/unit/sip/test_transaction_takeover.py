"""Transactions that another instance began: chosen branches, adoption, ways back that move."""

import pytest

from parley.sip.hop import Hop
from parley.sip.message import Request, Response, response_to
from parley.sip.transaction import (
    CancelReceived,
    RequestReceived,
    ResponseReceived,
    TransactionLayer,
    Transmit,
)
from parley.sip.transaction_events import TransactionEvent
from parley.testkit.ids import CountingIds
from parley.testkit.sip_messages import make_request, make_response

FIRST = Hop("tcp", "192.0.2.1", 40000, 17)
AGAIN = Hop("tcp", "192.0.2.1", 40001, 19)
SECOND = Hop("tcp", "192.0.2.2", 41000, 18)
EDGE = Hop("tcp", "192.0.2.1", 5070)
BRANCH = "z9hG4bK-call7-3-b1"


def _incoming(method: str = "INVITE", source: Hop = FIRST) -> Request:
    request = make_request(method)
    request.prepend("via", "SIP/2.0/TCP 192.0.2.1:5070;branch=z9hG4bKx")
    request.source = source
    return request


def _events(layer: TransactionLayer) -> list[TransactionEvent]:
    events = list(layer.events)
    layer.events.clear()
    return events


def _sent(layer: TransactionLayer) -> list[Transmit]:
    sent = list(layer.transmits)
    layer.transmits.clear()
    return sent


def _statuses(sent: list[Transmit]) -> list[int]:
    return [message.status for message, _ in sent if isinstance(message, Response)]


def test_a_request_goes_out_with_the_branch_that_was_chosen() -> None:
    layer = TransactionLayer(CountingIds())
    transaction = layer.send_request(make_request(), EDGE, 0.0, branch=BRANCH)

    assert transaction.request.via.branch == BRANCH
    layer.receive_message(make_response(transaction.request, 180), 0.1)
    (event,) = _events(layer)
    assert isinstance(event, ResponseReceived)
    assert event.transaction is transaction


def test_a_branch_in_use_is_refused_for_the_same_method_alone() -> None:
    layer = TransactionLayer(CountingIds())
    layer.send_request(make_request(), EDGE, 0.0, branch=BRANCH)

    with pytest.raises(ValueError, match="in use"):
        layer.send_request(make_request(), EDGE, 0.0, branch=BRANCH)
    layer.send_request(make_request("BYE"), EDGE, 0.0, branch=BRANCH)
    assert layer.client_count == 2


def test_a_branch_is_free_again_when_its_transaction_is_over() -> None:
    layer = TransactionLayer(CountingIds())
    first = layer.send_request(make_request("BYE"), EDGE, 0.0, branch=BRANCH)
    layer.message_failed(first.request, 0.1)
    assert first.is_terminated

    assert layer.send_request(make_request("BYE"), EDGE, 0.2, branch=BRANCH) is not first


def test_an_adopted_request_is_answered_where_its_via_says_and_makes_no_event() -> None:
    layer = TransactionLayer(CountingIds())
    transaction = layer.adopt(_incoming(), 0.0)
    assert _events(layer) == []

    layer.handle_timeout(5.0)
    assert _sent(layer) == []  # no 100 by itself: the dead one said it
    transaction.send_response(make_response(transaction, 486), 6.0)
    assert _sent(layer)[0][1] == EDGE


def test_a_request_adopted_twice_has_one_transaction() -> None:
    layer = TransactionLayer(CountingIds())
    transaction = layer.adopt(_incoming(), 0.0)

    assert layer.adopt(_incoming(), 0.1) is transaction
    assert layer.server_count == 1


def test_an_adopted_request_that_is_repeated_gets_the_last_response_and_no_event() -> None:
    layer = TransactionLayer(CountingIds(), follows=lambda request: True)
    transaction = layer.adopt(_incoming(), 0.0)
    transaction.send_response(make_response(transaction, 180), 0.1)
    _sent(layer)

    layer.receive_message(_incoming(source=SECOND), 0.2)
    assert _events(layer) == []
    (again,) = _sent(layer)
    assert again[1] == SECOND
    assert _statuses([again]) == [180]


def test_an_adopted_invite_can_be_cancelled() -> None:
    layer = TransactionLayer(CountingIds())
    transaction = layer.adopt(_incoming(), 0.0)
    layer.receive_message(_incoming("CANCEL"), 0.1)

    (event,) = _events(layer)
    assert isinstance(event, CancelReceived)
    assert event.transaction is transaction


def test_an_adopted_invite_gets_its_2xx_until_the_ack() -> None:
    layer = TransactionLayer(CountingIds())
    transaction = layer.adopt(_incoming(), 0.0)
    assert layer.send_until_ack(transaction, make_response(transaction, 200), 0.0) is not None
    _sent(layer)

    layer.handle_timeout(0.6)
    assert [hop for _, hop in _sent(layer)] == [EDGE]


@pytest.mark.parametrize(("follows", "way_back"), [(True, SECOND), (False, FIRST)])
def test_the_way_back_follows_a_retransmission_where_the_owner_says_so(
    follows: bool, way_back: Hop
) -> None:
    layer = TransactionLayer(CountingIds(), follows=lambda request: follows)
    layer.receive_message(_incoming(source=FIRST), 0.0)
    (event,) = _events(layer)
    assert isinstance(event, RequestReceived)
    layer.receive_message(_incoming(source=SECOND), 0.1)

    event.transaction.send_response(make_response(event.transaction, 486), 0.2)
    assert _sent(layer)[-1][1] == way_back


@pytest.mark.parametrize(
    ("repeated_by", "is_closed", "way_back"),
    [(AGAIN, True, AGAIN), (AGAIN, False, FIRST), (SECOND, True, FIRST)],
    ids=["connection closed", "connection alive", "another address"],
)
def test_a_request_is_answered_where_its_peer_repeats_it_when_its_connection_is_closed(
    repeated_by: Hop, is_closed: bool, way_back: Hop
) -> None:
    layer = TransactionLayer(CountingIds())
    layer.receive_message(_incoming(source=FIRST), 0.0)
    (event,) = _events(layer)
    assert isinstance(event, RequestReceived)
    event.transaction.send_response(make_response(event.transaction, 200), 0.1)
    if is_closed:
        layer.flow_closed(FIRST, 0.2)
    _sent(layer)
    layer.receive_message(_incoming(source=repeated_by), 0.3)

    assert [hop for _, hop in _sent(layer)] == ([AGAIN] if way_back is AGAIN else [])
    event.transaction.send_response(make_response(event.transaction, 200), 0.4)
    assert _sent(layer)[-1][1] == way_back


def test_a_request_uses_the_flow_that_its_way_back_moved_to() -> None:
    layer = TransactionLayer(CountingIds(), follows=lambda request: True)
    layer.receive_message(_incoming(source=FIRST), 0.0)
    layer.receive_message(_incoming(source=SECOND), 0.1)
    _events(layer)

    assert not layer.is_in_use(FIRST)
    assert layer.is_in_use(SECOND)


def test_a_way_back_never_changes_its_transport() -> None:
    layer = TransactionLayer(CountingIds(), follows=lambda request: True)
    layer.receive_message(_incoming(source=FIRST), 0.0)
    layer.receive_message(_incoming(source=Hop("udp", "192.0.2.1", 5070)), 0.1)
    (event,) = _events(layer)

    assert isinstance(event, RequestReceived)
    assert event.transaction.hop == FIRST


def test_a_request_that_is_not_admitted_leaves_no_trace_but_its_retransmission_may_come() -> None:
    admitted: list[bool] = [False, True]
    layer = TransactionLayer(CountingIds(), admits=lambda request: admitted.pop(0))
    layer.receive_message(_incoming(), 0.0)
    assert (layer.server_count, _events(layer), _sent(layer)) == (0, [], [])

    layer.receive_message(_incoming(), 0.5)
    assert len(_events(layer)) == 1
    layer.receive_message(_incoming(), 1.0)  # known by now: nobody is asked
    assert admitted == []


def test_cancel_and_ack_need_no_admission() -> None:
    layer = TransactionLayer(CountingIds(), admits=lambda request: request.method == "INVITE")
    layer.receive_message(_incoming(), 0.0)
    layer.receive_message(_incoming("CANCEL"), 0.1)

    assert 200 in _statuses(_sent(layer))


def test_a_cancel_of_what_is_not_known_goes_to_who_takes_them() -> None:
    layer = TransactionLayer(CountingIds(), takes_cancels=True)
    layer.receive_message(_incoming("CANCEL"), 0.0)
    layer.receive_message(_incoming("CANCEL"), 0.1)  # its retransmission waits for the answer
    (event,) = _events(layer)

    assert isinstance(event, RequestReceived)
    assert _sent(layer) == []
    event.transaction.send_response(response_to(event.request, 481), 0.2)
    assert _statuses(_sent(layer)) == [481]
    assert layer.server_count == 0


def test_a_cancel_of_what_is_known_goes_to_nobody_else() -> None:
    layer = TransactionLayer(CountingIds(), takes_cancels=True)
    layer.receive_message(_incoming(), 0.0)
    layer.receive_message(_incoming("CANCEL"), 0.1)

    assert [type(event) for event in _events(layer)] == [RequestReceived, CancelReceived]


def test_a_cancel_of_what_is_not_known_needs_admission() -> None:
    layer = TransactionLayer(CountingIds(), admits=lambda request: False, takes_cancels=True)
    layer.receive_message(_incoming("CANCEL"), 0.0)

    assert (layer.server_count, _events(layer), _sent(layer)) == (0, [], [])


def test_a_stray_response_is_taken_once_its_transaction_was_made_again() -> None:
    layer = TransactionLayer(CountingIds())
    request = make_request()
    request.prepend("via", f"SIP/2.0/TCP 192.0.2.9:5080;branch={BRANCH}")
    response = response_to(request, 200, to_tag="b1")
    assert not layer.redeliver(response, 0.0)
    assert _events(layer) == []

    transaction = layer.send_request(make_request(), EDGE, 0.1, branch=BRANCH)
    assert layer.redeliver(response, 0.2)
    (event,) = _events(layer)
    assert isinstance(event, ResponseReceived)
    assert event.transaction is transaction
