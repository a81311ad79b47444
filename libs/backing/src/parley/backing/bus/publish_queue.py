"""The bounded queue in front of the brokers, kept in a journal.

A record is on disk at the end of the turn of the loop in which it was published, and is forgotten
when the brokers have acknowledged it; what a killed process left is sent by its next run. A record
that somebody waits for is not written: its publisher is told of the failure and tries again.
"""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from parley.backing.errors import BackingError, BusFull
from parley.backing.journal import Journal

# First items of the journal's records; on disk, so their meaning never changes.
_ADDED, _DONE = 0, 1

_OVERHEAD_BYTES = 200  # of an entry's objects, so that many small ones are bounded too

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


class Entry:
    """A record that waits to be acknowledged; `stamp_ms` is Unix milliseconds at publishing."""

    __slots__ = ("is_dropped", "key", "sequence", "stamp_ms", "topic", "value", "waiter")

    def __init__(self, sequence: int, topic: str, key: str, value: bytes, stamp_ms: int) -> None:
        self.sequence = sequence
        self.topic = topic
        self.key = key
        self.value = value
        self.stamp_ms = stamp_ms
        self.waiter: asyncio.Future[None] | None = None
        self.is_dropped = False

    @property
    def size(self) -> int:
        """Bytes that it counts for."""
        return len(self.value) + len(self.key) + _OVERHEAD_BYTES


class PublishQueue:
    """All records that were accepted and not acknowledged, in order of publishing.

    Attributes:
        size: bytes of the waiting records.
        emptied: set while nothing waits.
    """

    def __init__(self, journal: Journal | None, max_records: int, max_bytes: int) -> None:
        self._journal = journal
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._entries: dict[int, Entry] = {}
        self._next_sequence = 0
        self.size = 0
        self.emptied = asyncio.Event()
        self.emptied.set()

    def __len__(self) -> int:
        return len(self._entries)

    def oldest_ms(self) -> int | None:
        """Returns when the longest waiting record was published, in Unix milliseconds."""
        return next((entry.stamp_ms for entry in self._entries.values()), None)

    def open(self) -> list[Entry]:
        """Loads what an earlier run left and returns it in order.

        Raises:
            FolderInUse: another process has the journal.
        """
        if self._journal is None:
            return []
        self._journal.load(self._replay)
        self._entries = dict(sorted(self._entries.items()))
        self._journal.start(self._snapshot)
        return list(self._entries.values())

    async def aclose(self) -> None:
        """Releases the files; what waits stays in them."""
        if self._journal is not None:
            await self._journal.aclose()

    def add(self, topic: str, key: str, value: bytes, stamp_ms: int, *, is_kept: bool) -> Entry:
        """Takes a record.

        Args:
            topic: where to.
            key: decides its order.
            value: the payload.
            stamp_ms: Unix milliseconds.
            is_kept: False for a record that shall not outlive the process.

        Raises:
            BusFull: there is no room.
        """
        entry = Entry(self._next_sequence, topic, key, value, stamp_ms)
        if len(self._entries) >= self._max_records or self.size + entry.size > self._max_bytes:
            raise BusFull("too many records wait for the brokers")
        self._next_sequence += 1
        self._take(entry)
        if is_kept and self._journal is not None:
            self._journal.append(_encode((_ADDED, entry.sequence, topic, key, value, stamp_ms)))
        return entry

    def done(self, entries: Iterable[Entry]) -> None:
        """Forgets records that the brokers have, and tells who waits for them."""
        sequences = []
        for entry in entries:
            if self._forget(entry) and entry.waiter is None:
                sequences.append(entry.sequence)
            if entry.waiter is not None and not entry.waiter.done():
                entry.waiter.set_result(None)
        if sequences and self._journal is not None:
            self._journal.append(_encode((_DONE, sequences)))

    def refuse(self, entry: Entry, reason: str) -> None:
        """Forgets a record that the brokers will never take."""
        if entry.waiter is not None and not entry.waiter.done():
            entry.waiter.set_exception(BackingError(f"the bus refuses the record: {reason}"))
        self.done((entry,))

    def withdraw(self, entry: Entry) -> None:
        """Takes back a record that was not sent yet."""
        entry.is_dropped = True
        self._forget(entry)

    def _take(self, entry: Entry) -> None:
        self._entries[entry.sequence] = entry
        self.size += entry.size
        self.emptied.clear()

    def _forget(self, entry: Entry) -> bool:
        if self._entries.pop(entry.sequence, None) is None:
            return False
        self.size -= entry.size
        if not self._entries:
            self.emptied.set()
        return True

    def _replay(self, payload: bytes) -> None:
        kind, *rest = _decode(payload)
        if kind == _ADDED:
            entry = Entry(*rest)
            # Compaction writes a record twice.
            self._forget(entry)
            self._take(entry)
            self._next_sequence = max(self._next_sequence, entry.sequence + 1)
        elif kind == _DONE:
            for sequence in rest[0]:
                known = self._entries.get(sequence)
                if known is not None:
                    self._forget(known)
                self._next_sequence = max(self._next_sequence, sequence + 1)

    def _snapshot(self) -> Iterator[bytes]:
        for entry in list(self._entries.values()):
            if entry.sequence in self._entries and entry.waiter is None:
                yield _encode(
                    (_ADDED, entry.sequence, entry.topic, entry.key, entry.value, entry.stamp_ms)
                )
