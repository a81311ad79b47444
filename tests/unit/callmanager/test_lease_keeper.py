"""Whether an instance leaves its calls to others when state does not answer it."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from parley.backing.errors import BackingUnavailable
from parley.callmanager.lease import LeaseTimes
from parley.callmanager.lease_keeper import LeaseKeeper
from parley.callmanager.ownership import Answer, Verdict
from parley.model.ids import InstanceId
from parley.testkit.clock import FakeClock


class _State:
    """State that is away for a number of operations."""

    def __init__(self) -> None:
        self.refuses = 0
        self.swallows = 0
        self.version = 0

    def on_new_generation(self, callback: object) -> None: ...

    async def put_if_version(self, key: str, value: bytes, version: int, ttl_s: float) -> int:
        if self.refuses:
            self.refuses -= 1
            raise BackingUnavailable("away")
        if self.swallows:
            self.swallows -= 1
            await asyncio.Event().wait()
        self.version += 1
        return self.version

    async def index_add(self, key: str, member: str, score: float) -> None: ...


class _Stage:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.state = _State()
        self.asked = 0
        self.dropped = self.looked = 0
        store: Any = SimpleNamespace(forget=lambda: None, is_away=None)
        peers: Any = SimpleNamespace(ask_all=self._ask_all)
        state: Any = self.state
        self.keeper = LeaseKeeper(
            state=state,
            store=store,
            peers=peers,
            clock=self.clock,
            instance=InstanceId("cm-1"),
            times=LeaseTimes(ttl_s=0.1),
        )
        self.keeper.on_leave = self._drop
        self.keeper.on_interruption = self._look

    async def _ask_all(self) -> list[Answer]:
        self.asked += 1
        return [Answer.UP]

    def _drop(self) -> None:
        self.dropped += 1

    def _look(self) -> None:
        self.looked += 1


@pytest.fixture
async def stage() -> _Stage:
    stage = _Stage()
    await stage.keeper.start()
    return stage


async def test_state_that_answers_the_others_first_gets_a_moment(stage: _Stage) -> None:
    stage.state.refuses = 2
    stage.clock.advance(5.0)
    await stage.keeper.renew()
    assert (stage.asked, stage.dropped) == (1, 0)
    assert stage.keeper.is_valid and not stage.keeper.is_isolated
    assert stage.looked


async def test_state_that_swallows_an_answer_gets_a_moment_too(stage: _Stage) -> None:
    stage.state.swallows = 2
    stage.clock.advance(5.0)
    await stage.keeper.renew()
    assert (stage.asked, stage.dropped) == (1, 0)
    assert stage.keeper.is_valid and not stage.keeper.is_isolated


async def test_who_alone_does_not_reach_state_leaves_its_calls(stage: _Stage) -> None:
    stage.state.refuses = 10_000
    stage.clock.advance(5.0)
    assert await stage.keeper.judge() is Verdict.LEAVE
    assert stage.keeper.is_isolated
    assert stage.dropped == 1


async def test_a_renewal_that_finds_state_back_does_nothing_but_tell(stage: _Stage) -> None:
    stage.state.refuses = 1
    answers = []
    for _ in range(2):
        await stage.keeper.renew()
        answers.append(stage.keeper.answer)
    assert answers == [Answer.AWAY, Answer.UP]
    assert stage.looked == 1
