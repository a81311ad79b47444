"""Ann and Bob at call managers, each scene a step further than the one before."""

from typing import Any

import pytest

from .members import Cluster
from .scene import Scene


@pytest.fixture
async def alone(world: Any) -> Scene:
    """One call manager; Ann and Bob are registered."""
    return await Scene.set(Cluster(world))


@pytest.fixture
async def idle(alone: Scene) -> Scene:
    """Two call managers; Ann and Bob are registered."""
    alone.other = await alone.cluster.member("cm-2")
    return alone


@pytest.fixture
async def calling(idle: Scene) -> Scene:
    """Ann's INVITE has come to Bob, who has said nothing."""
    await idle.call()
    return idle


@pytest.fixture
async def talking(idle: Scene) -> Scene:
    """Ann and Bob are in conversation."""
    await idle.talk()
    return idle
