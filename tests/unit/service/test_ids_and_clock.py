"""Random ids are unique and safe in SIP; the clock is the loop's."""

import asyncio
import re
from datetime import timedelta

import pytest

from parley.service.clock import Clock, SystemClock
from parley.service.ids import RandomIds
from parley.sip.ids import Ids


def test_tokens_are_unique_and_of_the_length_asked_for() -> None:
    ids: Ids = RandomIds()

    tokens = [ids.token(8) for _ in range(2000)]

    assert len(set(tokens)) == 2000
    assert all(re.fullmatch(r"[0-9a-f]{16}", token) for token in tokens)
    assert len(ids.token(5000)) == 10_000
    assert len(ids.token(3)) == 6


def test_instance_is_named_and_never_the_same() -> None:
    ids = RandomIds()

    first, second = ids.instance("edge"), ids.instance("edge")

    assert first != second
    assert re.fullmatch(r"edge-[0-9a-f]{10}", first)


async def test_monotonic_time_has_the_base_of_the_loop() -> None:
    clock: Clock = SystemClock()

    assert abs(clock.now() - asyncio.get_running_loop().time()) < 1
    assert clock.wall().utcoffset() == timedelta(0)
    assert abs(clock.wall().timestamp() - clock.wall_s()) < 1


class _Machine:
    """A machine whose wall clock can be set."""

    def __init__(self) -> None:
        self.steady_s = 50.0
        self.wall_s = 1_000_000.0

    def pass_(self, seconds: float) -> None:
        self.steady_s += seconds
        self.wall_s += seconds

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.wall_s, lambda: self.steady_s)


@pytest.mark.parametrize("step_s", [3600.0, -3600.0, -1.0])
def test_a_step_of_the_machines_wall_clock_is_followed_slowly(step_s: float) -> None:
    machine = _Machine()
    clock = machine.clock()
    machine.pass_(10.0)
    assert clock.wall_s() == pytest.approx(machine.wall_s)
    expected = machine.wall_s
    machine.wall_s += step_s
    for _ in range(100):
        machine.pass_(1.0)
        clock.wall_s()
    assert clock.wall_s() == pytest.approx(expected + 100, abs=0.101)
    assert clock.wall().timestamp() == pytest.approx(clock.wall_s())


def test_small_corrections_of_the_machines_wall_clock_are_taken_over() -> None:
    machine = _Machine()
    clock = machine.clock()
    for _ in range(100):
        machine.pass_(10.0)
        machine.wall_s += 0.02
        clock.wall_s()
    assert clock.wall_s() == pytest.approx(machine.wall_s)
