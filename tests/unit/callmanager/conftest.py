"""Fixtures for the pure call core, and the registry of calls beside it."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from parley.callmanager.actions import BindDialog
from parley.callmanager.calls import Calls
from parley.callmanager.metrics import CallManagerMetrics
from parley.callmanager.routing import Decision, Echo, RingTargets
from parley.service.metrics import Registry

from .stage import OFFER, Stage, sdp, targets


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def metrics(registry: Registry) -> CallManagerMetrics:
    return CallManagerMetrics(registry)


@pytest.fixture
def calls(metrics: CallManagerMetrics) -> Calls:
    return Calls(metrics)


@pytest.fixture
def play() -> Callable[..., Stage]:
    """Starts a call to so many phones, or with a decision of its own."""

    def start(
        count: int = 1, body: bytes = OFFER, decision: Decision | None = None, **more: Any
    ) -> Stage:
        return Stage(decision or targets(count), body, **more)

    return start


@pytest.fixture
def talking(play: Callable[..., Stage]) -> Stage:
    """A call in conversation."""
    stage = play()
    stage.establish()
    return stage


@pytest.fixture
def echoing(play: Callable[..., Stage]) -> Stage:
    """An echo call in conversation."""
    stage = play(decision=Echo("999"))
    stage.ack()
    return stage


@pytest.fixture
def make_sdp() -> Callable[..., bytes]:
    return sdp


@pytest.fixture
def make_targets() -> Callable[..., RingTargets]:
    return targets


@pytest.fixture
def kinds() -> Callable[[Sequence[Any]], list[str]]:
    """Names the types of actions, bindings left out."""
    return lambda actions: [
        type(action).__name__ for action in actions if not isinstance(action, BindDialog)
    ]
