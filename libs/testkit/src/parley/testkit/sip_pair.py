"""Two transaction layers, a lossy link between them, and time that jumps from event to event.

Messages cross the link as bytes and are parsed anew, so that what is tested is what a peer would
see. `run` always goes on to the earliest of four things: a delivery, a timer of either side, the
end. Nothing sleeps: half a minute of retransmissions takes milliseconds.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple, TypeVar

from parley.sip.hop import Hop
from parley.sip.message import Request, Response, parse_message
from parley.sip.timers import DEFAULT_TIMERS, Timers
from parley.sip.transaction_events import TransactionEvent
from parley.sip.transaction_layer import TransactionLayer
from parley.testkit.clock import FakeClock
from parley.testkit.ids import CountingIds

E = TypeVar("E")


class Sent(NamedTuple):
    """One message that a side sent, lost or not; `at` in seconds since the pair was made."""

    at: float
    message: Request | Response

    @property
    def what(self) -> str:
        """The method of a request, the status of a response."""
        message = self.message
        return message.method if isinstance(message, Request) else str(message.status)


class SipSide:
    """One of the two layers.

    Attributes:
        layer: the transaction layer.
        hop: how the other side reaches this one.
        sent: everything it sent.
        events: its events, unless `on_event` takes them.
        on_event: called with each event instead of keeping it.
    """

    def __init__(self, pair: "SipPair", name: str, transport: str, timers: Timers) -> None:
        self._pair = pair
        self.hop = Hop(transport, f"{name}.test", 5060, 0 if transport == "udp" else 7)
        sent_by = f"SIP/2.0/{transport.upper()} {name}.test:5060"
        self.layer = TransactionLayer(CountingIds(name), timers, lambda hop: sent_by)
        self.sent: list[Sent] = []
        self.events: deque[TransactionEvent] = deque()
        self.on_event: Callable[[TransactionEvent], None] | None = None
        self._losses: Iterator[bool] = iter(())

    def lose(self, pattern: Iterable[bool]) -> None:
        """Decides for each message this side will send whether it is lost; then none is."""
        self._losses = iter(pattern)

    def sent_at(self, what: str) -> list[float]:
        """Returns when messages of one method or status were sent."""
        return [sent.at for sent in self.sent if sent.what == what]

    def next_event(self, kind: type[E]) -> E:
        """Takes the oldest event, which must be of this kind."""
        event = self.events.popleft()
        assert isinstance(event, kind), event
        return event

    def drain(self, deliver: Callable[["SipSide", bytes], None]) -> None:
        """Sends and reports everything the layer put out."""
        now = self._pair.elapsed
        while True:
            if self.layer.transmits:
                message, _ = self.layer.transmits.popleft()
                self.sent.append(Sent(now, message))
                if not next(self._losses, False):
                    deliver(self, bytes(message))
            elif self.layer.events:
                event = self.layer.events.popleft()
                if self.on_event is None:
                    self.events.append(event)
                else:
                    self.on_event(event)
            else:
                return


class SipPair:
    """Two layers that talk to each other.

    Attributes:
        clock: their time.
        left, right: the two sides.
    """

    def __init__(
        self, transport: str = "udp", timers: Timers = DEFAULT_TIMERS, latency_s: float = 0.0
    ) -> None:
        self.clock = FakeClock()
        self._started_at = self.clock.now()
        self._latency_s = latency_s
        self._in_flight: list[tuple[float, int, SipSide, bytes]] = []
        self._order = 0
        self.left = SipSide(self, "left", transport, timers)
        self.right = SipSide(self, "right", transport, timers)

    @property
    def now(self) -> float:
        """The layers' time."""
        return self.clock.now()

    @property
    def elapsed(self) -> float:
        """Seconds since the pair was made, without the noise of floating point."""
        return round(self.clock.now() - self._started_at, 6)

    def run(self, seconds: float = 0.0) -> None:
        """Lets everything happen that happens within the next seconds."""
        end = self.clock.now() + seconds
        while True:
            self.left.drain(self._deliver)
            self.right.drain(self._deliver)
            due = self._next_due()
            if due is None or due > end:
                self.clock.advance(end - self.clock.now())
                return
            self.clock.advance(max(0.0, due - self.clock.now()))
            self._arrive()
            self.left.layer.handle_timeout(self.clock.now())
            self.right.layer.handle_timeout(self.clock.now())

    def other(self, side: SipSide) -> SipSide:
        """Returns the peer of a side."""
        return self.right if side is self.left else self.left

    def _next_due(self) -> float | None:
        deadlines = [self.left.layer.next_timeout(), self.right.layer.next_timeout()]
        if self._in_flight:
            deadlines.append(self._in_flight[0][0])
        return min((due for due in deadlines if due < inf), default=None)

    def _deliver(self, sender: SipSide, data: bytes) -> None:
        self._order += 1
        due = self.clock.now() + self._latency_s
        heappush(self._in_flight, (due, self._order, sender, data))

    def _arrive(self) -> None:
        while self._in_flight and self._in_flight[0][0] <= self.clock.now():
            _, _, sender, data = heappop(self._in_flight)
            message = parse_message(data)
            message.source = sender.hop
            receiver = self.other(sender)
            message.listener = receiver.hop
            if isinstance(message, Request):
                message.stamp_via(sender.hop.host, sender.hop.port)
            receiver.layer.receive_message(message, self.clock.now())
