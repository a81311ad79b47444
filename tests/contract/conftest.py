"""Redis servers, alone and together, for tests of the state port."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from tests.cluster.servers.redis import RedisServer
from tests.cluster.servers.redis_groups import RedisCluster, RedisSentinelGroup

from parley.backing.errors import BackingUnavailable
from parley.backing.state.redis import RedisState
from parley.backing.state.redis_limits import Limits
from parley.service.clock import SystemClock

_FORM_S = 20.0


# `redis_server` skips where Redis cannot be had.
@pytest.fixture(scope="session")
def redis_cluster(redis_server: RedisServer, servers_folder: Path) -> Iterator[RedisCluster]:
    with RedisCluster(servers_folder / "redis-cluster", is_replicated=False) as cluster:
        yield cluster


@pytest.fixture
def replicated_cluster(redis_server: RedisServer, tmp_path: Path) -> Iterator[RedisCluster]:
    with RedisCluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
def sentinels(redis_server: RedisServer, tmp_path: Path) -> Iterator[RedisSentinelGroup]:
    with RedisSentinelGroup(tmp_path) as group:
        yield group


@pytest.fixture
async def open_state() -> AsyncIterator[Callable[[str, Limits], Awaitable[RedisState]]]:
    """Opens states that are closed after the test."""
    async with AsyncExitStack() as opened:

        async def open_one(url: str, limits: Limits) -> RedisState:
            state = RedisState(url, SystemClock(), limits)
            await state.start()
            opened.push_async_callback(state.aclose)
            return state

        yield open_one


@pytest.fixture
def succeeds() -> Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]:
    """Repeats an operation until its server is back."""

    async def repeat(operation: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.timeout(_FORM_S):
            while True:
                with suppress(BackingUnavailable):
                    await operation()
                    return
                await asyncio.sleep(0.01)

    return repeat
