"""The embedded state: one process's memory, kept by a journal.

Every method completes without suspending. A change is in memory when the method returns and on disk
at the end of this turn of the loop; a process that is killed loses at most that turn. Who tells
somebody of a change within this turn calls `flush` before.
"""

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence

from parley.backing.errors import WrongKind
from parley.backing.journal import Journal
from parley.backing.state.base import ENDED_EPOCH, Claimed, Owned, Versioned
from parley.backing.state.keyspace import (
    NEVER,
    Entry,
    FieldsEntry,
    Keyspace,
    ScoresEntry,
    ValueEntry,
    check_epoch,
    check_owner,
    check_text,
)
from parley.backing.state.records import Op, Replayer, encode, encode_value, snapshot
from parley.service.clock import Clock

_SWEEP_S = 1.0


class EmbeddedState:
    """Implements `State` for one process.

    Without a journal it may be used at once and forgets everything with the process.
    """

    is_immediate = True

    def __init__(self, clock: Clock, journal: Journal | None = None) -> None:
        self._clock = clock
        self._now = clock.now
        self._journal = journal
        self._keys = Keyspace(clock.now, self._expired)
        self._find = self._keys.find
        self._version = 0
        self._sweeper: asyncio.Handle | None = None

    async def start(self) -> None:
        """Loads what was kept and starts expiring in the background."""
        if self._journal is not None:
            replayer = Replayer(self._keys, self._clock)
            self._journal.load(replayer.apply)
            self._version = replayer.version
            while self._keys.expire_due():
                pass
            self._journal.start(self._snapshot)
        self._sweep()

    async def aclose(self) -> None:
        """Writes what is queued and releases the files."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        if self._journal is not None:
            await self._journal.aclose()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        # A crowd that expires at once is removed in portions, so the loop is never held up.
        if self._keys.expire_due():
            self._sweeper = loop.call_soon(self._sweep)
        else:
            self._sweeper = loop.call_later(_SWEEP_S, self._sweep)

    def _snapshot(self) -> Iterator[bytes]:
        return snapshot(self._keys, self._version, self._expires)

    def _expired(self, key: str) -> None:
        # What expired stays so, whatever the wall clock says when the journal is read.
        if self._journal is not None:
            self._journal.append(encode((Op.DELETE, key)))

    def _expires(self, entry: Entry) -> float | None:
        if entry.deadline == NEVER:
            return None
        return self._clock.wall_s() + entry.deadline - self._now()

    def flush(self) -> None:
        """Writes what is queued now, unless the disk is known to refuse."""
        if self._journal is not None:
            self._journal.write_now()

    def on_new_generation(self, callback: Callable[[], None]) -> None:
        """Does nothing: a store in this process forgets only together with the process."""

    # -- values ------------------------------------------------------------------------------

    async def get(self, key: str) -> bytes | None:
        """Returns the value, or None."""
        entry = self._find(key, ValueEntry)
        return None if entry is None else entry.value

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Returns one item per key, in order."""
        return [await self.get(key) for key in keys]

    async def delete(self, key: str) -> None:
        """Removes a key of any kind."""
        if self._keys.any(key) is not None:
            self._keys.remove(key)
            if self._journal is not None:
                self._journal.append(encode((Op.DELETE, key)))

    async def get_versioned(self, key: str) -> Versioned | None:
        """Returns the value with its version."""
        entry = self._find(key, ValueEntry)
        if entry is None or entry.value is None:
            return None
        return Versioned(entry.value, entry.version)

    async def put_if_version(
        self, key: str, value: bytes, version: int, ttl_s: float | None = None
    ) -> int | None:
        """Writes if the current version is `version` (0: absent)."""
        entry = self._find(key, ValueEntry)
        if entry is None:
            if version:
                return None
            entry = self._keys.make(key, ValueEntry)
        elif entry.owner:
            raise WrongKind(f"{key} is owned; write it with put_owned")
        elif entry.version != version:
            return None
        self._write(key, entry, value, NEVER if ttl_s is None else self._now() + ttl_s)
        return entry.version

    def _write(self, key: str, entry: ValueEntry, value: bytes | None, deadline: float) -> None:
        entry.value = value
        self._version = entry.version = self._version + 1
        if deadline != entry.deadline:
            self._keys.set_deadline(key, entry, deadline)
        if self._journal is not None:
            self._journal.append(encode_value(key, entry, self._expires(entry)))

    # -- owned records -----------------------------------------------------------------------

    async def claim(
        self, key: str, owner: str, epoch: int, ttl_s: float | None = None
    ) -> Claimed | None:
        """Takes ownership and raises the epoch by one."""
        entry = self._find_record(key, owner)
        if entry is None or entry.value is None or entry.epoch != epoch:
            return None
        value = entry.value
        self._write_record(key, Owned(owner, epoch + 1), value, ttl_s)
        return Claimed(epoch + 1, value)

    async def create_owned(
        self, key: str, owner: str, value: bytes, ttl_s: float | None = None
    ) -> int | None:
        """Makes a record with its first value."""
        if self._find_record(key, owner) is not None:
            return None
        self._write_record(key, Owned(owner, 1), value, ttl_s)
        return 1

    async def restore_owned(
        self, key: str, owner: str, epoch: int, value: bytes, ttl_s: float | None = None
    ) -> bool:
        """Writes a record again unless somebody took it meanwhile."""
        check_epoch(epoch)
        entry = self._find_record(key, owner)
        if entry is not None and (
            entry.epoch > epoch or (entry.epoch == epoch and entry.owner != owner)
        ):
            return False
        self._write_record(key, Owned(owner, epoch), value, ttl_s)
        return True

    async def owner_of(self, key: str) -> Owned | None:
        """Returns owner and epoch of a record."""
        entry = self._find(key, ValueEntry)
        return None if entry is None or not entry.owner else Owned(entry.owner, entry.epoch)

    def _find_record(self, key: str, owner: str) -> ValueEntry | None:
        check_owner(owner)
        entry = self._find(key, ValueEntry)
        if entry is not None and not entry.owner:
            raise WrongKind(f"{key} holds a value without owner")
        return entry

    def _write_record(
        self, key: str, owned: Owned, value: bytes | None, ttl_s: float | None
    ) -> None:
        entry = self._keys.make(key, ValueEntry)
        entry.owner, entry.epoch = owned
        self._write(key, entry, value, NEVER if ttl_s is None else self._now() + ttl_s)

    async def put_owned(
        self, key: str, owner: str, epoch: int, value: bytes, ttl_s: float | None = None
    ) -> bool:
        """Writes if owner and epoch are the record's; False means fenced."""
        entry = self._find(key, ValueEntry)
        if entry is None or entry.epoch != epoch or entry.owner != owner or not owner:
            return False
        self._write(key, entry, value, NEVER if ttl_s is None else self._now() + ttl_s)
        return True

    async def end_owned(self, key: str, owner: str, epoch: int, ttl_s: float) -> bool:
        """Leaves a mark of the record if owner and epoch are its own."""
        entry = self._find(key, ValueEntry)
        if entry is None or entry.epoch != epoch or entry.owner != owner or not owner:
            return False
        self._write_record(key, Owned(owner, ENDED_EPOCH), None, ttl_s)
        return True

    async def restore_ended(self, key: str, owner: str, ttl_s: float) -> None:
        """Marks a record as ended, whoever has it."""
        self._find_record(key, owner)
        self._write_record(key, Owned(owner, ENDED_EPOCH), None, ttl_s)

    # -- hashes ------------------------------------------------------------------------------

    async def hash_put(self, key: str, field: str, value: bytes) -> None:
        """Sets one field."""
        check_text(field)
        entry = self._keys.make(key, FieldsEntry)
        entry.fields[field] = value
        if self._journal is not None:
            self._journal.append(encode((Op.FIELDS, key, {field: value}, self._expires(entry))))

    async def hash_get_all(self, key: str) -> dict[str, bytes]:
        """Returns all fields."""
        entry = self._find(key, FieldsEntry)
        return {} if entry is None else entry.fields.copy()

    async def hash_delete(self, key: str, *fields: str) -> None:
        """Removes fields; the key goes with its last one."""
        entry = self._find(key, FieldsEntry)
        if entry is None:
            return
        gone = [field for field in fields if entry.fields.pop(field, None) is not None]
        if gone and self._journal is not None:
            self._journal.append(encode((Op.FIELDS_GONE, key, gone)))
        if not entry.fields:
            self._keys.remove(key)

    # -- indexes: sorted sets ----------------------------------------------------------------

    async def index_add(self, key: str, member: str, score: float) -> None:
        """Adds a member or changes its score."""
        if not math.isfinite(score):
            raise ValueError("a score is a finite number")
        check_text(member)
        entry = self._keys.make(key, ScoresEntry)
        entry.add(member, score)
        if self._journal is not None:
            self._journal.append(encode((Op.SCORES, key, {member: score}, self._expires(entry))))

    async def index_remove(self, key: str, *members: str) -> None:
        """Removes members of an index."""
        entry = self._find(key, ScoresEntry)
        if entry is None:
            return
        gone = [member for member in members if entry.remove(member)]
        if gone and self._journal is not None:
            self._journal.append(encode((Op.SCORES_GONE, key, gone)))
        if not entry.scores:
            self._keys.remove(key)

    async def index_range(
        self,
        key: str,
        max_score: float | None = None,
        limit: int | None = None,
        after: tuple[str, float] | None = None,
    ) -> list[tuple[str, float]]:
        """Returns (member, score) ordered by score, then member."""
        entry = self._find(key, ScoresEntry)
        if entry is None:
            return []
        found = entry.up_to(math.inf if max_score is None else max_score, limit, after)
        return [(member, score) for score, member in found]
