"""Backing servers by TLS: with our certificate everything works, without it nothing does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.authority import Authority
from tests.cluster.ports import free_port
from tests.cluster.servers.base import Server
from tests.cluster.servers.kafka import KafkaServer
from tests.cluster.servers.postgresql import PostgresServer
from tests.cluster.servers.redis import RedisServer
from tests.cluster.servers.zookeeper import ZooKeeperServer

from parley.backing.bus.kafka_options import SASL_MECHANISMS
from parley.backing.discovery.base import Instance, InstanceState
from parley.backing.errors import BackingError
from parley.backing.factory import Backing, Port, create_backing
from parley.backing.settings import BackingSettings
from parley.service.clock import SystemClock
from parley.service.metrics import Registry

pytestmark = pytest.mark.timeout(120)

Start = Callable[[Server], Server]


class World:
    """An authority, servers that believe it, and clients with or without its certificates."""

    def __init__(self, folder: Path, start: Start, stack: AsyncExitStack) -> None:
        now = datetime.now(UTC)  # noqa: TID251 - the validity of real certificates
        self.folder = folder
        self.authority = Authority(folder / "tls", now)
        self.stranger = Authority(folder / "stranger", now)
        self.client = self.authority.issue("client", ["accounting.parley.internal"])
        self._start = start
        self._stack = stack

    def start(self, server: Server) -> None:
        server.tls = self.authority.issue(server.name, ["127.0.0.1"])
        self._start(server)

    def backing(self, who: str = "client", **values: Any) -> Backing:
        """Makes the ports of a client; "nobody" has no certificate, "stranger" another CA's."""
        ca = self.authority.ca
        files = self.client if who == "client" else self.stranger.issue("client", ["x.test"])
        own = {} if who == "nobody" else {"tls_certificate": files[0], "tls_key": files[1]}
        settings = BackingSettings.load(
            data=self.folder / who, is_durable=False, tls_ca=ca, **own, **values
        )
        return create_backing(~Port(0), settings, SystemClock(), Registry(), migrates=True)

    async def open(self, part: Any) -> Any:
        """Starts one port, to be closed at the end."""
        self._stack.push_async_callback(part.aclose)
        async with asyncio.timeout(20):
            await part.start()
        return part


@pytest.fixture
async def world(tmp_path: Path, own_server: Start) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(tmp_path, own_server, stack)


async def test_redis_answers_who_has_our_certificate(world: World, tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    world.start(server)

    state = await world.open(world.backing(state="redis", state_url=server.url).state)
    await state.put_if_version("k:{1}", b"1", 0)
    assert await state.get("k:{1}") == b"1"
    for who in ("nobody", "stranger"):
        with pytest.raises(BackingError):
            await world.open(world.backing(who, state="redis", state_url=server.url).state)


async def test_postgresql_answers_who_has_our_certificate(world: World, tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgresql", options=("fsync=off",))
    world.start(server)

    await world.open(world.backing(database_url=server.url).db)
    for who in ("nobody", "stranger"):
        with pytest.raises(BackingError):
            await world.open(world.backing(who, database_url=server.url).db)
    plain = server.url.partition("?")[0] + "?sslmode=disable"
    with pytest.raises(BackingError):
        await world.open(world.backing("nobody", database_url=plain).db)


async def test_zookeeper_answers_who_has_our_certificate(world: World, tmp_path: Path) -> None:
    server = ZooKeeperServer(tmp_path / "zookeeper")
    world.start(server)
    url = f"zookeeper+tls://{server.url}/parley"

    discovery = await world.open(world.backing(discovery="zookeeper", discovery_url=url).discovery)
    await discovery.register(
        Instance(
            service="edgeproxy",
            id="edge-1",
            address="tls:127.0.0.1:5070",
            zone="",
            version="",
            state=InstanceState.READY,
        )
    )
    async with asyncio.timeout(10):
        while not discovery.instances("edgeproxy"):  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.02)
    for who in ("nobody", "stranger"):
        other = await world.open(
            world.backing(who, discovery="zookeeper", discovery_url=url).discovery
        )
        assert not other.instances("edgeproxy")
        assert not other.is_settled


def kafka_with_passwords(folder: Path) -> tuple[KafkaServer, int]:
    """A broker, and the port of its listener that wants a password too."""
    server, port = KafkaServer(folder), free_port()
    places = f"BROKER://127.0.0.1:{server.port},USERS://127.0.0.1:{port}"
    module = "org.apache.kafka.common.security"
    scram = f"{module}.scram.ScramLoginModule required;"
    server.users = {"ann": "right"}
    server.options = {
        "listeners": f"{places},CONTROLLER://127.0.0.1:{server.controller_port}",
        "advertised.listeners": places,
        "listener.security.protocol.map": "CONTROLLER:SSL,BROKER:SSL,USERS:SASL_SSL",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.users.plain.sasl.jaas.config": (
            f'{module}.plain.PlainLoginModule required user_ann="right";'
        ),
        "listener.name.users.scram-sha-256.sasl.jaas.config": scram,
        "listener.name.users.scram-sha-512.sasl.jaas.config": scram,
    }
    return server, port


async def test_kafka_answers_who_has_our_certificate_and_a_password_where_it_wants_one(
    world: World, tmp_path: Path
) -> None:
    server, port = kafka_with_passwords(tmp_path / "kafka")
    world.start(server)
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(records: Any) -> None:
        for record in records:
            heard.put_nowait(record.value)

    given: dict[str, Any] = {"bus": "kafka", "bus_url": f"kafka+tls://{server.url}"}
    bus = await world.open(world.backing(**given).bus)
    bus.subscribe("t", "group", hear)
    await bus.publish_and_wait("t", "k", b"1")
    async with asyncio.timeout(20):
        assert await heard.get() == b"1"
    for who in ("nobody", "stranger"):
        other = await world.open(world.backing(who, **given).bus)
        with pytest.raises((BackingError, TimeoutError)):
            async with asyncio.timeout(3):
                await other.publish_and_wait("t", "k", b"2")
    url = f"kafka+tls://127.0.0.1:{port}"
    for sasl in SASL_MECHANISMS:
        login = {"bus": "kafka", "bus_url": url, "bus_sasl": sasl, "bus_username": "ann"}
        stranger = await world.open(world.backing(**login, bus_password="wrong").bus)
        with pytest.raises((BackingError, TimeoutError)):
            async with asyncio.timeout(3):
                await stranger.publish_and_wait("t", "k", b"2")
        known = await world.open(world.backing(**login, bus_password="right").bus)
        async with asyncio.timeout(20):
            await known.publish_and_wait("t", "k", sasl.encode())
            assert await heard.get() == sasl.encode()
    assert heard.empty()
