"""Redis that survives a server: a master with a replica and three sentinels, and a cluster."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import sleep

from tests.cluster.ports import free_port
from tests.cluster.servers.base import HOST, Unready, program
from tests.cluster.servers.errors import ServerFailed
from tests.cluster.servers.redis import RedisServer
from tests.cluster.servers.startable import Startable

from parley.service.clock import Clock, SystemClock

MASTER_NAME = "parley"
_SENTINELS = 3
_QUORUM = 2
_SHARDS = 3
_SLOTS = 16_384
_FORMED_S = 30.0
_POLL_S = 0.05


class RedisSentinel(RedisServer):
    """One sentinel; it writes what it learns into its configuration file."""

    def __init__(self, folder: Path, master: RedisServer) -> None:
        """Watches a master and its replicas."""
        super().__init__(folder)
        self._master = master

    def _prepare(self) -> Sequence[str]:
        config = self.folder / "sentinel.conf"
        if not config.exists():
            config.write_text(
                f"bind {HOST}\nport {self.port}\ndir {self.folder.absolute()}\n"
                f"sentinel monitor {MASTER_NAME} {HOST} {self._master.port} {_QUORUM}\n"
                f"sentinel down-after-milliseconds {MASTER_NAME} 500\n"
                f"sentinel failover-timeout {MASTER_NAME} 3000\n"
                f"sentinel parallel-syncs {MASTER_NAME} 1\n"
            )
        return (program("redis-server", "redis-server"), str(config), "--sentinel")

    def _probe(self) -> None:
        self.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)


class RedisGroup(Startable):
    """Servers that start and stop together; a context manager.

    Attributes:
        servers: all of them, named `<kind>-<number>`.
    """

    servers: tuple[RedisServer, ...] = ()

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()

    def start(self) -> None:
        """Starts all and returns when they have found each other.

        Raises:
            ServerAbsent: Redis is not installed.
            ServerFailed: one does not start, or they do not find each other in time.
        """
        with ExitStack() as started:
            for server in self.servers:
                started.callback(server.stop)
                server.start()
            self._join()
            started.pop_all()

    def stop(self) -> None:
        """Stops all."""
        for server in reversed(self.servers):
            server.stop()

    @property
    @abstractmethod
    def url(self) -> str:
        """What `PARLEY_BACKING_STATE_URL` says."""

    @abstractmethod
    def _join(self) -> None:
        """Makes them one, and returns when they are."""

    def _until(self, is_true: Callable[[], bool], complaint: str) -> None:
        until = self._clock.now() + _FORMED_S
        reason = ""
        while True:
            try:
                if is_true():
                    return
            except (OSError, Unready) as error:
                reason = f" ({error})"
            if self._clock.now() > until:
                raise ServerFailed(f"{complaint} in {_FORMED_S:g} s{reason}.")
            sleep(_POLL_S)


class RedisSentinelGroup(RedisGroup):
    """A master, its replica and three sentinels, of which two decide.

    Attributes:
        master: the first master; after a failover it comes back as a replica.
        replica: its first replica.
        sentinels: the three.
    """

    def __init__(self, folder: Path) -> None:
        """Makes folders for five servers below `folder`."""
        super().__init__()
        self.master = RedisServer(folder / "master")
        self.replica = RedisServer(
            folder / "replica", options=("--replicaof", f"{HOST} {self.master.port}")
        )
        self.sentinels = tuple(
            RedisSentinel(folder / f"sentinel-{number}", self.master)
            for number in range(1, _SENTINELS + 1)
        )
        self.servers = (
            *_named("redis", (self.master, self.replica)),
            *_named("sentinel", self.sentinels),
        )

    @property
    def url(self) -> str:
        """`redis+sentinel://host:port,host:port,host:port/parley`."""
        return f"redis+sentinel://{_places(self.sentinels)}/{MASTER_NAME}"

    def current_master(self) -> RedisServer:
        """The server that the sentinels name as master now."""
        answer = self.sentinels[0].command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)
        port = int(answer.split(b"\r\n")[4])
        return self.master if port == self.master.port else self.replica

    def _join(self) -> None:
        self._until(self._is_joined, "the sentinels did not find each other")

    def _is_joined(self) -> bool:
        replication = self.master.command("INFO", "replication")
        if b"state=online" not in replication:
            return False
        wanted = f"slaves=1,sentinels={_SENTINELS}".encode()
        return all(wanted in each.command("INFO", "sentinel") for each in self.sentinels)


class RedisCluster(RedisGroup):
    """Three masters that share the slots, each with a replica.

    Attributes:
        masters: the masters of the start.
        replicas: of each of them, in the same order; none without replication.
    """

    def __init__(self, folder: Path, *, is_replicated: bool = True) -> None:
        """Makes folders for six servers below `folder`, or for three."""
        super().__init__()
        copies = 2 if is_replicated else 1
        nodes = [_node(folder / f"node-{number}") for number in range(1, copies * _SHARDS + 1)]
        self.masters, self.replicas = nodes[:_SHARDS], nodes[_SHARDS:]
        self.servers = _named("redis", nodes)

    @property
    def url(self) -> str:
        """`redis+cluster://host:port,host:port`: two nodes, which tell of the others."""
        return f"redis+cluster://{_places(self.servers[:2])}"

    def flush(self) -> None:
        """Removes every key."""
        for master in self.masters:
            master.command("FLUSHALL")

    def _join(self) -> None:
        if b"cluster_known_nodes:1\r" in self.servers[0].command("CLUSTER", "INFO"):
            self._form()
        self._until(self._is_whole, "the cluster did not form")

    def _form(self) -> None:
        bounds = [_SLOTS * number // _SHARDS for number in range(_SHARDS + 1)]
        for master, (first, after) in zip(self.masters, pairwise(bounds), strict=True):
            master.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(after - 1))
        for number, node in enumerate(self.servers, start=1):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", str(number))
        bus = _bus_port(self.servers[0])
        for node in self.servers[1:]:
            node.command("CLUSTER", "MEET", HOST, str(self.servers[0].port), str(bus))
        for master, replica in zip(self.masters, self.replicas, strict=False):
            name = _payload(master.command("CLUSTER", "MYID"))
            follow = partial(_follow, replica, name)
            self._until(follow, "a replica did not find its master")

    def _is_whole(self) -> bool:
        states = [each.command("CLUSTER", "INFO") for each in self.servers]
        copies = [each.command("INFO", "replication") for each in self.servers]
        return all(b"cluster_state:ok" in state for state in states) and sum(
            b"state=online" in copy for copy in copies
        ) == len(self.replicas)


def _named(kind: str, servers: Sequence[RedisServer]) -> tuple[RedisServer, ...]:
    for number, server in enumerate(servers, start=1):
        server.name = f"{kind}-{number}"
    return tuple(servers)


def _places(servers: Sequence[RedisServer]) -> str:
    return ",".join(f"{HOST}:{server.port}" for server in servers)


def _node(folder: Path) -> RedisServer:
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
    return RedisServer(folder, options=(*options, "--cluster-port", str(free_port())))


def _bus_port(node: RedisServer) -> int:
    return int(node.options[node.options.index("--cluster-port") + 1])


def _payload(answer: bytes) -> str:
    return answer.split(b"\r\n")[1].decode("ascii")


def _follow(replica: RedisServer, master: str) -> bool:
    return bool(replica.command("CLUSTER", "REPLICATE", master))
