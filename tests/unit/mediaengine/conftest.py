from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.mediaengine import Engine
from parley.mediaengine.build import check

check(Path(__file__).parents[3] / "libs/mediaengine")


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine("127.0.0.1", 32400, 32439, quarantine_s=0, tick_s=0.01)
    yield engine
    engine.shut_down()
