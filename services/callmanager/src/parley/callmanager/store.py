"""What the call manager keeps in shared state, in its own words.

Snapshots are records that this instance owns (`backing/state/live_calls.py`); bindings, read only,
belong to the edges.

While state is away calls go on in memory, unprotected, and phones are found where they were last
seen; when it is back, `mailbox.py` writes again what it could not.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, Final, Literal, TypeVar

from msgspec.structs import replace

from parley.backing.errors import BackingError
from parley.backing.state.base import Claimed, Owned, State
from parley.backing.state.bindings import Bindings, decode_bindings
from parley.backing.state.live_calls import Indexed, LiveCalls, OwnedCall
from parley.callmanager.bindings_cache import BindingsCache
from parley.callmanager.metrics import CallManagerMetrics
from parley.model.ids import CallId, InstanceId
from parley.model.registration import Binding

TIMEOUT_S: Final = 1.0
BINDINGS_TIMEOUT_S: Final = 0.3
"""How long state may take to say where an extension is when that is known from before, too."""
ENDED_S: Final = 60.0
"""How long the mark of an ended call stays: as long as one that lost it may still write."""
REWRITTEN_S: Final = 60.0
"""How long edges may take to write again what state forgot, a thousand AORs a second."""
_PROLONGED_S: Final = 60.0
_MANY_OWED: Final = 10_000
_MANY_ENDED: Final = 4096
_AT_ONCE: Final = 100
_T = TypeVar("_T")


class Written(Enum):
    """What became of a write."""

    DONE = "done"
    FENCED = "fenced"
    AWAY = "away"


_Away = Literal[Written.AWAY]


class Stored(OwnedCall):
    """A call of ours.

    Attributes:
        generation: of the store at the last write that it took; 0: it never took one.
    """

    generation: int = 0


class CallStore:
    """Snapshots of calls, and the bindings that calls need.

    Attributes:
        is_immediate: no method ever waits, so that `run_now` may drive them.
        seen: where extensions were last seen.
        generation: grows whenever state may have forgotten acknowledged writes.
        is_away: says whether state is known not to answer; then writes are not even tried.
    """

    def __init__(
        self, state: State, owner: InstanceId, ttl_s: float, metrics: CallManagerMetrics
    ) -> None:
        self._bindings = Bindings(state)
        self._calls = LiveCalls(state)
        self._owner = owner
        self._ttl_s = ttl_s
        self._metrics = metrics
        self.seen = BindingsCache()
        self._heard_s = float("inf")
        self._forgot_s = float("-inf")
        self._owed: dict[CallId, Stored] = {}
        self._ended = deque[CallId](maxlen=_MANY_ENDED)
        self._marked_in = 1
        self.is_immediate = state.is_immediate
        self.generation = 1
        self.is_away: Callable[[], bool] = lambda: False

    def forget(self, wall_s: float) -> None:
        """State may have forgotten what it took."""
        self.generation += 1
        self._forgot_s = wall_s

    async def bindings(self, aor: str, wall_s: float) -> list[Binding]:
        """Reads where an extension can be reached; while state is away, where it was last seen.

        That counts, too, while edges write again what state may have forgotten. Bindings that ran
        out since state answered last are good for another minute while it is away: their phones
        may have been told to refresh them later.

        Raises:
            BackingError: state did not answer, and nothing was heard of this extension.
            TimeoutError: nor did it within the time-out.
        """
        known = self.seen.get(aor)
        if known is None or not self.is_away():
            timeout_s = TIMEOUT_S if known is None else BINDINGS_TIMEOUT_S
            try:
                data = await self._bounded(self._bindings.read(aor), timeout_s)
            except (BackingError, TimeoutError):
                if known is None:
                    raise
            else:
                self._heard_s = wall_s
                if wall_s < self._forgot_s + REWRITTEN_S:
                    return self.seen.add(aor, data)
                self.seen.keep(aor, data)
                return decode_bindings(data)
        self._metrics.stale_bindings.inc()
        return [self._prolonged(one, wall_s) for one in decode_bindings(known)]

    def _prolonged(self, binding: Binding, wall_s: float) -> Binding:
        if self._heard_s < binding.expires_at < wall_s + _PROLONGED_S:
            return replace(binding, expires_at=wall_s + _PROLONGED_S)
        return binding

    # --- records of our own calls ----------------------------------------------------------

    async def create(self, stored: Stored, snapshot: bytes) -> Written:
        """Writes a call's first snapshot; fenced when the call exists already somewhere."""
        creating = self._calls.create(stored, self._owner, snapshot, self._ttl_s)
        epoch = await self._try(creating)
        if epoch is Written.AWAY:
            return epoch
        return self._taken(stored, self.generation, is_taken=epoch == stored.epoch)

    async def write(self, stored: Stored, snapshot: bytes) -> Written:
        """Writes a snapshot, and once more what state may have forgotten of the call."""
        generation = self.generation
        if stored.generation == generation:
            writing = self._calls.write(stored, self._owner, snapshot, self._ttl_s)
            is_taken = await self._try(writing)
            if is_taken is not False or generation == self.generation:
                return self._taken(stored, generation, is_taken=is_taken)
        generation = self.generation
        restoring = self._calls.restore(stored, self._owner, snapshot, self._ttl_s)
        return self._taken(stored, generation, is_taken=await self._try(restoring))

    async def delete(self, stored: Stored) -> None:
        """Removes an ended call; what cannot be removed now is removed when state is back."""
        done = await self._try(self._calls.end(stored, self._owner, ENDED_S))
        if done is True:
            self._ended.append(stored.call_id)
        elif done is Written.AWAY and len(self._owed) < _MANY_OWED:
            self._owed[stored.call_id] = stored

    async def delete_owed(self) -> None:
        """Removes the ended calls that could not be removed while state was away."""
        owed, self._owed = self._owed, {}
        for stored in owed.values():
            await self.delete(stored)

    async def mark_ended_again(self) -> None:
        """Marks the calls that ended here last once more, if state may have forgotten that.

        A former owner that does not know yet that it lost one would write it again.
        """
        generation = self.generation
        if self._marked_in == generation:
            return
        ended = list(self._ended)
        for start in range(0, len(ended), _AT_ONCE):
            batch = ended[start : start + _AT_ONCE]
            marked = await self._try(self._calls.mark_ended(batch, self._owner, ENDED_S))
            if marked is Written.AWAY:
                return
        self._marked_in = generation

    # --- records of whoever owns them ------------------------------------------------------

    async def owner_of(self, call_id: CallId) -> Owned | None:
        """Reads who owns a call, or ended it a short while ago; None when there is none.

        Raises:
            BackingError: state did not answer.
            TimeoutError: nor did it within the time-out.
        """
        return await self._bounded(self._calls.owner_of(call_id))

    async def snapshot(self, call_id: CallId) -> bytes | None:
        """Reads a call's snapshot, whoever owns it.

        Raises:
            BackingError: state did not answer.
            TimeoutError: nor did it within the time-out.
        """
        return await self._bounded(self._calls.snapshot(call_id))

    async def claim(self, call_id: CallId, epoch: int, started_s: float) -> Claimed | None:
        """Makes a call ours if it still has this epoch; None: somebody was faster.

        The former owner's index is left to the caller.

        Raises:
            BackingError: state did not answer.
            TimeoutError: nor did it within the time-out.
        """
        return await self._bounded(
            self._calls.claim(call_id, self._owner, epoch, started_s, self._ttl_s)
        )

    async def owned_by(self, instance: str, limit: int | None = None) -> list[Indexed]:
        """Lists the calls that an instance's index names, the oldest first.

        Raises:
            BackingError: state did not answer.
            TimeoutError: nor did it within the time-out.
        """
        return await self._bounded(self._calls.owned_by(instance, limit))

    async def release(self, instance: str, *call_ids: str) -> None:
        """Takes calls out of an instance's index.

        Raises:
            BackingError: state did not answer.
            TimeoutError: nor did it within the time-out.
        """
        await self._bounded(self._calls.release(instance, *call_ids))

    # --- inside ----------------------------------------------------------------------------

    async def _try(self, operation: Coroutine[Any, Any, _T]) -> "_T | _Away":
        if self.is_away():
            operation.close()
            self._metrics.unprotected_writes.inc()
            return Written.AWAY
        try:
            return await self._bounded(operation)
        except (BackingError, TimeoutError):
            self._metrics.unprotected_writes.inc()
            return Written.AWAY

    def _taken(self, stored: Stored, generation: int, *, is_taken: "bool | _Away") -> Written:
        if is_taken is Written.AWAY:
            return is_taken
        if not is_taken:
            return Written.FENCED
        stored.generation = generation
        return Written.DONE

    async def _bounded(
        self, operation: Coroutine[Any, Any, _T], timeout_s: float = TIMEOUT_S
    ) -> _T:
        if self.is_immediate:
            return await operation
        async with asyncio.timeout(timeout_s):
            return await operation
