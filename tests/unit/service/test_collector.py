"""Garbage is collected when nobody waits for it."""

import gc
from pathlib import Path

import pytest

from parley.service.collector import (
    IDLE_WAIT_S,
    LOOK_S,
    MAX_OBJECTS,
    MAX_WAIT_S,
    CollectionPlan,
    collector_off,
    objects_that_fit,
)


def first_due(share: float) -> float | None:
    """After how many seconds a process that needs so much of a core is due; None in two hours."""
    plan = CollectionPlan(0.0, 0.0)
    looks = (number * LOOK_S for number in range(1, int(2 * MAX_WAIT_S / LOOK_S)))
    return next((now for now in looks if plan.is_due(now, now * share, 0)), None)


@pytest.mark.parametrize(("share", "due"), [(0.0, IDLE_WAIT_S), (0.5, MAX_WAIT_S)])
def test_a_collection_is_due_when_idle_and_at_the_latest_after_an_hour(
    share: float, due: float
) -> None:
    assert first_due(share) == due


def test_an_idle_process_rests_between_collections() -> None:
    plan = CollectionPlan(0.0, 0.0)
    due = [now for now in range(10, 301, 10) if plan.is_due(float(now), 0.0, 0)]
    assert due == [60, 120, 180, 240, 300]


def test_a_busy_process_that_comes_to_rest_is_collected_then() -> None:
    plan = CollectionPlan(0.0, 0.0)
    assert not any(plan.is_due(float(now), float(now), 0) for now in range(10, 101, 10))
    assert plan.is_due(110.0, 100.0, 0)


def test_garbage_that_piles_up_is_collected_however_busy_the_process_is() -> None:
    plan = CollectionPlan(0.0, 0.0)
    assert not plan.is_due(10.0, 10.0, MAX_OBJECTS - 1)
    assert plan.is_due(20.0, 20.0, MAX_OBJECTS)


def test_a_small_process_is_collected_before_garbage_fills_its_memory() -> None:
    plan = CollectionPlan(0.0, 0.0, max_objects=1000)
    assert not plan.is_due(10.0, 10.0, 999)
    assert plan.is_due(20.0, 20.0, 1000)


@pytest.mark.parametrize(
    ("limit", "objects"),
    [
        (str(64 << 20), 83_886),
        (str(8 << 30), MAX_OBJECTS),
        ("max\n", MAX_OBJECTS),
        ("", MAX_OBJECTS),
        (None, MAX_OBJECTS),
    ],
)
def test_garbage_may_take_a_quarter_of_the_memory(
    tmp_path: Path, limit: str | None, objects: int
) -> None:
    file = tmp_path / "memory.max"
    if limit is not None:
        file.write_text(limit)
    assert objects_that_fit(file) == objects


def test_what_piles_up_is_counted_while_no_collection_starts() -> None:
    with collector_off():
        before = gc.get_count()[0]
        for _ in range(1000):
            cycle: list[object] = []
            cycle.append(cycle)
        assert gc.get_count()[0] - before >= 1000


def test_no_collection_starts_by_itself_within() -> None:
    assert gc.isenabled()
    with collector_off():
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
