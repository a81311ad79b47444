"""Every row of the four tables, said again in the RFCs' words, and that nothing else happens."""

from collections.abc import Callable
from itertools import product
from math import inf
from typing import NamedTuple

import pytest

from parley.sip.client_transaction import ClientTransaction
from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.sip.server_transaction import ServerTransaction
from parley.sip.timers import DEFAULT_TIMERS
from parley.sip.transaction import TransactionLayer
from parley.sip.transaction_base import CompiledEntry
from parley.sip.transaction_tables import (
    INVITE_CLIENT,
    INVITE_SERVER,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    Input,
    State,
    Table,
)
from parley.testkit.ids import CountingIds
from parley.testkit.sip_messages import make_request, make_response

UDP = Hop("udp", "192.0.2.1", 5060)

# state, input: next state, what is sent, which events come out
INVITE_CLIENT_ROWS = """
CALLING PROVISIONAL: PROCEEDING - ResponseReceived
CALLING SUCCESS: ACCEPTED - ResponseReceived
CALLING FAILURE: COMPLETED ACK ResponseReceived
CALLING RETRANSMIT: CALLING INVITE -
CALLING EXPIRE: TERMINATED - TransactionFailed
CALLING TRANSPORT_ERROR: TERMINATED - TransactionFailed
PROCEEDING PROVISIONAL: PROCEEDING - ResponseReceived
PROCEEDING SUCCESS: ACCEPTED - ResponseReceived
PROCEEDING FAILURE: COMPLETED ACK ResponseReceived
PROCEEDING SILENCE: PROCEEDING CANCEL -
PROCEEDING EXPIRE: TERMINATED - TransactionFailed
PROCEEDING TRANSPORT_ERROR: TERMINATED - TransactionFailed
COMPLETED FAILURE: COMPLETED ACK -
COMPLETED EXPIRE: TERMINATED - -
COMPLETED TRANSPORT_ERROR: TERMINATED - -
ACCEPTED SUCCESS: ACCEPTED - ResponseReceived
ACCEPTED EXPIRE: TERMINATED - -
"""
NON_INVITE_CLIENT_ROWS = """
TRYING PROVISIONAL: PROCEEDING - ResponseReceived
TRYING SUCCESS: COMPLETED - ResponseReceived
TRYING FAILURE: COMPLETED - ResponseReceived
TRYING RETRANSMIT: TRYING OPTIONS -
TRYING EXPIRE: TERMINATED - TransactionFailed
TRYING TRANSPORT_ERROR: TERMINATED - TransactionFailed
PROCEEDING PROVISIONAL: PROCEEDING - ResponseReceived
PROCEEDING SUCCESS: COMPLETED - ResponseReceived
PROCEEDING FAILURE: COMPLETED - ResponseReceived
PROCEEDING RETRANSMIT: PROCEEDING OPTIONS -
PROCEEDING EXPIRE: TERMINATED - TransactionFailed
PROCEEDING TRANSPORT_ERROR: TERMINATED - TransactionFailed
COMPLETED EXPIRE: TERMINATED - -
"""
INVITE_SERVER_ROWS = """
PROCEEDING REQUEST: PROCEEDING last -
PROCEEDING RETRANSMIT: PROCEEDING 100 -
PROCEEDING PROVISIONAL: PROCEEDING 180 -
PROCEEDING SUCCESS: ACCEPTED 200 -
PROCEEDING FAILURE: COMPLETED 486 -
PROCEEDING TRANSPORT_ERROR: TERMINATED - TransactionFailed
COMPLETED REQUEST: COMPLETED last -
COMPLETED RETRANSMIT: COMPLETED last -
COMPLETED ACK: CONFIRMED - -
COMPLETED EXPIRE: TERMINATED - TransactionFailed
COMPLETED TRANSPORT_ERROR: TERMINATED - TransactionFailed
CONFIRMED EXPIRE: TERMINATED - -
ACCEPTED SUCCESS: ACCEPTED 200 -
ACCEPTED ACK: ACCEPTED - AckReceived
ACCEPTED EXPIRE: TERMINATED - -
ACCEPTED TRANSPORT_ERROR: ACCEPTED - TransactionFailed
"""
NON_INVITE_SERVER_ROWS = """
TRYING PROVISIONAL: PROCEEDING 180 -
TRYING SUCCESS: COMPLETED 200 -
TRYING FAILURE: COMPLETED 486 -
TRYING EXPIRE: TERMINATED - -
PROCEEDING REQUEST: PROCEEDING last -
PROCEEDING PROVISIONAL: PROCEEDING 180 -
PROCEEDING SUCCESS: COMPLETED 200 -
PROCEEDING FAILURE: COMPLETED 486 -
PROCEEDING EXPIRE: TERMINATED - -
PROCEEDING TRANSPORT_ERROR: TERMINATED - TransactionFailed
COMPLETED REQUEST: COMPLETED last -
COMPLETED EXPIRE: TERMINATED - -
COMPLETED TRANSPORT_ERROR: TERMINATED - TransactionFailed
"""
STATUSES = {Input.PROVISIONAL: 180, Input.SUCCESS: 200, Input.FAILURE: 486}

