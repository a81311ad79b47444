"""An endurance run is judged by failures, pauses and memory."""

from dataclasses import replace

import pytest
from tests.bench.endurance import Findings, growth, missed_goals
from tests.bench.options_probe import Answers
from tests.bench.peers.load import Outcome
from tests.bench.schedstat import CpuTime

OUTCOME = Outcome(
    ok=1000,
    failed=0,
    resent=0,
    wall_s=10.0,
    load_cpu_s=1.0,
    op_ms_p50=2.0,
    op_ms_p99=9.0,
    setup_ms_p50=1.5,
    setup_ms_p99=8.0,
    first_failure="",
)
FLAT = [100.0, 150.0, 180.0, 200.0, 200.0, 201.0]
WELL = Findings(OUTCOME, Answers({0: 0.2, 1: 19.0}, 2), FLAT, CpuTime(5, 0), 10.0)


def test_a_run_that_met_every_goal_has_nothing_to_say() -> None:
    assert list(missed_goals(WELL)) == []


def test_memory_that_rises_and_levels_off_is_flat() -> None:
    assert growth(FLAT) == pytest.approx(0.005)


def test_memory_that_goes_on_rising_is_not() -> None:
    findings = replace(WELL, rss_mib=[100.0, 110.0, 120.0, 130.0, 140.0, 150.0])

    assert list(missed_goals(findings)) == [
        "Memory grew by 15.4% in the last third; the goal is 2%."
    ]


def test_a_peak_in_the_last_third_counts_though_memory_came_down_again() -> None:
    assert growth([100.0, 100.0, 100.0, 100.0, 120.0, 100.0]) == pytest.approx(0.2)


def test_a_long_pause_is_told_with_its_time() -> None:
    findings = replace(WELL, answers=Answers({0: 0.2, 100: 35.0, 101: 0.3}, 3))

    assert list(missed_goals(findings)) == [
        "The server paused for 35.0 ms, 5 s after the start; the goal is 20 ms."
    ]


def test_a_question_without_an_answer_is_missed() -> None:
    findings = replace(WELL, answers=Answers({0: 0.2}, 3))

    assert list(missed_goals(findings)) == ["Of 3 questions of the stranger, 2 got no answer."]


def test_a_probe_that_asked_nothing_proves_nothing() -> None:
    assert list(missed_goals(replace(WELL, answers=Answers())))


def test_failed_operations_are_missed() -> None:
    findings = replace(WELL, outcome=replace(OUTCOME, failed=2, first_failure="503 Busy"))

    assert list(missed_goals(findings)) == ["Of the operations, 2 of 1002 failed (503 Busy)."]
