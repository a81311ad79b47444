"""What an operation may cost in function calls, in the middle one of ten batches.

In the middle a registration repeats within a call and a call within 3 %, for some of its calls are
housekeeping by time; single batches of calls are up to 8 % apart.
"""

from typing import Final

import pytest
from tests.budget.counted import calls_each, counted_platform
from tests.budget.operations import OPERATIONS

BUDGETS: Final = {"register": 395, "call": 3550}

_LIMIT_S: Final = 120
"""Eleven batches take half a minute where other work has the cores."""

_BATCHED: Final = ("/sqlalchemy/", "/aiosqlite/", "accounting/", "backing/db/")
"""Records are written to the database in batches, whose size depends on how fast a machine is."""


@pytest.mark.timeout(_LIMIT_S)
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_stays_within_its_budget(operation: str) -> None:
    with counted_platform() as platform, OPERATIONS[operation](platform) as operate:
        each = calls_each(platform, operate, but=_BATCHED)
    assert sum(each.values()) <= BUDGETS[operation]
