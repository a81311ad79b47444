"""What client and server transactions share: a state, two timers and a compiled machine.

The tables of `transaction_tables.py` are compiled once per layer into tuples indexed by state and
input, with effects as functions and timers as queues, so that one step costs two index
operations and the effects themselves.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.sip.timers import Timer, TimerKind, TimerQueue, TimerQueues, Timers
from parley.sip.transaction_key import Key
from parley.sip.transaction_tables import Effect, Entry, Input, Machine, State

EffectFunction = Callable[[Any, Any, float], None]
FailureCause = Literal["timeout", "transport"]


Transmit = tuple[Request | Response, Hop]
"""A message to send now, and where to."""


class TransactionContext:
    """What transactions of one layer write to.

    Attributes:
        transmits: messages to send, oldest first.
        events: each a `TransactionEvent` for the layer's user, oldest first.
        by_flow: transactions in need of a connection, by hop, so that its loss finds them.
    """

    __slots__ = ("by_flow", "events", "expire", "retransmit", "timers", "transmits")

    def __init__(self, timers: Timers) -> None:
        self.timers = timers
        self.transmits: deque[Transmit] = deque()
        self.events: deque[Any] = deque()
        self.retransmit = TimerQueues(TimerKind.RETRANSMIT)
        self.expire = TimerQueues(TimerKind.EXPIRE)
        self.by_flow: dict[Hop, dict[Transaction, None]] = {}


class CompiledEntry(NamedTuple):
    """An `Entry` whose timers are queues; `is_end` when the state is left as it is entered."""

    state: State
    retransmit: TimerQueue | None
    expire: TimerQueue | None
    keep: bool
    is_end: bool


class CompiledRow(NamedTuple):
    """A `Row` whose effects are functions of (transaction, message, now).

    Attributes:
        entry: of the next state; None when it is the present one.
    """

    entry: CompiledEntry | None
    effects: tuple[EffectFunction, ...]


class Plan(NamedTuple):
    """A machine made ready for one layer and one kind of transport."""

    is_reliable: bool
    initial: CompiledEntry
    rows: tuple[tuple[CompiledRow | None, ...], ...]
    registry: "dict[Key, Any]"


class Transaction:
    """One request and its responses, on either side.

    Attributes:
        request: the request; a client's has our Via on top.
        hop: where a client's request goes, where a server's responses go.
        user: whatever the owner wants to find here again.
        is_invite: whether the method is INVITE.
        state: where the machine stands.
        key: what the layer finds it by.
    """

    EFFECTS: ClassVar[Mapping[Effect, EffectFunction]] = {}

    __slots__ = (
        "_context",
        "_expire",
        "_interval",
        "_plan",
        "_retransmit",
        "hop",
        "is_invite",
        "key",
        "request",
        "state",
        "user",
    )

    def __init__(
        self, context: TransactionContext, plan: Plan, request: Request, hop: Hop, key: Key
    ) -> None:
        self._context = context
        self._plan = plan
        self._retransmit: TimerQueue | None = None
        self._expire: TimerQueue | None = None
        self._interval = 0.0
        self.request = request
        self.hop = hop
        self.key = key
        self.user: object = None
        self.is_invite = request.method == "INVITE"
        self.state = State.TERMINATED

    @property
    def is_terminated(self) -> bool:
        """Whether the transaction is over and forgotten by its layer."""
        return self.state is State.TERMINATED

    def begin(self, now: float) -> None:
        """Enters the initial state and makes the transaction findable."""
        plan = self._plan
        plan.registry[self.key] = self
        if plan.is_reliable:
            self._join_flow()
        self.state = plan.initial.state
        self._start_timers(plan.initial, now)

    def step(self, event: Input, message: Request | Response, now: float) -> bool:
        """Feeds one input to the machine; returns whether the table had a row for it."""
        row = self._plan.rows[self.state][event]
        if row is None:
            return False
        if row.entry is not None:
            self._enter(row.entry, now)
        for effect in row.effects:
            effect(self, message, now)
        return True

    def handle_timer(self, kind: TimerKind, now: float) -> None:
        """Feeds an expired timer; called by its queue, which has let go of it."""
        if kind is TimerKind.RETRANSMIT:
            self._retransmit = None
            self.step(Input.RETRANSMIT, self.request, now)
        else:
            self._expire = None
            self.step(self._expiry_input(), self.request, now)

    def _expiry_input(self) -> Input:
        return Input.EXPIRE

    def _enter(self, entry: CompiledEntry, now: float) -> None:
        self.state = entry.state
        if entry.keep:
            return
        if self._retransmit is not None or self._expire is not None:
            self._stop_timers()
        if entry.is_end:
            self._forget()
        else:
            self._start_timers(entry, now)

    def _start_timers(self, entry: CompiledEntry, now: float) -> None:
        if entry.retransmit is not None:
            self._retransmit = entry.retransmit
            self._interval = entry.retransmit.duration
            entry.retransmit.start(self, now)
        if entry.expire is not None:
            self._expire = entry.expire
            entry.expire.start(self, now)

    def _stop_timers(self) -> None:
        if self._retransmit is not None:
            del self._retransmit.entries[self]
            self._retransmit = None
        if self._expire is not None:
            del self._expire.entries[self]
            self._expire = None

    def _restart_expire(self, duration: float, now: float) -> None:
        if self._expire is not None:
            del self._expire.entries[self]
        self._expire = self._context.expire.queue(duration)
        self._expire.start(self, now)

    def _restart_retransmit(self, interval: float, now: float) -> None:
        self._interval = interval
        self._retransmit = self._context.retransmit.queue(interval)
        self._retransmit.start(self, now)

    def _forget(self) -> None:
        self.state = State.TERMINATED
        plan = self._plan
        if plan.registry.get(self.key) is self:
            del plan.registry[self.key]
        if plan.is_reliable:
            self._leave_flow()

    def _join_flow(self) -> None:
        # UDP and local hops have no connection to lose.
        if self.hop.transport != "local":
            self._context.by_flow.setdefault(self.hop, {})[self] = None

    def _leave_flow(self) -> None:
        by_flow = self._context.by_flow
        waiting = by_flow.get(self.hop)
        if waiting is not None:
            waiting.pop(self, None)
            if not waiting:
                del by_flow[self.hop]

    def _report(self, cause: FailureCause) -> None:
        self._context.events.append(TransactionFailed(self, cause))

    def _report_timeout(self, message: Request | Response, now: float) -> None:
        self._report("timeout")

    def _report_transport(self, message: Request | Response, now: float) -> None:
        self._report("transport")


class TransactionFailed(NamedTuple):
    """A transaction ended, or could not do its work, without the peer saying so.

    For a client: no final response. For an INVITE server: the ACK never came ("timeout", which
    after a 2xx is the moment to send BYE, 13.3.1.4) or the response could not be sent.
    """

    transaction: Transaction
    cause: FailureCause


def make_plan(
    machine: Machine,
    effects: Mapping[Effect, EffectFunction],
    context: TransactionContext,
    registry: dict[Key, Any],
    *,
    is_reliable: bool,
) -> Plan:
    """Compiles a machine for one layer and one kind of transport."""
    durations = context.timers.durations(is_reliable=is_reliable)
    entries = {
        state: _compile(state, machine.entries.get(state), durations, context) for state in State
    }
    rows: list[list[CompiledRow | None]] = [[None] * len(Input) for _ in State]
    for (state, event), row in machine.rows.items():
        functions = tuple(effects[effect] for effect in row.effects)
        entry = None if row.next_state is state else entries[row.next_state]
        rows[state][event] = CompiledRow(entry, functions)
    return Plan(
        is_reliable,
        entries[machine.initial],
        tuple(tuple(events) for events in rows),
        registry,
    )


def _compile(
    state: State,
    entry: Entry | None,
    durations: Mapping[Timer, float],
    context: TransactionContext,
) -> CompiledEntry:
    if entry is None:
        return CompiledEntry(state, None, None, keep=False, is_end=True)
    retransmit = None
    if entry.retransmit is not None and durations[entry.retransmit]:
        retransmit = context.retransmit.queue(durations[entry.retransmit])
    expire = None
    is_end = False
    if entry.expire is not None:
        is_end = durations[entry.expire] == 0
        if not is_end:
            expire = context.expire.queue(durations[entry.expire])
    return CompiledEntry(state, retransmit, expire, keep=entry.keep, is_end=is_end)
