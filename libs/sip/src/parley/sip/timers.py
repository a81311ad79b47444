"""Timer values (RFC 3261 table 4) and the queues in which transactions wait for them.

Every SIP timer has one of about a dozen durations: T1 and its doublings, T2, T4, 64*T1. Timers of
one duration expire in the order they were started, so each duration has a FIFO and neither a heap
nor a wheel is needed. The FIFOs are ordered dicts: a cancelled timer leaves at once and takes its
transaction's memory along, instead of holding it until the deadline.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum
from math import inf
from typing import Protocol


class Timer(IntEnum):
    """The timers of RFC 3261 section 17 and RFC 6026, and three of our own at the end."""

    A = 0
    B = 1
    C = 2
    D = 3
    E = 4
    F = 5
    G = 6
    H = 7
    I = 8  # noqa: E741 - the RFC's name
    J = 9
    K = 10
    L = 11
    M = 12
    TRYING = 13
    """How long an INVITE may stay unanswered before the layer sends 100 (17.2.1)."""
    CANCELLED = 14
    """How long a cancelled INVITE may stay without a final response (9.1)."""
    ABANDONED = 15
    """How long a non-INVITE request may stay unanswered by our own side (RFC 4320 2)."""


@dataclass(frozen=True, slots=True)
class Timers:
    """Base values in seconds; everything else follows from them.

    Attributes:
        t1: round-trip estimate; first retransmission interval.
        t2: longest interval between retransmissions of non-INVITE requests and INVITE responses.
        t4: longest life of a message in the network.
        d: how long a client absorbs retransmitted INVITE failures over UDP (at least 32 s).
        c: how long an INVITE may ring without news (16.6: more than three minutes); may be
            infinite.
        trying: delay of the automatic 100; 0 sends it at once (a proxy's choice).
    """

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    d: float = 32.0
    c: float = 185.0
    trying: float = 0.2

    def __post_init__(self) -> None:
        if min(self.t1, self.t2, self.t4, self.d, self.c) <= 0 or self.trying < 0:
            raise ValueError("SIP timers must be positive")

    def durations(self, *, is_reliable: bool) -> dict[Timer, float]:
        """Returns each timer's first duration; 0 means it expires at once or never starts."""
        patience = 64 * self.t1
        retransmission = 0.0 if is_reliable else self.t1
        return {
            Timer.A: retransmission,
            Timer.B: patience,
            Timer.C: self.c,
            Timer.D: 0.0 if is_reliable else self.d,
            Timer.E: retransmission,
            Timer.F: patience,
            Timer.G: retransmission,
            Timer.H: patience,
            Timer.I: 0.0 if is_reliable else self.t4,
            Timer.J: 0.0 if is_reliable else patience,
            Timer.K: 0.0 if is_reliable else self.t4,
            Timer.L: patience,
            Timer.M: patience,
            Timer.TRYING: self.trying,
            Timer.CANCELLED: patience,
            Timer.ABANDONED: 2 * patience,
        }


DEFAULT_TIMERS = Timers()


class Waiter(Protocol):
    """What can wait for a timer; hashed by identity."""

    def handle_timer(self, kind: "TimerKind", now: float) -> None:
        """Acts on the timer, which is no longer running."""
        ...


class TimerKind(IntEnum):
    """A waiter has at most one timer of each kind running."""

    RETRANSMIT = 0
    EXPIRE = 1


class Earliest:
    """When the first timer of one kind may be due.

    Attributes:
        at: no timer is due before this; `math.inf` without timers.
    """

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = inf


class TimerQueue:
    """All running timers of one kind and one duration, oldest first.

    Attributes:
        duration: seconds, always positive.
        entries: deadline of each waiter; a timer is stopped by taking its waiter out.
    """

    __slots__ = ("_earliest", "duration", "entries")

    def __init__(self, duration: float, earliest: Earliest) -> None:
        self.duration = duration
        self.entries: OrderedDict[Waiter, float] = OrderedDict()
        self._earliest = earliest

    def start(self, waiter: Waiter, now: float) -> None:
        """Starts a timer; the waiter must have none of this kind running."""
        deadline = now + self.duration
        self.entries[waiter] = deadline
        if deadline < self._earliest.at:
            self._earliest.at = deadline


class TimerQueues:
    """All running timers of one kind.

    Attributes:
        earliest: a lower bound after cancellations, exact after `fire_due`.
    """

    __slots__ = ("_by_duration", "_kind", "earliest")

    def __init__(self, kind: TimerKind) -> None:
        self._kind = kind
        self._by_duration: dict[float, TimerQueue] = {}
        self.earliest = Earliest()

    def __len__(self) -> int:
        return sum(len(queue.entries) for queue in self._by_duration.values())

    def queue(self, duration: float) -> TimerQueue:
        """Returns the queue of a duration (seconds, positive), made on first use."""
        queue = self._by_duration.get(duration)
        if queue is None:
            queue = self._by_duration[duration] = TimerQueue(duration, self.earliest)
        return queue

    def fire_due(self, now: float) -> None:
        """Hands every timer due by `now` to its waiter."""
        kind = self._kind
        # A waiter may open a new queue (a doubled interval) while this runs.
        for queue in list(self._by_duration.values()):
            entries = queue.entries
            while entries:
                waiter, deadline = next(iter(entries.items()))
                if deadline > now:
                    break
                del entries[waiter]
                waiter.handle_timer(kind, now)
        self.earliest.at = min(
            (
                next(iter(queue.entries.values()))
                for queue in self._by_duration.values()
                if queue.entries
            ),
            default=inf,
        )
