"""The shell of a call: how much waits in it, and what becomes of it when something breaks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from parley.backing.state.embedded import EmbeddedState
from parley.callmanager.call import Call
from parley.callmanager.call_services import CallServices
from parley.callmanager.calls import Calls
from parley.callmanager.events import CallEvents
from parley.callmanager.mailbox import MAX_QUEUED, Mailbox
from parley.callmanager.metrics import CallManagerMetrics
from parley.callmanager.store import CallStore
from parley.callmanager.teardown import LINGER_S
from parley.model.events import CallEnded, Event, decode_event
from parley.model.ids import InstanceId
from parley.model.media import Command, LegPorts, LocalStream, OpenSession, Reply
from parley.service.metrics import Registry
from parley.service.tasks import TaskOwner
from parley.sip.message import Response
from parley.testkit.clock import FakeClock

from .stage import Stage


class Media:
    """Relays that answer when they may."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()

    async def execute(self, command: Command) -> Reply:
        await self.may_answer.wait()
        legs = command.legs if isinstance(command, OpenSession) else []
        ports = [LegPorts(leg.leg, [LocalStream(0, "192.0.2.9", 20000, 20001)]) for leg in legs]
        return Reply(command.session_id, ok=True, legs=ports, relay="r1")


class Desk:
    """One call that goes out to a phone, and its surroundings.

    Attributes:
        statuses: that the caller was answered with.
        events: that the bus took.
    """

    def __init__(self, state: EmbeddedState, stage: Stage, registry: Registry) -> None:
        self.registry = registry
        self.statuses: list[int] = []
        self.events: list[Event] = []
        self.media = Media()
        self.tasks = TaskOwner()
        self.clock = clock = FakeClock()
        metrics = CallManagerMetrics(registry)
        self.store = CallStore(state, InstanceId("cm-1"), 60.0, metrics)
        fakes: Any = SimpleNamespace(
            node=SimpleNamespace(
                respond=self._respond,
                send_request=lambda request, *rest, **named: SimpleNamespace(request=request),
                cancel=lambda *arguments: None,
            ),
            edges=SimpleNamespace(living=lambda hop, call_id: hop),
            keeper=SimpleNamespace(
                lease=SimpleNamespace(term=1), is_sure=lambda term: True, is_valid=True
            ),
            bus=SimpleNamespace(publish=self._publish, publish_and_wait=self._publish_and_wait),
            media=self.media,
        )
        self.calls = Calls(metrics)
        services = CallServices(
            node=fakes.node,
            media=fakes.media,
            store=self.store,
            events=CallEvents(fakes.bus, metrics),
            registry=self.calls,
            keeper=fakes.keeper,
            edges=fakes.edges,
            clock=clock,
            tasks=self.tasks,
            metrics=metrics,
        )
        transaction = SimpleNamespace(user=None)
        setup = replace(stage.call.setup, transaction=transaction)
        self.mailbox = Mailbox(Call(setup, clock.now(), clock.wall_s()), services)
        self.calls.add(self.mailbox.call_id, self.mailbox)
        self.mailbox.post(self.mailbox.call.start, stage.decision)

    def counted(self, name: str) -> float:
        return self.registry.value(f"parley_callmanager_{name}_total")

    async def settle(self) -> None:
        """The relay answers, and nothing is left that waits."""
        self.media.may_answer.set()
        async with asyncio.timeout(2):
            while len(self.tasks):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0)
        await asyncio.sleep(0)

    @property
    def results(self) -> list[str]:
        """What the CDRs say."""
        return [
            event.data.termination.result.value
            for event in self.events
            if isinstance(event, CallEnded)
        ]

    def _respond(self, transaction: object, response: Response) -> None:
        self.statuses.append(response.status)

    def _publish(self, topic: str, key: str, value: bytes) -> None:
        self.events.append(decode_event(value))

    async def _publish_and_wait(self, topic: str, key: str, value: bytes) -> None:
        self._publish(topic, key, value)


@pytest.fixture
async def desk(play: Callable[..., Stage], registry: Registry) -> AsyncIterator[Desk]:
    state = EmbeddedState(FakeClock())
    await state.start()
    desk = Desk(state, play(), registry)
    yield desk
    await desk.tasks.aclose()
    await state.aclose()


def broken(*arguments: object, **named: object) -> None:
    raise ZeroDivisionError


async def test_inputs_that_a_waiting_call_has_no_room_for_are_dropped_and_counted(
    desk: Desk,
) -> None:
    assert desk.mailbox.is_busy
    seen: list[int] = []
    for number in range(MAX_QUEUED + 3):
        desk.mailbox.post(lambda n, now: seen.append(n), number)
    assert seen == []
    assert desk.counted("mailbox_overflows") == 3
    await desk.settle()
    assert seen == list(range(MAX_QUEUED))
    desk.mailbox.post(lambda now: seen.append(-1))
    assert seen[-1] == -1
    assert desk.counted("mailbox_overflows") == 3


async def test_a_call_in_which_something_breaks_is_ended_in_order(desk: Desk) -> None:
    await desk.settle()
    desk.mailbox.post(broken)
    await desk.settle()
    assert desk.counted("calls_broken") == 1
    assert desk.statuses[-1] == 500
    assert not desk.mailbox.is_over  # The phone has not answered the CANCEL yet.
    desk.mailbox.post(desk.mailbox.call.receive_failure, 1, "timeout")
    await desk.settle()
    assert desk.mailbox.is_over
    assert desk.results == ["failed"]
    assert desk.calls.get(desk.mailbox.call_id) is None
    assert await desk.store.snapshot(desk.mailbox.call_id) is None


async def test_what_breaks_while_a_call_waits_ends_it_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.mailbox.is_busy
    monkeypatch.setattr(Call, "receive_media", broken)
    await desk.settle()
    assert desk.counted("calls_broken") == 1
    assert desk.statuses[-1] == 500
    # The relay's reply is lost: the guard time has to pass.
    desk.clock.advance(LINGER_S + 1)
    desk.mailbox.post(desk.mailbox.call.handle_timeout)
    await desk.settle()
    assert desk.mailbox.is_over
    assert desk.results == ["failed"]


async def test_a_call_that_cannot_be_ended_leaves_its_record(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.settle()
    monkeypatch.setattr(Call, "abort", broken)
    desk.mailbox.post(broken)
    await desk.settle()
    assert desk.counted("calls_broken") == 2
    assert desk.mailbox.is_over
    assert desk.results == ["failed"]


async def test_a_call_that_cannot_even_be_recorded_is_given_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.settle()
    monkeypatch.setattr(Call, "abort", broken)
    monkeypatch.setattr(Call, "write_off", broken)
    desk.mailbox.post(broken)
    await desk.settle()
    assert desk.counted("calls_broken") == 4
    assert desk.mailbox.is_over
    assert desk.results == []
    desk.mailbox.post(broken)
    assert desk.counted("calls_broken") == 4
    assert desk.calls.get(desk.mailbox.call_id) is None
