import asyncio
from collections.abc import AsyncIterator

import pytest

from parley.mediarelay.app import RelayService
from parley.mediarelay.settings import MediaRelaySettings
from parley.model.media import (
    CloseSession,
    LegSpec,
    MediaEvent,
    OpenSession,
    SessionLost,
    StreamSpec,
)
from parley.service.metrics import Registry
from parley.service.settings import PortRange

OPENING = OpenSession("s", 1, legs=[LegSpec("a", [StreamSpec(0)])])


class Draining:
    """A relay with one session, and whether there is another relay."""

    def __init__(self) -> None:
        self.has_others = False
        self.events: list[MediaEvent] = []
        settings = MediaRelaySettings.load(
            rtp_ports=PortRange(32500, 32539), quarantine_s=0, move_timeout_s=0.05
        )
        self.service = RelayService(settings, Registry(), lambda: self.has_others)
        self.service.relay.on_event(self.events.append)
        self.service.relay.execute([OPENING])


@pytest.fixture
async def draining() -> AsyncIterator[Draining]:
    made = Draining()
    await made.service.start()
    yield made
    await made.service.aclose()


async def test_a_relay_ends_as_soon_as_its_last_session_does(draining: Draining) -> None:
    waiting = asyncio.ensure_future(draining.service.drain(30.0))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    assert not draining.service.is_ready()
    draining.service.relay.execute([CloseSession("s", 1)])
    await asyncio.wait_for(waiting, 3)
    assert draining.events == []


async def test_a_relay_whose_last_session_gives_way_to_another_is_not_empty(
    draining: Draining,
) -> None:
    relay = draining.service.relay
    waiting = asyncio.ensure_future(relay.wait_empty())
    await asyncio.sleep(0)
    another = OpenSession("t", 1, legs=[LegSpec("a", [StreamSpec(0)])])
    relay.execute([CloseSession("s", 1), another])
    assert relay.session_ids == ["t"]
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    relay.execute([CloseSession("t", 1)])
    await asyncio.wait_for(waiting, 1)


async def test_sessions_that_could_move_elsewhere_get_less_time(draining: Draining) -> None:
    draining.has_others = True
    await asyncio.wait_for(draining.service.drain(30.0), 3)
    assert draining.events == [SessionLost("s", "the media relay shuts down")]