Outcome = tuple[str, list[str], list[str]]


def _expected(rows: str) -> dict[tuple[State, Input], Outcome]:
    table = {}
    for line in rows.strip().splitlines():
        before, after = line.split(": ")
        state, event = before.split()
        next_state, sent, reported = after.split()
        table[State[state], Input[event]] = (
            next_state,
            [] if sent == "-" else ["183" if sent == "last" else sent],
            [] if reported == "-" else [reported],
        )
    return table


def _outcome(
    layer: TransactionLayer, transaction: ClientTransaction | ServerTransaction
) -> Outcome:
    sent = []
    while layer.transmits:
        message, _ = layer.transmits.popleft()
        sent.append(message.method if isinstance(message, Request) else str(message.status))
    events = [type(event).__name__ for event in layer.events]
    layer.events.clear()
    return transaction.state.name, sent, events


def _entry(transaction: ClientTransaction | ServerTransaction, state: State) -> CompiledEntry:
    rows = [row for rows in transaction._plan.rows for row in rows if row is not None]
    entries = [row.entry for row in rows if row.entry is not None]
    return next(entry for entry in [transaction._plan.initial, *entries] if entry.state is state)


def _client(method: str, state: State) -> tuple[TransactionLayer, ClientTransaction]:
    layer = TransactionLayer(CountingIds())
    transaction = layer.send_request(make_request(method), UDP, 0.0)
    _outcome(layer, transaction)
    transaction._enter(_entry(transaction, state), 0.0)
    return layer, transaction


def _server(method: str, state: State) -> tuple[TransactionLayer, ServerTransaction]:
    layer = TransactionLayer(CountingIds())
    request = make_request(method)
    request.prepend("via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx;rport")
    request.source = UDP
    layer.receive_message(request, 0.0)
    transaction = next(iter(layer.servers.values()))
    _outcome(layer, transaction)
    transaction.response = make_response(request, 183)
    transaction._enter(_entry(transaction, state), 0.0)
    return layer, transaction


def _message(event: Input, request: Request) -> Request | Response:
    if event in STATUSES:
        return make_response(request, STATUSES[event])
    if event is Input.ACK:
        return make_request("ACK")
    return request


Made = tuple[TransactionLayer, ClientTransaction | ServerTransaction]


class Case(NamedTuple):
    table: Table
    rows: str
    make: Callable[[str, State], Made]
    method: str


CASES = {
    "invite-client": Case(INVITE_CLIENT, INVITE_CLIENT_ROWS, _client, "INVITE"),
    "non-invite-client": Case(NON_INVITE_CLIENT, NON_INVITE_CLIENT_ROWS, _client, "OPTIONS"),
    "invite-server": Case(INVITE_SERVER, INVITE_SERVER_ROWS, _server, "INVITE"),
    "non-invite-server": Case(NON_INVITE_SERVER, NON_INVITE_SERVER_ROWS, _server, "OPTIONS"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_row_does_what_the_rfc_says_and_absent_rows_do_nothing(case: Case) -> None:
    expected = _expected(case.rows)
    states = {state for state, _ in expected}
    assert set(case.table) == set(expected)
    for state, event in product(states, Input):
        layer, transaction = case.make(case.method, state)
        transaction.step(event, _message(event, transaction.request), 0.0)
        wanted = expected.get((state, event), (state.name, [], []))
        assert _outcome(layer, transaction) == wanted, (state, event)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_terminated_transaction_leaves_nothing_behind(case: Case) -> None:
    for state in {state for state, _ in case.table}:
        layer, transaction = case.make(case.method, state)
        transaction._enter(_entry(transaction, State.TERMINATED), 0.0)
        assert transaction.is_terminated
        assert (layer.client_count, layer.server_count) == (0, 0)
        layer.handle_timeout(1000.0)
        assert layer.next_timeout() == inf, state


def test_durations_follow_from_the_base_values() -> None:
    unreliable = DEFAULT_TIMERS.durations(is_reliable=False)
    reliable = DEFAULT_TIMERS.durations(is_reliable=True)

    assert [unreliable[timer] for timer in sorted(unreliable)] == [
        0.5, 32, 185, 32, 0.5, 32, 0.5, 32, 5, 32, 5, 32, 32, 0.2, 32, 64,
    ]  # fmt: skip
    assert [reliable[timer] for timer in sorted(reliable)] == [
        0, 32, 185, 0, 0, 32, 0, 32, 0, 0, 0, 32, 32, 0.2, 32, 64,
    ]  # fmt: skip
