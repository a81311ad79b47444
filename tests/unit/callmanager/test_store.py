"""A call's record in shared state, also when state is away or forgets."""

import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from parley.backing.errors import BackingUnavailable
from parley.backing.state.bindings import encode_bindings
from parley.backing.state.embedded import EmbeddedState
from parley.callmanager.bindings_cache import BindingsCache
from parley.callmanager.metrics import CallManagerMetrics
from parley.callmanager.store import REWRITTEN_S, CallStore, Stored, Written
from parley.model.ids import CallId, InstanceId, TenantId
from parley.model.registration import Binding
from parley.service.metrics import Registry
from parley.testkit.clock import FakeClock

KEY = "call:{c1}"
AOR = "1001@d"
BINDINGS = f"reg:{{{AOR}}}"


class Shaky:
    """A state that can be cut."""

    is_immediate = False

    def __init__(self, state: EmbeddedState) -> None:
        self._state = state
        self.is_cut = False

    def __getattr__(self, name: str) -> Any:
        async def run(*arguments: Any, **named: Any) -> Any:
            if self.is_cut:
                raise BackingUnavailable("cut")
            return await getattr(self._state, name)(*arguments, **named)

        return run


class Desk:
    """A store on a shaky state."""

    def __init__(self, state: EmbeddedState) -> None:
        self.state = state
        self.wire = Shaky(state)
        self.registry = Registry()
        metrics = CallManagerMetrics(self.registry)
        self.store = CallStore(self.wire, InstanceId("me"), 60.0, metrics)
        self.stored = Stored(CallId("c1"), TenantId("t1"), 5.0, 1)

    @property
    def unprotected(self) -> float:
        return self.registry.value("parley_callmanager_unprotected_writes_total")

    async def indexes(self) -> list[list[tuple[str, float]]]:
        return [await self.state.index_range(key) for key in ("calls:{t1}", "owned:{me}")]


def _binding(instance_id: str) -> Binding:
    return Binding(
        aor=f"sip:{AOR}",
        contact=f"sip:1001@{instance_id}.test",
        expires_at=600.0,
        call_id="r",
        cseq=1,
        edge=InstanceId("e1"),
        source="udp:192.0.2.1:5060",
        instance_id=instance_id,
    )


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    state = EmbeddedState(FakeClock())
    await state.start()
    yield Desk(state)
    await state.aclose()


async def test_a_new_call_is_in_both_indexes_and_owned(desk: Desk) -> None:
    assert await desk.store.create(desk.stored, b"1") is Written.DONE
    assert await desk.indexes() == [[("c1", 5.0)], [("c1", 5.0)]]
    assert await desk.store.owner_of(CallId("c1")) == ("me", 1)


async def test_a_call_that_exists_is_not_created(desk: Desk) -> None:
    await desk.state.create_owned(KEY, "it", b"0")
    assert await desk.store.create(desk.stored, b"1") is Written.FENCED


async def test_a_claim_by_another_fences(desk: Desk) -> None:
    await desk.store.create(desk.stored, b"1")
    await desk.state.claim(KEY, "it", 1)
    assert await desk.store.write(desk.stored, b"2") is Written.FENCED


async def test_a_call_taken_while_state_was_away_is_made_later(desk: Desk) -> None:
    desk.wire.is_cut = True
    assert await desk.store.create(desk.stored, b"1") is Written.AWAY
    assert await desk.store.write(desk.stored, b"2") is Written.AWAY
    desk.wire.is_cut = False
    assert await desk.store.write(desk.stored, b"3") is Written.DONE
    assert await desk.state.get(KEY) == b"3"
    assert await desk.indexes() == [[("c1", 5.0)], [("c1", 5.0)]]


async def test_a_write_that_state_does_not_take_counts_as_unprotected(desk: Desk) -> None:
    desk.wire.is_cut = True
    assert await desk.store.create(desk.stored, b"1") is Written.AWAY
    assert await desk.store.write(desk.stored, b"2") is Written.AWAY
    assert desk.unprotected == 2
    desk.wire.is_cut = False
    await desk.store.write(desk.stored, b"3")
    assert desk.unprotected == 2


async def test_nothing_is_tried_while_state_is_known_to_be_away(
    desk: Desk, recwarn: pytest.WarningsRecorder
) -> None:
    desk.store.is_away = lambda: True
    assert await desk.store.create(desk.stored, b"1") is Written.AWAY
    assert await desk.store.write(desk.stored, b"2") is Written.AWAY
    assert desk.unprotected == 2
    gc.collect()
    assert not recwarn.list  # No operation was left behind unawaited.
    desk.store.is_away = lambda: False
    assert await desk.state.get(KEY) is None
    assert await desk.store.write(desk.stored, b"3") is Written.DONE
    assert desk.unprotected == 2


