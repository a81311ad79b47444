"""Calls that go on: each one's snapshot, which a call manager owns, and the indexes that name it.

`call:{<call id>}` is the snapshot, a record owned by one instance with an epoch: a write of a
former owner is fenced. Two indexes name it, scored by the call's start: `calls:{<tenant>}` for who
lists calls and `owned:{<instance>}` for who takes over from a dead instance. They are sent before
the record, in the same turn of the loop, so that no call is missing from them and a call costs one
round trip. They may name calls that are over or another's: the record decides.
"""

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from parley.backing.state.base import Claimed, Owned, State, in_one_turn
from parley.model.ids import CallId, TenantId

_T = TypeVar("_T")
Indexed = tuple[str, float]
"""A call id in an index and the start of the call, Unix seconds."""


class OwnedCall(Struct):
    """What its owner knows of a call's record.

    Attributes:
        started_s: start of the call, Unix seconds; its place in the indexes.
    """

    call_id: CallId
    tenant_id: TenantId
    started_s: float
    epoch: int


class LiveCalls:
    """Records and indexes of calls. Methods raise what the state port raises and do not time out.

    In all of them `owner` is an instance and `ttl_s` how long the record stays if nobody writes it.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    # --- for owners ------------------------------------------------------------------------

    async def create(
        self, call: OwnedCall, owner: str, snapshot: bytes, ttl_s: float
    ) -> int | None:
        """Writes a call's first snapshot; returns the epoch, None when there is such a call."""
        record = self._state.create_owned(_record(call.call_id), owner, snapshot, ttl_s)
        return await self._indexed(call, owner, record)

    def write(
        self, call: OwnedCall, owner: str, snapshot: bytes, ttl_s: float
    ) -> Coroutine[Any, Any, bool]:
        """Writes a snapshot; False means fenced: the call is another's."""
        # Not a coroutine around another one: this is the write that each step of a call waits for.
        key = _record(call.call_id)
        return self._state.put_owned(key, owner, call.epoch, snapshot, ttl_s)

    async def restore(self, call: OwnedCall, owner: str, snapshot: bytes, ttl_s: float) -> bool:
        """Writes all that state may have forgotten of a call; False means that it is another's."""
        key = _record(call.call_id)
        record = self._state.restore_owned(key, owner, call.epoch, snapshot, ttl_s)
        return await self._indexed(call, owner, record)

    async def end(self, call: OwnedCall, owner: str, mark_s: float) -> bool:
        """Removes an ended call, of which a mark stays for some seconds; False means fenced."""
        state, call_id = self._state, call.call_id
        ending = state.end_owned(_record(call_id), owner, call.epoch, mark_s)
        by_tenant = state.index_remove(_by_tenant(call.tenant_id), call_id)
        by_owner = state.index_remove(_by_owner(owner), call_id)
        is_ended: bool = (await in_one_turn(ending, by_tenant, by_owner))[0]
        return is_ended

    async def mark_ended(self, call_ids: Sequence[CallId], owner: str, mark_s: float) -> None:
        """Marks calls as ended again, whoever has them: state may have forgotten that."""
        state = self._state
        await in_one_turn(*(state.restore_ended(_record(one), owner, mark_s) for one in call_ids))

    async def claim(
        self, call_id: CallId, owner: str, epoch: int, started_s: float, ttl_s: float
    ) -> Claimed | None:
        """Makes a call this owner's if it still has this epoch; None: somebody was faster.

        The index of the new owner names it before the record is its own; that of the former owner
        is left to the caller (`release`).
        """
        adding = self._state.index_add(_by_owner(owner), call_id, started_s)
        claiming = self._state.claim(_record(call_id), owner, epoch, ttl_s)
        claimed: Claimed | None = (await in_one_turn(adding, claiming))[1]
        if claimed is None:
            await self.release(owner, call_id)
        return claimed

    async def release(self, owner: str, *call_ids: str) -> None:
        """Takes calls out of an instance's index."""
        await self._state.index_remove(_by_owner(owner), *call_ids)

    # --- for readers -----------------------------------------------------------------------

    async def owned_by(self, owner: str, limit: int | None = None) -> list[Indexed]:
        """Lists the calls that an instance's index names, the oldest first."""
        return await self._state.index_range(_by_owner(owner), limit=limit)

    async def of_tenant(
        self, tenant_id: TenantId, limit: int, after: Indexed | None = None
    ) -> list[Indexed]:
        """Lists calls that a tenant's index names, the oldest first, from behind a place."""
        return await self._state.index_range(_by_tenant(tenant_id), limit=limit, after=after)

    async def owner_of(self, call_id: str) -> Owned | None:
        """Reads who owns a call, or ended it a short while ago; None when there is none."""
        return await self._state.owner_of(_record(call_id))

    async def snapshot(self, call_id: str) -> bytes | None:
        """Reads a call's snapshot, whoever owns it."""
        return await self._state.get(_record(call_id))

    async def snapshots(self, call_ids: Sequence[str]) -> list[bytes | None]:
        """Reads the snapshots of several calls, in order."""
        return await self._state.get_many([_record(call_id) for call_id in call_ids])

    # --- inside ----------------------------------------------------------------------------

    async def _indexed(self, call: OwnedCall, owner: str, writing: Coroutine[Any, Any, _T]) -> _T:
        state, call_id, started_s = self._state, call.call_id, call.started_s
        by_tenant = state.index_add(_by_tenant(call.tenant_id), call_id, started_s)
        by_owner = state.index_add(_by_owner(owner), call_id, started_s)
        written: _T = (await in_one_turn(by_tenant, by_owner, writing))[2]
        return written


def _record(call_id: str) -> str:
    return f"call:{{{call_id}}}"


def _by_tenant(tenant_id: str) -> str:
    return f"calls:{{{tenant_id}}}"


def _by_owner(owner: str) -> str:
    return f"owned:{{{owner}}}"
