"""Strangers at the HTTP ports neither fill the platform nor keep others out."""

import pytest
from tests.hostile.http import SMALL, assail

from parley.testkit.platform.installation import Installation, end

pytestmark = pytest.mark.timeout(90)


async def test_strangers_cost_little_and_keep_nobody_out(installation: Installation) -> None:
    child = installation.start()

    outcomes = await assail(installation.demo, child.pid, SMALL)

    assert [one for one in outcomes if not one.is_bounded] == []
    end(child)
