"""How an edge shares out its file descriptors."""

from collections.abc import Iterator
from typing import Any

import pytest

from parley.edgeproxy import listeners
from parley.edgeproxy.settings import EdgeSettings


@pytest.fixture(params=[64, 1024, 1_000_000])
def descriptors(request: pytest.FixtureRequest, monkeypatch: Any) -> Iterator[int]:
    """The hard limit of the process."""
    monkeypatch.setattr(listeners, "getrlimit", lambda kind: (16, request.param))
    monkeypatch.setattr(listeners, "setrlimit", lambda kind, limits: None)
    yield request.param


def test_phones_strangers_and_services_have_their_shares(descriptors: int) -> None:
    limits = listeners.transport_limits(EdgeSettings.load())

    assert limits.connections <= descriptors // 4
    assert limits.strangers <= limits.connections // 2
    assert limits.services <= descriptors // 16
    assert 0 < limits.unproved_services <= limits.services // 2
