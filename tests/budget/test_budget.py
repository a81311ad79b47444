"""What an operation may cost in function calls, the same on every machine."""

from typing import Final

import pytest
from tests.budget.counted import CountedPlatform, calls_each
from tests.budget.operations import OPERATIONS

BUDGETS: Final = {"register": 395, "call": 3450}

_BATCHED: Final = ("/sqlalchemy/", "/aiosqlite/", "accounting/", "backing/db/")
"""Records are written to the database in batches, whose size depends on how fast a machine is."""


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_stays_within_its_budget(operation: str) -> None:
    with CountedPlatform() as platform, OPERATIONS[operation](platform) as operate:
        each = calls_each(platform, operate, but=_BATCHED)
    assert sum(each.values()) <= BUDGETS[operation]
