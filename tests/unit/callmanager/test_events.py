"""What leaves for the bus, and when."""

from typing import Any

import pytest

from parley.backing.errors import BackingUnavailable
from parley.callmanager.events import CallEvents
from parley.callmanager.metrics import CallManagerMetrics
from parley.model.events import decode_event
from parley.service.metrics import Registry


class Bus:
    """Takes events, or does not."""

    def __init__(self) -> None:
        self.is_away = False
        self.taken: list[str] = []

    def publish(self, topic: str, key: str, value: bytes) -> None:
        if self.is_away:
            raise BackingUnavailable("away")
        self.taken.append(decode_event(value).type)

    async def publish_and_wait(self, topic: str, key: str, value: bytes) -> None:
        self.publish(topic, key, value)


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def events(bus: Bus) -> CallEvents:
    made: Any = bus
    return CallEvents(made, CallManagerMetrics(Registry()))


async def test_what_is_late_does_not_take_along_what_is_not_written(
    play: Any, bus: Bus, events: CallEvents
) -> None:
    stage = play(is_bus_away=True)
    journal = stage.call.parts.journal
    bus.is_away = True
    events.publish(journal)
    bus.is_away = False
    # Ringing joins the next write, 0.3 s later at the most.
    stage.answer(stage.requests("INVITE")[0], 180)
    await events.catch_up()
    assert bus.taken == ["call.started"]
    stage.pass_time(0.5)
    events.publish(journal)
    assert bus.taken == ["call.started", "call.ringing"]


async def test_nothing_of_a_call_that_is_another_s_leaves(
    play: Any, bus: Bus, events: CallEvents
) -> None:
    stage = play(is_bus_away=True)
    bus.is_away = True
    events.publish(stage.call.parts.journal)
    bus.is_away = False
    stage.call.parts.journal.disown()
    await events.catch_up()
    assert await events.publish_last(stage.call.parts.journal)
    assert bus.taken == []


async def test_what_ended_while_the_bus_was_away_is_published_and_then_deleted(
    talking: Any, bus: Bus, events: CallEvents
) -> None:
    stage = talking
    stage.is_bus_away = True
    stage.caller_sends("BYE")
    deleted: list[str] = []

    async def delete() -> None:
        deleted.extend(bus.taken)

    bus.is_away = True
    events.finish_later(stage.call.parts.journal, delete)
    await events.catch_up()
    assert deleted == []
    bus.is_away = False
    await events.catch_up()
    assert deleted == ["call.ended"]
