"""Calls with real media over two relay processes, one of which dies, freezes or is asked to end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import structlog

from parley.backing.media.grpc import GrpcMediaControl
from parley.callmanager.parts import CallState

from .live_call import LiveCall
from .processes import RelayChild

_logger = structlog.stdlib.get_logger(__name__)

pytestmark = pytest.mark.timeout(90)

LOUD_S = 0.3
"""Long enough to hear each other before and after."""


class Scene:
    """Relays, a call manager's media control, and calls."""

    def __init__(self, relays: list[RelayChild], control: GrpcMediaControl) -> None:
        self.relays = relays
        self.control = control
        self.calls: dict[str, LiveCall] = {}
        control.on_event(self._on_event)

    def _on_event(self, event: Any) -> None:
        call = self.calls[event.session_id]
        call.post(call.call.receive_media_event, event)

    async def call(self) -> LiveCall:
        call = LiveCall(len(self.calls), self.control)
        self.calls[call.id] = call
        await call.start()
        return call

    def home(self, call: LiveCall) -> RelayChild:
        address = call.call.parts.media.relay
        return next(relay for relay in self.relays if relay.address == address)

    def other(self, relay: RelayChild) -> RelayChild:
        return next(each for each in self.relays if each is not relay)

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.002)


Set = Callable[[], Awaitable[Scene]]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    relays = list(await asyncio.gather(RelayChild.start(), RelayChild.start()))
    control = GrpcMediaControl([relay.address for relay in relays], "cm-1")
    scene = Scene(relays, control)
    try:
        await control.start()
        async with asyncio.timeout(5):
            await control.wait_all_up()
        yield scene
    finally:
        for call in scene.calls.values():
            await call.aclose()
        await control.aclose()
        for relay in relays:
            await relay.aclose()


async def talk(call: LiveCall, seconds: float = LOUD_S) -> None:
    heard = len(call.a.heard), len(call.b.heard)
    await asyncio.sleep(seconds)
    assert len(call.a.heard) > heard[0]
    assert len(call.b.heard) > heard[1]


async def test_a_killed_relays_call_is_heard_again_within_half_a_second(scene: Scene) -> None:
    call = await scene.call()
    await talk(call)
    first = scene.home(call)
    began = asyncio.get_running_loop().time()
    first.kill()
    await scene.until(lambda: call.moves == 2)
    await talk(call)
    assert scene.home(call) is not first
    gaps = [phone.longest_gap_s(began) for phone in (call.a, call.b)]
    _logger.info("measured", gap_ms=[round(gap * 1000) for gap in gaps])
    assert max(gaps) < 0.5
    call.hang_up()
    await asyncio.wait_for(call.is_over.wait(), 5)
    record = call.call.parts.journal.record
    assert record is not None
    assert record.termination.reason == "hangup"


async def test_a_frozen_relays_call_goes_on_elsewhere_and_is_closed_there_when_it_thaws(
    scene: Scene,
) -> None:
    call = await scene.call()
    await talk(call)
    first = scene.home(call)
    began = asyncio.get_running_loop().time()
    first.freeze()
    try:
        await scene.until(lambda: call.moves == 2)
        await talk(call)
        assert scene.home(call) is not first
        gaps = [phone.longest_gap_s(began) for phone in (call.a, call.b)]
        _logger.info("measured", gap_ms=[round(gap * 1000) for gap in gaps])
        assert max(gaps) < 1.2
        fresh = await scene.call()
        assert scene.home(fresh) is not first
    finally:
        first.thaw()
    async with asyncio.timeout(10):
        while await first.sessions():  # noqa: ASYNC110 - another process's count
            await asyncio.sleep(0.05)
    await talk(call)
    assert call.moves == 2


async def test_a_draining_relay_is_left_without_a_gap_and_ends(scene: Scene) -> None:
    call = await scene.call()
    call.answer_after_s = 0.02
    await talk(call)
    first = scene.home(call)
    began, sent = asyncio.get_running_loop().time(), (call.a.sequence, call.b.sequence)
    first.terminate()
    assert await first.wait(5) == 0
    await talk(call)
    assert call.call.state is CallState.ANSWERED
    gaps = [phone.longest_gap_s(began) for phone in (call.a, call.b)]
    # The last packets may still be on their way.
    lost = (
        call.b.missing(sent[0], call.a.sequence - 5),
        call.a.missing(sent[1], call.b.sequence - 5),
    )
    _logger.info("measured", gap_ms=[round(gap * 1000) for gap in gaps])
    _logger.info("measured", lost=lost)
    assert lost == (0, 0)
    assert max(gaps) <= 0.06


async def test_calls_stay_on_a_draining_relay_while_there_is_no_other(scene: Scene) -> None:
    call = await scene.call()
    first = scene.home(call)
    scene.other(first).kill()
    await scene.until(lambda: not scene.control.is_ready or len(scene.control.relays) == 2)
    first.terminate()
    await talk(call, 1.0)
    assert call.moves == 0
    assert first.is_running
    call.hang_up()
    assert await first.wait(5) == 0


async def test_many_calls_of_a_killed_relay_all_move(scene: Scene) -> None:
    calls = [await scene.call() for _ in range(8)]
    dead = scene.home(calls[0])
    hit = [call for call in calls if scene.home(call) is dead]
    dead.kill()
    await scene.until(lambda: all(call.moves == 2 for call in hit))
    for call in calls:
        await talk(call, 0.05)
        assert scene.home(call) is not dead
