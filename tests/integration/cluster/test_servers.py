"""Every server: real work at once, the same port and data after a death, no orphans."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cluster.guard import birth
from tests.cluster.servers.base import Server
from tests.cluster.servers.errors import ServerFailed
from tests.cluster.servers.kafka import KafkaServer
from tests.cluster.servers.kafka_group import KafkaGroup
from tests.cluster.servers.postgresql import PostgresServer
from tests.cluster.servers.redis import RedisServer
from tests.cluster.servers.redis_groups import RedisCluster, RedisSentinelGroup
from tests.cluster.servers.s3 import S3Server
from tests.cluster.servers.zookeeper import ZooKeeperServer

KINDS = (RedisServer, KafkaServer, ZooKeeperServer, PostgresServer, S3Server)
OwnServer = Callable[[Server], Server]
_GONE_S = 5.0

pytestmark = pytest.mark.timeout(90)


def _wait_gone(pid: int, born: str) -> None:
    until = time.perf_counter() + _GONE_S
    while birth(pid) == born:
        assert time.perf_counter() < until, f"process {pid} lives on"
        time.sleep(0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_server_comes_back_on_its_port(
    kind: type[Server], own_server: OwnServer, tmp_path: Path
) -> None:
    server = own_server(kind(tmp_path / "server"))
    url, pid = server.url, server.pid
    server.kill()
    assert not server.is_running
    server.start()
    assert server.url == url
    assert server.pid != pid
    server.stop()
    assert not server.is_running


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_server_answers_when_it_is_thawed(
    kind: type[Server], own_server: OwnServer, tmp_path: Path
) -> None:
    server = own_server(kind(tmp_path / "server"))
    server.freeze()
    with pytest.raises(OSError, match="timed out"):
        server._probe()
    server.thaw()
    server._probe()


def test_a_frozen_server_can_be_stopped(own_server: OwnServer, tmp_path: Path) -> None:
    server = own_server(RedisServer(tmp_path / "redis"))
    server.freeze()
    server.stop()
    assert not server.is_running


def test_acknowledged_writes_of_redis_outlive_a_kill(
    own_server: Callable[[RedisServer], RedisServer], tmp_path: Path
) -> None:
    server = own_server(RedisServer(tmp_path / "redis", options=("--appendfsync", "always")))
    server.command("SET", "kept", "yes")
    server.kill()
    server.start()
    assert b"yes" in server.command("GET", "kept")


def test_a_database_is_made_once(
    own_server: Callable[[PostgresServer], PostgresServer], tmp_path: Path
) -> None:
    server = own_server(PostgresServer(tmp_path / "postgresql"))
    assert server.create_database("other") == server.create_database("other")
    server.drop_database("other")


def test_a_server_that_ends_at_once_says_why(own_server: OwnServer, tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="no-such-option"):
        own_server(RedisServer(tmp_path / "redis", options=("--no-such-option", "1")))


def test_servers_die_with_a_killed_run(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tests.cluster.servers.redis import RedisServer\n"
        "server = RedisServer(Path(sys.argv[1]))\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    argv = [sys.executable, "-c", program, str(tmp_path / "redis")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        born = birth(pid)
        assert born
        os.kill(run.pid, signal.SIGKILL)
        _wait_gone(pid, born)


def test_sentinels_promote_the_replica(tmp_path: Path) -> None:
    with RedisSentinelGroup(tmp_path) as group:
        group.master.command("SET", "kept", "yes")
        group.master.command("WAIT", "1", "1000")
        group.current_master().kill()
        until = time.perf_counter() + 10.0
        while group.current_master() is group.master:
            assert time.perf_counter() < until, "no failover"
            time.sleep(0.02)
        assert b"yes" in group.replica.command("GET", "kept")


def test_a_redis_cluster_forms_and_comes_back(tmp_path: Path) -> None:
    with RedisCluster(tmp_path) as cluster:
        cluster.stop()
        cluster.start()
        assert b"cluster_slots_ok:16384" in cluster.servers[-1].command("CLUSTER", "INFO")


@pytest.mark.timeout(180)
def test_two_kafka_brokers_go_on_without_the_third(tmp_path: Path, all_servers: None) -> None:
    with KafkaGroup(tmp_path) as group:
        first, second, third = group.brokers
        first.kill()
        for broker in (second, third):
            broker.restart()
        first.start()