async def test_what_a_successor_ended_is_not_made_again(desk: Desk) -> None:
    await desk.store.create(desk.stored, b"1")
    await desk.state.delete(KEY)
    assert await desk.store.write(desk.stored, b"2") is Written.FENCED


async def test_a_call_that_a_successor_ended_is_not_made_again_after_a_failover(
    desk: Desk,
) -> None:
    await desk.store.create(desk.stored, b"1")
    successor = Desk(desk.state)
    heir = CallStore(successor.wire, InstanceId("it"), 60.0, CallManagerMetrics(Registry()))
    assert await heir.claim(CallId("c1"), 1, 5.0)
    await heir.delete(Stored(CallId("c1"), TenantId("t1"), 5.0, 2, generation=1))
    desk.store.forget(0.0)
    assert await desk.store.write(desk.stored, b"2") is Written.FENCED
    # A failover may bring back what was before the claim: then the end is told again.
    await desk.state.delete(KEY)
    assert await desk.state.restore_owned(KEY, "me", 1, b"1")
    heir.forget(0.0)
    await heir.mark_ended_again()
    assert await desk.store.write(desk.stored, b"2") is Written.FENCED
    assert await desk.state.get(KEY) is None


async def test_ends_are_told_again_once_a_failover_and_when_state_is_back(desk: Desk) -> None:
    await desk.store.create(desk.stored, b"1")
    await desk.store.delete(desk.stored)
    await desk.state.delete(KEY)
    await desk.store.mark_ended_again()
    assert await desk.state.owner_of(KEY) is None
    desk.store.forget(0.0)
    desk.wire.is_cut = True
    await desk.store.mark_ended_again()
    desk.wire.is_cut = False
    await desk.store.mark_ended_again()
    found = await desk.state.owner_of(KEY)
    assert found is not None
    assert found.has_ended


async def test_what_a_failover_forgot_is_made_again(desk: Desk) -> None:
    await desk.store.create(desk.stored, b"1")
    for key in (KEY, "owned:{me}"):
        await desk.state.delete(key)
    desk.store.forget(0.0)
    assert await desk.store.write(desk.stored, b"2") is Written.DONE
    assert await desk.indexes() == [[("c1", 5.0)], [("c1", 5.0)]]


async def test_after_a_failover_a_higher_epoch_wins(desk: Desk) -> None:
    await desk.store.create(desk.stored, b"1")
    await desk.state.claim(KEY, "it", 1)
    desk.store.forget(0.0)
    assert await desk.store.write(desk.stored, b"2") is Written.FENCED


async def test_a_lost_claim_leaves_no_trace_in_our_index(desk: Desk) -> None:
    await desk.state.create_owned(KEY, "it", b"0")
    assert await desk.store.claim(CallId("c1"), 4, 5.0) is None
    assert await desk.state.index_range("owned:{me}") == []


async def test_a_call_that_ended_while_state_was_away_is_removed_later(desk: Desk) -> None:
    await desk.store.create(desk.stored, b"1")
    desk.wire.is_cut = True
    await desk.store.delete(desk.stored)
    desk.wire.is_cut = False
    await desk.store.delete_owed()
    assert await desk.state.get(KEY) is None
    assert await desk.indexes() == [[], []]


async def test_phones_are_found_where_they_were_last_seen(desk: Desk) -> None:
    await desk.state.put_if_version(BINDINGS, b"[]", 0)
    await desk.store.bindings(AOR, 0.0)
    desk.wire.is_cut = True
    assert await desk.store.bindings(AOR, 0.0) == []
    with pytest.raises(BackingUnavailable):
        await desk.store.bindings("1002@d", 0.0)


async def test_phones_are_found_while_edges_write_again_what_state_forgot(desk: Desk) -> None:
    desk_phone, mobile = _binding("desk"), _binding("mobile")
    state = desk.state
    await state.put_if_version(BINDINGS, encode_bindings([desk_phone, mobile]), 0)
    await desk.store.bindings(AOR, 90.0)
    desk.store.forget(100.0)
    await state.delete(BINDINGS)
    assert await desk.store.bindings(AOR, 100.1) == [desk_phone, mobile]
    moved = replace(mobile, source="udp:192.0.2.9:5060")
    await state.put_if_version(BINDINGS, encode_bindings([moved]), 0)
    assert await desk.store.bindings(AOR, 100.2) == [moved, desk_phone]
    assert await desk.store.bindings(AOR, 100.0 + REWRITTEN_S) == [moved]


def test_the_extensions_asked_for_last_are_remembered() -> None:
    cache = BindingsCache(limit=2)
    cache.keep("a", b"1")
    cache.keep("b", None)
    cache.keep("a", b"2")
    cache.keep("c", b"3")
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (b"2", None, b"3")
