"""What the call manager keeps in shared state, in its own words.

`call:{<call id>}` is the snapshot, owned by one instance with an epoch: a write of a former owner
is fenced. `calls:{<tenant>}` is the index of a tenant's calls, scored by their start; it is written
before the snapshot, so that no call is missing from it. `reg:{<user>@<domain>}`, an AOR without its
scheme, belongs to the edges.

While state is away calls go on in memory, unprotected: nobody can claim them then either.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import msgspec

from parley.backing.errors import BackingError
from parley.backing.state.base import State, run_now
from parley.callmanager.metrics import CallManagerMetrics
from parley.model.ids import CallId, InstanceId, TenantId
from parley.model.registration import Binding

TIMEOUT_S: Final = 2.0
_T = TypeVar("_T")
_decode_bindings = msgspec.json.Decoder(list[Binding]).decode


class CallStore:
    """Snapshots, their index, and the bindings that calls need.

    Attributes:
        is_immediate: no method ever waits, so that `run_now` may drive them.
    """

    def __init__(
        self, state: State, owner: InstanceId, ttl_s: float, metrics: CallManagerMetrics
    ) -> None:
        self._state = state
        self._owner = owner
        self._ttl_s = ttl_s
        self._metrics = metrics
        self.is_immediate = state.is_immediate

    async def bindings(self, aor: str) -> list[Binding]:
        """Reads where an extension can be reached.

        Raises:
            BackingError: state did not answer.
            TimeoutError: nor did it within the time-out.
        """
        data = await self._bounded(self._state.get(f"reg:{{{aor}}}"))
        if data is None:
            return []
        try:
            return _decode_bindings(data)
        except msgspec.MsgspecError:
            # What an edge of another version wrote; the phones register again.
            return []

    async def create(
        self, call_id: CallId, tenant: TenantId, started_s: float, snapshot: bytes
    ) -> bool:
        """Writes a call's first snapshot; False when the call exists already somewhere."""
        try:
            await self._bounded(self._create(call_id, tenant, started_s, snapshot))
        except _Exists:
            return False
        except (BackingError, TimeoutError):
            self._metrics.unprotected_writes.inc()
        return True

    async def write(self, call_id: CallId, epoch: int, snapshot: bytes) -> bool:
        """Writes a snapshot; False: fenced, somebody else owns the call."""
        key = f"call:{{{call_id}}}"
        try:
            return await self._bounded(
                self._state.put_owned(key, self._owner, epoch, snapshot, self._ttl_s)
            )
        except (BackingError, TimeoutError):
            self._metrics.unprotected_writes.inc()
            return True

    async def delete(self, call_id: CallId, tenant: TenantId, epoch: int) -> None:
        """Removes an ended call; what cannot be removed now expires."""
        try:
            await self._bounded(self._delete(call_id, tenant, epoch))
        except (BackingError, TimeoutError):
            self._metrics.unprotected_writes.inc()

    def now(self, operation: Coroutine[Any, Any, _T]) -> _T:
        """Drives one of the methods above when `is_immediate`."""
        return run_now(operation)

    async def _create(
        self, call_id: CallId, tenant: TenantId, started_s: float, snapshot: bytes
    ) -> None:
        state, key = self._state, f"call:{{{call_id}}}"
        await state.set_add(f"calls:{{{tenant}}}", call_id, started_s)
        claimed = await state.claim(key, self._owner, 0, self._ttl_s)
        if claimed is None:
            raise _Exists
        if not await state.put_owned(key, self._owner, claimed.epoch, snapshot, self._ttl_s):
            raise _Exists

    async def _delete(self, call_id: CallId, tenant: TenantId, epoch: int) -> None:
        if await self._state.delete_owned(f"call:{{{call_id}}}", self._owner, epoch):
            await self._state.set_remove(f"calls:{{{tenant}}}", call_id)

    async def _bounded(self, operation: Coroutine[Any, Any, _T]) -> _T:
        if self.is_immediate:
            return await operation
        async with asyncio.timeout(TIMEOUT_S):
            return await operation


class _Exists(Exception):
    """The record is somebody's already."""
