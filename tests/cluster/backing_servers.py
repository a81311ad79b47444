"""The backing servers of a cluster as a service of the supervisor."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.cluster.plan import ServerUrls
from tests.cluster.servers.base import Server
from tests.cluster.servers.errors import ServerAbsent, ServerFailed
from tests.cluster.servers.kafka import KafkaServer
from tests.cluster.servers.postgresql import PostgresServer
from tests.cluster.servers.redis import RedisServer
from tests.cluster.servers.redis_groups import RedisCluster, RedisGroup, RedisSentinelGroup
from tests.cluster.servers.zookeeper import ZooKeeperServer
from tests.cluster.settings import StateServers

from parley.service.errors import StartError
from parley.service.tls import TlsFiles

_REDIS: Final[Mapping[StateServers, Callable[[Path], RedisServer | RedisGroup]]] = MappingProxyType(
    {
        StateServers.ONE: RedisServer,
        StateServers.SENTINEL: RedisSentinelGroup,
        StateServers.CLUSTER: RedisCluster,
    }
)


class BackingServers:
    """Redis (one server or several), Kafka, ZooKeeper and PostgreSQL.

    Attributes:
        servers: all of them.
    """

    name = "backing servers"

    def __init__(
        self, folder: Path, state: StateServers, tls: Callable[[str], TlsFiles | None]
    ) -> None:
        """Gives each a folder below `folder`, and files for TLS by its name."""
        self._redis = _REDIS[state](folder / "redis")
        redis = (self._redis,) if isinstance(self._redis, Server) else self._redis.servers
        self._kafka = KafkaServer(folder / "kafka")
        self._zookeeper = ZooKeeperServer(folder / "zookeeper")
        self._postgresql = PostgresServer(folder / "postgresql")
        self.servers: tuple[Server, ...] = (
            *redis,
            self._kafka,
            self._zookeeper,
            self._postgresql,
        )
        for server in self.servers:
            server.tls = tls(server.name)

    @property
    def urls(self) -> ServerUrls:
        """Where they are."""
        return ServerUrls(
            redis=self._redis.url,
            kafka=self._kafka.url,
            zookeeper=self._zookeeper.url,
            postgresql=self._postgresql.url,
            is_tls=self._kafka.tls is not None,
        )

    async def start(self) -> None:
        """Starts all at once.

        Raises:
            StartError: one cannot be had or does not work.
        """
        starts = [
            asyncio.to_thread(each.start)
            for each in (self._redis, self._kafka, self._zookeeper, self._postgresql)
        ]
        for outcome in await asyncio.gather(*starts, return_exceptions=True):
            if isinstance(outcome, ServerAbsent | ServerFailed):
                raise StartError(str(outcome)) from outcome
            if outcome is not None:
                raise outcome

    async def drain(self, timeout_s: float) -> None:
        """Does nothing: the services need them to the end."""

    async def aclose(self) -> None:
        """Stops all at once."""
        await asyncio.gather(*(asyncio.to_thread(server.stop) for server in self.servers))

    def is_ready(self) -> bool:
        """Says whether all run."""
        return all(server.is_running for server in self.servers)
