"""Several Redis servers that work together, for tests of the state port."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from functools import partial
from pathlib import Path
from time import sleep

import pytest
from tests.cluster.servers.redis import RedisServer

from parley.backing.errors import BackingUnavailable
from parley.backing.state.redis import RedisState
from parley.backing.state.redis_limits import Limits
from parley.service.clock import SystemClock

_FORM_S = 20.0
_SLOTS = 16_384


def wait_for(condition: Callable[[], bool], what: str) -> None:
    clock = SystemClock()
    until = clock.now() + _FORM_S
    while not condition():
        if clock.now() > until:
            raise TimeoutError(f"{what} within {_FORM_S:g} s")
        sleep(0.02)


class RedisCluster:
    """Masters that share the slots, each with some replicas."""

    def __init__(self, folder: Path, masters: int, replicas: int = 0) -> None:
        options = (
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "800",
            "--appendonly",
            "no",
        )
        self.servers = [
            RedisServer(folder / f"node{n}", options=options)
            for n in range(masters * (1 + replicas))
        ]
        self.masters = self.servers[:masters]
        self.replicas = self.servers[masters:]

    @property
    def url(self) -> str:
        places = ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:2])
        return f"redis+cluster://{places}"

    def form(self) -> None:
        masters = self.masters
        for n, server in enumerate(masters):
            first, last = n * _SLOTS // len(masters), (n + 1) * _SLOTS // len(masters) - 1
            server.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
            server.command("CLUSTER", "SET-CONFIG-EPOCH", str(n + 1))
        for server in self.servers[1:]:
            server.command("CLUSTER", "MEET", "127.0.0.1", str(self.servers[0].port))
        known = f"cluster_known_nodes:{len(self.servers)}".encode()
        wait_for(lambda: all(known in self._info(one) for one in self.servers), "nodes met")
        for n, server in enumerate(self.replicas):
            identity = masters[n % len(masters)].command("CLUSTER", "MYID").split()[1].decode()
            server.command("CLUSTER", "REPLICATE", identity)
        ok = b"cluster_state:ok"
        wait_for(lambda: all(ok in self._info(one) for one in self.servers), "cluster formed")
        for server in self.replicas:
            wait_for(partial(is_synced, server), "replica in step")

    def flush(self) -> None:
        for server in self.masters:
            server.command("FLUSHALL")

    def _info(self, server: RedisServer) -> bytes:
        return server.command("CLUSTER", "INFO")


class Sentinel(RedisServer):
    """A Sentinel: the same program in another mode."""

    def __init__(self, folder: Path, master: RedisServer) -> None:
        super().__init__(folder)
        self._master = master

    def _prepare(self) -> Sequence[str]:
        path = self.folder / "sentinel.conf"
        path.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor main 127.0.0.1 {self._master.port} 2\n"
            "sentinel down-after-milliseconds main 500\n"
            "sentinel failover-timeout main 3000\n"
        )
        return ("redis-server", str(path), "--sentinel")

    def _probe(self) -> None:
        self.command("PING")


class Sentinels:
    """A master with a replica, and three Sentinels that watch them."""

    def __init__(self, folder: Path) -> None:
        self.master = RedisServer(folder / "master")
        self.replica = RedisServer(
            folder / "replica", options=("--replicaof", "127.0.0.1", str(self.master.port))
        )
        self.sentinels = [Sentinel(folder / f"sentinel{n}", self.master) for n in range(3)]

    @property
    def url(self) -> str:
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{places}/main"

    def wait_formed(self) -> None:
        wait_for(lambda: is_synced(self.replica), "replica in step")
        for sentinel in self.sentinels:
            wait_for(partial(self._sees_all, sentinel), "Sentinels know each other")

    def _sees_all(self, sentinel: RedisServer) -> bool:
        seen = sentinel.command("SENTINEL", "MASTER", "main").split(b"\r\n")
        counts = dict(zip(seen[2::4], seen[4::4], strict=False))
        return counts.get(b"num-slaves") == b"1" and counts.get(b"num-other-sentinels") == b"2"


def is_synced(replica: RedisServer) -> bool:
    return b"master_link_status:up" in replica.command("INFO", "replication")


@pytest.fixture(scope="session")
def redis_cluster(redis_server: RedisServer, servers_folder: Path) -> Iterator[RedisCluster]:
    cluster = RedisCluster(servers_folder / "redis-cluster", masters=3)
    with ExitStack() as running:
        for server in cluster.servers:
            running.enter_context(server)
        cluster.form()
        yield cluster


@pytest.fixture
def replicated_cluster(redis_server: RedisServer, tmp_path: Path) -> Iterator[RedisCluster]:
    cluster = RedisCluster(tmp_path, masters=3, replicas=1)
    with ExitStack() as running:
        for server in cluster.servers:
            running.enter_context(server)
        cluster.form()
        yield cluster


@pytest.fixture
def sentinels(redis_server: RedisServer, tmp_path: Path) -> Iterator[Sentinels]:
    group = Sentinels(tmp_path)
    with ExitStack() as running:
        for server in (group.master, group.replica, *group.sentinels):
            running.enter_context(server)
        group.wait_formed()
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
