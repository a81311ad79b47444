"""Records and indexes of calls; what each write does with a record is told by `test_store.py`."""

import asyncio
from typing import Any

import pytest

from parley.backing.state.embedded import EmbeddedState
from parley.backing.state.live_calls import LiveCalls, OwnedCall
from parley.model.ids import CallId, TenantId

CALL = OwnedCall(CallId("c1"), TenantId("t1"), 5.0, 1)


class Slow:
    """State of which each operation waits until it is let go.

    Attributes:
        begun: operations and keys, in the order in which they were begun.
    """

    def __init__(self, state: EmbeddedState) -> None:
        self._state = state
        self.begun: list[tuple[str, str]] = []
        self.may_end = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        async def run(key: str, *arguments: Any, **named: Any) -> Any:
            self.begun.append((name, key))
            await self.may_end.wait()
            return await getattr(self._state, name)(key, *arguments, **named)

        return run


@pytest.fixture
def calls(state: EmbeddedState) -> LiveCalls:
    return LiveCalls(state)


async def test_a_new_call_is_sent_in_one_turn_after_the_indexes_that_name_it(
    state: EmbeddedState,
) -> None:
    slow: Any = Slow(state)
    creating = asyncio.ensure_future(LiveCalls(slow).create(CALL, "me", b"1", 60.0))
    await asyncio.sleep(0)
    assert [key for _, key in slow.begun] == ["calls:{t1}", "owned:{me}", "call:{c1}"]
    slow.may_end.set()
    assert await creating == 1
    assert await state.get("call:{c1}") == b"1"


async def test_an_ended_call_leaves_with_its_index_entries_in_one_turn(
    state: EmbeddedState, calls: LiveCalls
) -> None:
    await calls.create(CALL, "me", b"1", 60.0)
    slow: Any = Slow(state)
    ending = asyncio.ensure_future(LiveCalls(slow).end(CALL, "me", 60.0))
    await asyncio.sleep(0)
    assert [key for _, key in slow.begun] == ["call:{c1}", "calls:{t1}", "owned:{me}"]
    slow.may_end.set()
    assert await ending
    assert await calls.snapshot("c1") is None
    assert await calls.of_tenant(CALL.tenant_id, 10) == await calls.owned_by("me") == []


async def test_a_tenants_calls_are_listed_by_pages_the_oldest_first(calls: LiveCalls) -> None:
    for name, started_s in (("c1", 2.0), ("c2", 2.0), ("c0", 3.0), ("c9", 1.0)):
        call = OwnedCall(CallId(name), TenantId("t1"), started_s, 1)
        await calls.create(call, "me", name.encode(), 60.0)
    first = await calls.of_tenant(TenantId("t1"), 2)
    second = await calls.of_tenant(TenantId("t1"), 3, first[-1])
    assert first == [("c9", 1.0), ("c1", 2.0)]
    assert second == [("c2", 2.0), ("c0", 3.0)]
    assert await calls.snapshots(["c2", "none", "c9"]) == [b"c2", None, b"c9"]
    assert await calls.owned_by("me", limit=1) == [("c9", 1.0)]


async def test_a_claim_moves_a_call_from_one_instance_to_another(calls: LiveCalls) -> None:
    await calls.create(CALL, "old", b"1", 60.0)
    assert await calls.claim(CALL.call_id, "new", 1, 5.0, 60.0) == (2, b"1")
    await calls.release("old", CALL.call_id)
    assert await calls.owned_by("old") == []
    assert await calls.owned_by("new") == [("c1", 5.0)]
    assert await calls.owner_of("c1") == ("new", 2)


async def test_a_claim_that_comes_too_late_leaves_nothing(calls: LiveCalls) -> None:
    await calls.create(CALL, "old", b"1", 60.0)
    assert await calls.claim(CALL.call_id, "new", 7, 5.0, 60.0) is None
    assert await calls.owned_by("new") == []
