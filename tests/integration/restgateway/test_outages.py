"""The gateway while what it stands on is away, and with Redis under it."""

from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import msgspec
import pytest
from tests.cluster.servers.redis import RedisServer

from parley.backing.db.tokens import TokenRepository
from parley.backing.errors import BackingUnavailable
from parley.backing.factory import Backing, Port
from parley.backing.state.base import in_one_turn
from parley.backing.state.live_calls import LiveCalls, OwnedCall
from parley.backing.state.redis import RedisState
from parley.backing.state.redis_limits import Limits
from parley.model.events import CallProgress
from parley.model.ids import CallId, InstanceId, TenantId
from parley.model.live_call import LiveCall
from parley.restgateway.app import create_app
from parley.restgateway.cursors import CallPlace
from parley.restgateway.settings import RestGatewaySettings
from parley.restgateway.store import Store
from parley.service.clock import SystemClock
from parley.service.metrics import Registry
from parley.testkit.backing import in_memory
from parley.testkit.contracts.arms import settled

_MANY = 10_001
_AT_ONCE = 500


@pytest.fixture
async def backing() -> AsyncIterator[Backing]:
    async with in_memory(Port.DATABASE | Port.STATE) as backing:
        yield backing


async def test_the_gateway_is_not_ready_while_its_database_is_away(
    backing: Backing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.restgateway.app._PROBE_INTERVAL_S", 0.01)
    registry = Registry()
    settings = RestGatewaySettings.load(port=0, lame_duck_s=0.0)
    gateway = create_app(settings, backing, SystemClock(), registry)

    async def away(*_args: object) -> None:
        raise BackingUnavailable("the database does not answer")

    async with AsyncExitStack() as stack:
        stack.push_async_callback(gateway.aclose)
        await gateway.start()
        await settled(gateway.is_ready)
        with monkeypatch.context() as outage:
            outage.setattr(TokenRepository, "verify", away)
            await settled(lambda: not gateway.is_ready())
            address = f"http://127.0.0.1:{gateway.server.port}"
            async with httpx2.AsyncClient(base_url=address) as client:
                headers = {"Authorization": "Bearer x"}
                assert (await client.get("/v1/tenants", headers=headers)).status_code == 503
                assert registry.value("parley_restgateway_connections") == 1
        await settled(gateway.is_ready)


async def _fill(state: RedisState, numbers: Sequence[int]) -> None:
    calls, writes = LiveCalls(state), list[Coroutine[Any, Any, Any]]()
    for number in numbers:
        progress = CallProgress(
            call_id=CallId(f"c{number:05}"),
            caller="101",
            dialled="102",
            started_at=SystemClock().wall(),
            owner=InstanceId("callmanager-1"),
        )
        call = LiveCall(state="ringing", progress=progress, tenant_id=TenantId("acme"))
        owned = OwnedCall(progress.call_id, call.tenant_id, number // 100, 1)
        writes.append(calls.create(owned, progress.owner, msgspec.msgpack.encode(call), 600.0))
    await in_one_turn(*writes)


async def test_more_calls_than_redis_takes_at_once_are_read_by_pages(
    backing: Backing, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_server.command("FLUSHALL")
    clock = SystemClock()
    state = RedisState(redis_server.url, clock, Limits(timeout_s=10.0))
    await state.start()
    for start in range(0, _MANY, _AT_ONCE):
        await _fill(state, range(start, min(start + _AT_ONCE, _MANY)))
    monkeypatch.setattr(backing, "state", state)
    store = Store(backing, clock)

    seen: list[str] = []
    place: CallPlace | None = None
    while True:
        page = await store.calls(TenantId("acme"), 1000, place)
        seen += [call.progress.call_id for call in page.calls]
        if page.end is None:
            break
        place = page.end
    await state.aclose()

    assert seen == [f"c{number:05}" for number in range(_MANY)]
