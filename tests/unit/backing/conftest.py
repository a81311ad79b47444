"""A state whose time stands still until a test moves it."""

import pytest

from parley.backing.state.embedded import EmbeddedState
from parley.testkit.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def state(clock: FakeClock) -> EmbeddedState:
    return EmbeddedState(clock)
