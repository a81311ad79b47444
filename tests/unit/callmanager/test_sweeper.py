"""Who takes whom for dead, around an outage of shared state."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from parley.callmanager.lease import LeaseTimes
from parley.callmanager.metrics import CallManagerMetrics
from parley.callmanager.ownership import Answer
from parley.callmanager.store import CallStore
from parley.callmanager.sweeper import CHECK_S, OVERDUE_S, SETTLE_S, Sweeper
from parley.model.ids import CallId, InstanceId
from parley.service.metrics import Registry
from parley.testkit.clock import FakeClock

TIMES = LeaseTimes(ttl_s=2.0, renew_s=0.6)


class _State:
    """State in which the lease of `cm-2` has run out."""

    is_immediate = False

    def __init__(self) -> None:
        self.while_reading: Callable[[], None] = lambda: None
        self.leases = {"lease:{callmanager}:cm-1"}
        self.calls = ["call"]
        self.tell_new_generation: Callable[[], None] = lambda: None

    def on_new_generation(self, callback: Callable[[], None]) -> None:
        self.tell_new_generation = callback

    async def index_range(self, key: str, limit: int | None = None) -> list[tuple[str, float]]:
        if key == "owners:{callmanager}":
            return [("cm-1", 1.0), ("cm-2", 2.0), ("cm-3", 2.0)]
        return [(call, 3.0) for call in self.calls] if "cm-2" in key else []

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        self.while_reading()
        return [b"1" if key in self.leases else None for key in keys]

    async def index_remove(self, key: str, *members: str) -> None: ...

    async def hash_delete(self, key: str, *fields: str) -> None: ...

    async def hash_get_all(self, key: str) -> dict[str, bytes]:
        return {}


class _Stage:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.state = _State()
        self.keeper = SimpleNamespace(is_valid=True, times=TIMES)
        self.taken: list[str] = []
        self.unreadable: set[str] = set()
        self.doubts = 0
        takeovers: Any = SimpleNamespace(
            is_leaving=False,
            is_for_others=lambda call_id: call_id in self.unreadable,
            take_dead=self._take,
            is_known=lambda call_id: True,
            doubt_all_but=lambda call_ids: None,
            doubt_all=self._doubt_all,
        )
        peers: Any = SimpleNamespace(ask=self._ask)
        state: Any = self.state
        keeper: Any = self.keeper
        me = InstanceId("cm-1")
        store = CallStore(state, me, 60.0, CallManagerMetrics(Registry()))
        self.sweeper = Sweeper(state, keeper, peers, store, takeovers, self.clock, me)

    async def _take(self, call_id: CallId, *_: object) -> bool:
        self.taken.append(call_id)
        return True

    async def _ask(self, instance: InstanceId) -> Answer:
        return Answer.UP

    async def _doubt_all(self) -> None:
        self.doubts += 1


@pytest.fixture
def stage() -> _Stage:
    return _Stage()


async def test_calls_of_an_instance_without_lease_are_taken(stage: _Stage) -> None:
    await stage.sweeper.sweep()
    assert stage.taken == ["call"]


async def test_state_that_was_lost_while_it_was_read_declares_nobody_dead(stage: _Stage) -> None:
    stage.state.while_reading = lambda: stage.state.tell_new_generation()
    await stage.sweeper.sweep()
    assert stage.taken == []
    stage.state.while_reading = lambda: None
    stage.clock.advance(SETTLE_S)
    await stage.sweeper.sweep()
    assert stage.taken == ["call"]


async def test_who_waited_long_for_state_gives_the_others_time_to_renew_theirs(
    stage: _Stage,
) -> None:
    stage.state.while_reading = lambda: stage.clock.advance(TIMES.held_up_s + 0.1)
    await stage.sweeper.sweep()
    stage.state.while_reading = lambda: None
    await stage.sweeper.sweep()
    assert stage.taken == []
    stage.clock.advance(2 * TIMES.renew_s + 0.1)
    await stage.sweeper.sweep()
    assert stage.taken == ["call"]


async def test_who_lost_its_lease_while_it_looked_declares_nobody_dead(stage: _Stage) -> None:
    stage.state.while_reading = lambda: setattr(stage.keeper, "is_valid", False)
    await stage.sweeper.sweep()
    assert stage.taken == []


async def test_who_was_without_a_lease_gives_the_others_time_to_renew_theirs(
    stage: _Stage,
) -> None:
    stage.keeper.is_valid = False
    await stage.sweeper.sweep()
    stage.keeper.is_valid = True
    await stage.sweeper.sweep()
    assert stage.taken == []
    stage.clock.advance(SETTLE_S)
    await stage.sweeper.sweep()
    assert stage.taken == ["call"]


async def test_what_another_one_has_to_take_and_does_not_is_taken_after_a_while(
    stage: _Stage,
) -> None:
    stage.state.leases.add("lease:{callmanager}:cm-3")
    stage.state.calls = [f"call-{n}" for n in range(20)]
    await stage.sweeper.sweep()
    ours = len(stage.taken)
    assert 0 < ours < 20
    stage.taken.clear()
    stage.clock.advance(OVERDUE_S)
    await stage.sweeper.sweep()
    assert sorted(stage.taken) == sorted(stage.state.calls)


async def test_what_cannot_be_read_here_is_left_to_others(stage: _Stage) -> None:
    stage.unreadable.add("call")
    await stage.sweeper.sweep()
    stage.clock.advance(OVERDUE_S)
    await stage.sweeper.sweep()
    assert stage.taken == []


async def test_after_a_failover_all_calls_are_doubted_once(stage: _Stage) -> None:
    await stage.sweeper.sweep()
    assert stage.doubts == 0
    stage.state.tell_new_generation()
    for _ in range(3):
        stage.clock.advance(SETTLE_S + CHECK_S)
        await stage.sweeper.sweep()
    assert stage.doubts == 1
