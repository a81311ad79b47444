"""Whole exchanges over a link that loses messages: both sides agree in the end."""

from itertools import product
from math import inf

import pytest

from parley.sip.transaction import (
    AckReceived,
    RequestReceived,
    ResponseReceived,
    TransactionEvent,
    TransactionFailed,
)
from parley.testkit.sip_messages import make_request, make_response
from parley.testkit.sip_pair import SipPair

LOSSES = list(product((False, True), repeat=3))


class Outcome:
    """Answers requests at once and collects what the caller got."""

    def __init__(self, pair: SipPair, status: int) -> None:
        self.requests = 0
        self.acks = 0
        self.statuses: list[int] = []
        self.failures = 0
        self._pair = pair
        self._status = status
        pair.right.on_event = self.on_event
        pair.left.on_event = self.on_event

    def on_event(self, event: TransactionEvent) -> None:
        pair = self._pair
        if isinstance(event, RequestReceived):
            self.requests += 1
            response = make_response(event.transaction, self._status)
            if event.transaction.is_invite and self._status < 300:
                pair.right.layer.send_until_ack(event.transaction, response, pair.now)
            else:
                event.transaction.send_response(response, pair.now)
        elif isinstance(event, ResponseReceived):
            self.statuses.append(event.response.status)
            if event.transaction.is_invite and event.response.status < 300:
                self._acknowledge()
        elif isinstance(event, AckReceived):
            self.acks += 1
        elif isinstance(event, TransactionFailed):
            self.failures += 1

    def _acknowledge(self) -> None:
        # The ACK to a 2xx is no transaction: it crosses the link on its own, and may be lost.
        ack = make_request("ACK", to_tag="b1")
        ack.prepend("via", f"SIP/2.0/UDP left.test:5060;branch=z9hG4bKack{len(self.statuses)}")
        if not next(self._pair.left._losses, False):
            self._pair._deliver(self._pair.left, bytes(ack))


@pytest.mark.parametrize("left", LOSSES)
@pytest.mark.parametrize("right", LOSSES)
@pytest.mark.parametrize("status", [200, 486])
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_an_exchange_survives_losses(
    method: str, status: int, left: tuple[bool, ...], right: tuple[bool, ...]
) -> None:
    pair = SipPair("udp", latency_s=0.02)
    outcome = Outcome(pair, status)
    pair.left.lose(left)
    pair.right.lose(right)

    pair.left.layer.send_request(make_request(method), pair.right.hop, pair.now)
    pair.run(200)

    assert outcome.requests == 1
    assert outcome.failures == 0
    assert set(outcome.statuses) == {status}
    if method == "OPTIONS" or status > 300:
        assert len(outcome.statuses) == 1
    else:
        assert outcome.acks >= 1
    for side in (pair.left, pair.right):
        assert (side.layer.client_count, side.layer.server_count) == (0, 0)
        assert side.layer.next_timeout() == inf
