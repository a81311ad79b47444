"""What an operation may cost in function calls, the same on every machine."""

from typing import Final

import pytest
from tests.budget.counted import CountedPlatform, calls_each
from tests.budget.operations import OPERATIONS

BUDGETS: Final = {"register": 380, "call": 5000}


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_stays_within_its_budget(operation: str) -> None:
    with CountedPlatform() as platform, OPERATIONS[operation](platform) as operate:
        each = calls_each(platform, operate)
    assert sum(each.values()) <= BUDGETS[operation]
