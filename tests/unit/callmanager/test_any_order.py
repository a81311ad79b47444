"""Whatever happens in whatever order, whoever dies on the way: one CDR, nobody left behind."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from parley.callmanager.actions import CancelRequest, MediaPurpose, SendResponse
from parley.callmanager.ending import SHUT_DOWN
from parley.callmanager.routing import Decision, Echo
from parley.model.media import MediaTimedOut
from parley.sip.message import Request

from .stage import OFFER
from .stage import targets as make_targets
from .succession import At, Succession

STATUSES = (100, 180, 183, 200, 302, 430, 480, 486, 487, 491, 503, 603)
METHODS = ("BYE", "INVITE", "UPDATE", "INFO", "MESSAGE", "OPTIONS", "REFER")

NAMES = (
    "respond",
    "respond",
    "respond",
    "fail",
    "cancel",
    "ack",
    "caller",
    "callee",
    "media",
    "time",
    "timeout",
    "relay",
    "relay",
    "stop",
    "break_",
)

steps = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.integers(0, 11),
        st.integers(0, 11),
    ),
    max_size=25,
)


class Chaos:
    """Feeds steps to a stage; every step is something that the network may do."""

    def __init__(self, stage: Any, bodies: tuple[bytes, ...]) -> None:
        self.stage = stage
        self.bodies = bodies
        self.cseq = {"a": 1, "b": 0}
        self.transactions: list[object] = []
        self.finals: dict[str, int] = {}

    def step(self, name: str, one: int, two: int) -> None:
        handler: Callable[[int, int], None] = getattr(self, name)
        handler(one, two)

    def respond(self, one: int, two: int) -> None:
        sent = self.pick(one)
        status = STATUSES[two]
        if sent is not None and self.is_legal(sent, status):
            self.stage.answer(sent, status, self.bodies[(one + two) % len(self.bodies)])

    def fail(self, one: int, two: int) -> None:
        sent = self.pick(one)
        if sent is not None and self.is_legal(sent, 408):
            self.stage.fail(sent, ("timeout", "transport")[two % 2])

    def is_legal(self, sent: Any, status: int) -> bool:
        """What a transaction lets pass: one final response, but any number of 2xx to an INVITE."""
        final = self.finals.get(sent.branch)
        if final is not None:
            return sent.request.method == "INVITE" and final < 300 and 200 <= status < 300
        if status >= 200:
            self.finals[sent.branch] = status
        return True

    def cancel(self, one: int, two: int) -> None:
        if one % 2 or not self.transactions:
            self.stage.cancel()
        else:
            transaction = self.transactions[two % len(self.transactions)]
            self.stage.feed(
                self.stage.call.receive_cancel, transaction, Request("CANCEL", "sip:x@y")
            )

    def ack(self, one: int, two: int) -> None:
        self.stage.ack(self.bodies[one % len(self.bodies)], self.cseq["a"])

    def caller(self, one: int, two: int) -> None:
        self.cseq["a"] += 1
        body = self.bodies[two % len(self.bodies)]
        method = METHODS[one % len(METHODS)]
        self.transactions.append(self.stage.caller_sends(method, body, self.cseq["a"]))

    def callee(self, one: int, two: int) -> None:
        invites = self.initial()
        if invites:
            self.cseq["b"] += 1
            body = self.bodies[two % len(self.bodies)]
            leg = f"b{two % len(invites) + 1}"
            method = METHODS[one % len(METHODS)]
            self.transactions.append(self.stage.callee_sends(method, body, self.cseq["b"], leg=leg))

    def media(self, one: int, two: int) -> None:
        stage = self.stage
        stage.silent = {list(MediaPurpose)[one % len(MediaPurpose)]}
        # A session that a relay will not close is not ours to lose.
        closing = {MediaPurpose.CLOSE, MediaPurpose.CLOSE_OLD}
        stage.refuse = {list(MediaPurpose)[two % len(MediaPurpose)]} - closing
        if stage.waiting_media and one % 2:
            stage.reply(stage.waiting_media.pop(0))

    def time(self, one: int, two: int) -> None:
        self.stage.pass_time((0.1, 0.5, 10.0, 30.0, 40.0)[one % 5])

    def timeout(self, one: int, two: int) -> None:
        cause = ("timeout", "transport")[one % 2]
        transaction = self.stage.invite_transaction
        self.stage.feed(self.stage.call.receive_server_failure, transaction, cause)

    def relay(self, one: int, two: int) -> None:
        stage = self.stage
        successor = f"r{len(stage.relays) + 1}"
        if one > 10:
            stage.feed(stage.call.receive_media_event, MediaTimedOut("call1", "a"))
        elif one > 5:
            stage.lose_relay(successor)
        elif one > 2:
            stage.drain_relay(successor)

    def stop(self, one: int, two: int) -> None:
        if one > 9:
            self.stage.feed(self.stage.call.terminate, SHUT_DOWN)

    def break_(self, one: int, two: int) -> None:
        if one > 9:
            self.stage.feed(self.stage.call.abort)

    def pick(self, one: int) -> Any:
        sent = [
            each for m in ("INVITE", "BYE", "UPDATE", "INFO") for each in self.stage.requests(m)
        ]
        return sent[one % len(sent)] if sent else None

    def initial(self) -> list[Any]:
        return [sent for sent in self.stage.requests("INVITE") if sent.request.to.tag is None]

    def settle(self) -> None:
        """The world falls silent: what was asked times out, what the relay owes it gives."""
        stage = self.stage
        stage.silent, stage.refuse = set(), set()
        while stage.waiting_media:
            stage.reply(stage.waiting_media.pop(0))
        if not stage.ended:
            stage.feed(stage.call.terminate, SHUT_DOWN)
        stage.pass_time(60.0)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kind=st.sampled_from(("one", "three", "no offer", "echo", "flows")), script=steps)
def test_any_order_of_events_ends_with_one_cdr_and_nothing_left(
    tools: tuple[Any, Any, Any], kind: str, script: list[tuple[str, int, int]]
) -> None:
    stage, bodies = make(kind, *tools)
    chaos = Chaos(stage, bodies)
    for name, one, two in script:
        chaos.step(name, one, two)
    chaos.settle()
    assert stage.ended == 1
    assert len(stage.records) == 1
    assert stage.sessions == set()
    assert all(leg.is_closed for leg in stage.call.parts.legs())
    assert not stage.call.out.deadlines
    assert_finals_given(stage, chaos)
    sequences = [event.sequence for event in stage.call.parts.journal.events]
    assert sequences == sorted(set(sequences))


def assert_finals_given(stage: Any, chaos: Chaos) -> None:
    """Every request of a phone got exactly one final response, the INVITE first of all."""
    for transaction in (stage.invite_transaction, *chaos.transactions):
        finals = [
            action.response.status
            for action in stage.log
            if isinstance(action, SendResponse)
            and action.transaction is transaction
            and action.response.status >= 200
        ]
        assert len(finals) == 1
    keys = [action.key for action in stage.log if isinstance(action, CancelRequest)]
    assert len(keys) == len(set(keys))


class Mortal(Chaos):
    """The same while owners die, between two steps or in the middle of one."""

    def step(self, name: str, one: int, two: int) -> None:
        super().step(name, one, two)
        self.succeed()

    def succeed(self) -> None:
        if self.stage.is_dead:
            self.stage.take_over()

    def die(self, one: int, two: int) -> None:
        if one % 2:
            self.stage.kill = At(nth=two // 2 + 1)
        elif not self.stage.ended:
            self.stage.take_over((0.1, 1.0, 10.0, 60.0)[two % 4])

    def talk(self) -> None:
        """Brings the call to the conversation."""
        for sent in self.initial()[:1]:
            self.finals[sent.branch] = 200
            self.stage.answer(sent, 200, self.bodies[0])
        self.stage.ack(self.bodies[0])

    def fail(self, one: int, two: int) -> None:
        sent = self.pick(one)
        if sent is not None and self.stage.is_live(sent):
            super().fail(one, two)

    def cancel(self, one: int, two: int) -> None:
        if one % 2 or not self.transactions:
            self.stage.cancel()
        else:
            self.stage.give_up(self.transactions[two % len(self.transactions)])

    def relay(self, one: int, two: int) -> None:
        if one > 8:
            self.stage.feed(self.stage.call.receive_media_event, MediaTimedOut("call1", "a"))

    def settle(self) -> None:
        self.stage.kill = None
        super().settle()


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(("one", "three", "no offer", "echo", "flows")),
    talks=st.booleans(),
    script=st.lists(
        st.tuples(
            st.sampled_from((*NAMES, "die", "die", "die", "die")),
            st.integers(0, 11),
            st.integers(0, 11),
        ),
        max_size=25,
    ),
)
@example(kind="no offer", talks=True, script=[("caller", 1, 2), ("respond", 0, 3)])
def test_whoever_dies_in_whatever_order_of_events_nobody_notices(
    tools: tuple[Any, Any, Any], kind: str, talks: bool, script: list[tuple[str, int, int]]
) -> None:
    _, sdp, targets = tools
    stage, bodies = make(kind, succession, sdp, targets)
    chaos = Mortal(stage, bodies)
    if talks:
        chaos.talk()
    for name, one, two in script:
        chaos.step(name, one, two)
    chaos.settle()
    assert stage.ended == 1
    assert stage.sessions == set()
    assert all(leg.is_closed for leg in stage.call.parts.legs())
    assert not stage.call.out.deadlines
    stage.assert_consistent()


def succession(count: int = 1, body: bytes = OFFER, decision: Decision | None = None) -> Succession:
    return Succession(decision or make_targets(count), body)


@pytest.fixture
def tools(play: Any, make_sdp: Any, make_targets: Any) -> tuple[Any, Any, Any]:
    return play, make_sdp, make_targets


def make(kind: str, play: Any, sdp: Any, targets: Any) -> tuple[Any, tuple[bytes, ...]]:
    bodies = (
        sdp("192.0.2.2", 5000),
        b"",
        sdp("192.0.2.3", 5002, "sendonly"),
        b"nonsense",
        sdp("192.0.2.4", 5004, media=2),
    )
    starts = {
        "one": lambda: play(1),
        "three": lambda: play(3),
        "no offer": lambda: play(2, body=b""),
        "echo": lambda: play(decision=Echo("999")),
        "flows": lambda: play(decision=targets(2, alternates=2)),
    }
    return starts[kind](), bodies
