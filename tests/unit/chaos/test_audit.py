"""Which duration of a CDR is right for what the two phones saw."""

import pytest
from tests.chaos.audit import duration_error_s

from parley.testkit.farm.load import Attempt

CALL = Attempt(0.0, answering_s=1.0, talked_s=3.0, parting_s=0.5)
"""Picked up at 0 s, known to the caller at 1 s, who hangs up at 4 s; known to all at 4.5 s."""


@pytest.mark.parametrize("duration_s", [3.0, 4.0, 4.5])
def test_an_answer_and_a_bye_may_be_dated_by_whoever_saw_them(duration_s: float) -> None:
    assert duration_error_s(duration_s, CALL) == 0.0


def test_a_duration_without_a_part_of_the_talk_is_wrong_by_that_part() -> None:
    assert duration_error_s(2.25, CALL) == 0.75


def test_a_duration_from_before_the_callee_picked_up_is_wrong_by_the_time_before() -> None:
    assert duration_error_s(5.5, CALL) == 1.0
