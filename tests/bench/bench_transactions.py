"""Cost of transactions alone: no sockets, no parsing of whole messages.

A client and a server layer hand each other message objects; each figure is the cost of both
sides together, beyond making the messages, which is measured apart and subtracted.
"""

import gc
import time
from collections.abc import Callable

from parley.service.ids import RandomIds
from parley.sip.hop import Hop
from parley.sip.message import Request, Response, response_to
from parley.sip.transaction import RequestReceived, TransactionLayer

ROUNDS = 20_000
STEP_S = 0.001
HERE = Hop("udp", "192.0.2.1", 5060)
THERE = Hop("udp", "192.0.2.2", 5060)


def make_request(method: str, number: int) -> Request:
    request = Request(method, "sip:bob@example.com")
    request.add("max-forwards", "70")
    request.add("from", "<sip:alice@example.com>;tag=a1")
    request.add("to", "<sip:bob@example.com>")
    request.add("call-id", f"call-{number}")
    request.add("cseq", f"1 {method}")
    return request


class Pair:
    """Two layers that pass message objects."""

    def __init__(self) -> None:
        self.client = TransactionLayer(RandomIds(), via_for=lambda hop: "SIP/2.0/UDP 192.0.2.1")
        self.server = TransactionLayer(RandomIds())
        self.now = 0.0

    def exchange(self, request: Request, statuses: tuple[int, ...]) -> None:
        client, server, now = self.client, self.server, self.now
        client.send_request(request, THERE, now)
        self._pass(client, server, HERE)
        event = server.events.popleft()
        assert isinstance(event, RequestReceived)
        for status in statuses:
            response = response_to(request, status, to_tag="b1" if status > 100 else None)
            event.transaction.send_response(response, now)
            self._pass(server, client, THERE)
            client.events.popleft()
        self._pass(client, server, HERE)  # the ACK to a failure
        self.now = now + STEP_S
        client.handle_timeout(self.now)
        server.handle_timeout(self.now)

    def exchanger(self, method: str, statuses: tuple[int, ...]) -> Callable[[int], None]:
        return lambda number: self.exchange(make_request(method, number), statuses)

    def _pass(self, sender: TransactionLayer, receiver: TransactionLayer, source: Hop) -> None:
        while sender.transmits:
            message, _ = sender.transmits.popleft()
            message.source = source
            receiver.receive_message(message, self.now)


def messages_only(method: str, statuses: tuple[int, ...]) -> Callable[[int], None]:
    def run(number: int) -> None:
        request = make_request(method, number)
        request.prepend("via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK0123456789abcdef;rport")
        read(request)
        for status in statuses:
            read(response_to(request, status, to_tag="b1" if status > 100 else None))

    return run


def read(message: Request | Response) -> None:
    """Parses what matching parses."""
    assert message.via.branch
    assert message.cseq.number


def measure(name: str, run: Callable[[int], None]) -> float:
    gc.collect()
    started = time.perf_counter()
    for number in range(ROUNDS):
        run(number)
    cost = (time.perf_counter() - started) / ROUNDS * 1e6
    print(f"{name:46} {cost:7.2f} us")
    return cost


def main() -> None:
    for method, statuses in (
        ("OPTIONS", (200,)),
        ("INVITE", (180, 200)),
        ("INVITE", (180, 486)),
    ):
        pair = Pair()
        what = f"{method} {'/'.join(map(str, statuses))}"
        work = measure(f"{what}: messages only", messages_only(method, statuses))
        whole = measure(f"{what}: with both transactions", pair.exchanger(method, statuses))
        print(f"{what + ': transactions alone':46} {whole - work:7.2f} us")
        pair.now += 400
        for layer in (pair.client, pair.server):
            layer.handle_timeout(pair.now)
            layer.handle_timeout(pair.now + 400)
            assert layer.client_count + layer.server_count == 0


if __name__ == "__main__":
    main()
