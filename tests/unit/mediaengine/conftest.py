from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rust_builds import check

from parley.mediaengine import Engine, _engine

check(Path(__file__).parents[3] / "libs/mediaengine", _engine.SOURCES)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine("127.0.0.1", 32400, 32439, quarantine_s=0, tick_s=0.01)
    yield engine
    engine.shut_down()
