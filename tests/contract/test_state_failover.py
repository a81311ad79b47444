"""The state in Redis when a replica takes over: with Sentinels, and in a cluster."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
from redis.asyncio import Redis
from tests.cluster.servers.redis import RedisServer
from tests.cluster.servers.redis_groups import MASTER_NAME, RedisCluster, RedisSentinelGroup
from tests.contract.redis_writes import write

from parley.backing.errors import BackingUnavailable
from parley.backing.state.base import Owned
from parley.backing.state.redis import RedisState
from parley.backing.state.redis_limits import Limits
from parley.service.clock import SystemClock

KEY = "call:{c1}"
WAIT_S = 20.0

Open = Callable[..., Awaitable[RedisState]]
Succeeds = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]

pytestmark = pytest.mark.timeout(40)


async def test_sentinels_lead_to_the_new_master_and_owners_restore_what_it_forgot(
    sentinels: RedisSentinelGroup, open_state: Open, succeeds: Succeeds
) -> None:
    limits = Limits(timeout_s=0.5)
    state = await open_state(sentinels.url, limits)
    generations: list[None] = []
    state.on_new_generation(lambda: generations.append(None))
    assert await state.create_owned(KEY, "cm-a", b"kept") == 1
    await _replicate_all(sentinels.url)
    # The replica hears no more of the master: the next write will be lost.
    sentinels.replica.freeze()
    sentinels.master.command("CLIENT", "KILL", "TYPE", "replica")
    assert await state.create_owned("call:{c2}", "cm-a", b"lost") == 1
    sentinels.master.kill()
    sentinels.replica.thaw()
    await succeeds(lambda: write(state, "k:{1}", b"after"))
    assert generations == [None]
    assert await state.get(KEY) == b"kept"
    assert await state.owner_of("call:{c2}") is None
    assert not await state.put_owned("call:{c2}", "cm-a", 1, b"fenced")
    assert await state.restore_owned("call:{c2}", "cm-a", 1, b"again")
    assert await state.owner_of("call:{c2}") == Owned("cm-a", 1)
    assert await state.get("call:{c2}") == b"again"


async def _replicate_all(url: str) -> None:
    """Returns when a replica has all writes so far."""
    state = RedisState(url, SystemClock(), Limits(timeout_s=5, wait_replicas=1))
    await state.start()
    assert await state.create_owned("call:{barrier}", "cm", b"x")
    await state.aclose()


async def test_a_write_that_has_to_be_on_a_replica_fails_without_one(
    sentinels: RedisSentinelGroup, open_state: Open, succeeds: Succeeds
) -> None:
    url = sentinels.master.url
    state = await open_state(url, Limits(timeout_s=1.0, wait_replicas=1))
    assert await state.create_owned(KEY, "cm-a", b"a") == 1
    async with Redis.from_url(sentinels.replica.url) as replica:
        stored = await replica.get(KEY)
        assert isinstance(stored, bytes) and stored.endswith(b"a")
    sentinels.replica.freeze()
    write = asyncio.ensure_future(state.put_owned(KEY, "cm-a", 1, b"b"))
    with pytest.raises(BackingUnavailable, match="only 0 of 1 replicas"):
        await write
    # It waits behind the other's barrier, but needs no replica itself.
    assert await state.get(KEY) == b"b"
    sentinels.replica.thaw()
    await succeeds(lambda: state.put_owned(KEY, "cm-a", 1, b"c"))


async def test_a_master_that_becomes_a_replica_is_left(
    sentinels: RedisSentinelGroup, open_state: Open, succeeds: Succeeds
) -> None:
    state = await open_state(sentinels.url, Limits(timeout_s=2.0))
    generations: list[None] = []
    state.on_new_generation(lambda: generations.append(None))
    assert await state.create_owned(KEY, "cm-a", b"0") == 1
    sentinels.sentinels[0].command("SENTINEL", "FAILOVER", MASTER_NAME)
    async with asyncio.timeout(WAIT_S):
        n = 0
        while not generations:
            n += 1
            with suppress(BackingUnavailable):
                await state.restore_owned(KEY, "cm-a", 1, b"%d" % n)
            await asyncio.sleep(0.01)
    await succeeds(lambda: state.restore_owned(KEY, "cm-a", 1, b"end"))
    assert await state.get(KEY) == b"end"


async def test_a_cluster_goes_on_without_a_master_that_died(
    replicated_cluster: RedisCluster, open_state: Open, succeeds: Succeeds
) -> None:
    state = await open_state(replicated_cluster.url, Limits(timeout_s=1.0))
    generations: list[None] = []
    state.on_new_generation(lambda: generations.append(None))
    keys = [f"call:{{{n}}}" for n in range(60)]
    await asyncio.gather(*(state.create_owned(key, "cm-a", key.encode()) for key in keys))
    replicated_cluster.servers[0].kill()
    for key in keys:
        await succeeds(partial(state.restore_owned, key, "cm-a", 1, key.encode()))
    assert generations
    assert await state.get_many(keys) == [key.encode() for key in keys]


async def test_a_slot_that_moves_to_another_node_is_followed(
    replicated_cluster: RedisCluster, open_state: Open
) -> None:
    state = await open_state(replicated_cluster.url, Limits(timeout_s=2.0))
    await write(state, "k:{a}", b"1")
    await write(state, "k2:{a}", b"2")
    slot = replicated_cluster.servers[0].command("CLUSTER", "KEYSLOT", "{a}")[1:].strip().decode()
    source = next(s for s in replicated_cluster.masters if _has(s, slot, "k:{a}"))
    target = next(s for s in replicated_cluster.masters if s is not source)
    source_id, target_id = (_identity(server) for server in (source, target))
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    source.command("MIGRATE", "127.0.0.1", str(target.port), "k:{a}", "0", "2000")
    # Half way: one key is there, the other here; the source answers ASK for what it has no more.
    assert await state.get_many(["k:{a}", "k2:{a}", "k3:{a}"]) == [b"1", b"2", None]
    await write(state, "k:{a}", b"1b")
    await write(state, "k3:{a}", b"3")
    source.command("MIGRATE", "127.0.0.1", str(target.port), "k2:{a}", "0", "2000")
    for server in (target, source):
        server.command("CLUSTER", "SETSLOT", slot, "NODE", target_id)
    assert await state.get_many(["k:{a}", "k2:{a}", "k3:{a}"]) == [b"1b", b"2", b"3"]
    await write(state, "k2:{a}", b"2b")
    assert await state.get("k2:{a}") == b"2b"


def _has(server: RedisServer, slot: str, key: str) -> bool:
    return key.encode() in server.command("CLUSTER", "GETKEYSINSLOT", slot, "10")


def _identity(server: RedisServer) -> str:
    return server.command("CLUSTER", "MYID").split()[1].decode()
