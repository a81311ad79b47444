"""The state journal's records: one per change, MessagePack arrays that begin with an operation.

`expires` is Unix seconds or None. Values and owned records are written whole; hashes and sorted
sets by field, and whole (`*_ALL`, which replaces the key) where the journal is compacted.
"""

import enum
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from parley.backing.state.keyspace import (
    NEVER,
    Entry,
    FieldsEntry,
    Keyspace,
    ScoresEntry,
    ValueEntry,
)
from parley.service.clock import Clock


class Op(enum.IntEnum):
    """What a record does; the numbers are on disk and never change their meaning."""

    VALUE = 0
    DELETE = 1
    FIELDS = 2
    FIELDS_ALL = 3
    FIELDS_GONE = 4
    SCORES = 5
    SCORES_ALL = 6
    SCORES_GONE = 7
    VERSION = 8


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


class Replayer:
    """Applies records to a keyspace that is being loaded.

    Attributes:
        version: the highest version seen.
    """

    def __init__(self, keys: Keyspace, clock: Clock) -> None:
        self._keys = keys
        # The two clocks are read once: a deadline is as far away as its wall time is.
        self._wall_to_now = clock.now() - clock.wall_s()
        self.version = 0
        self._appliers: dict[int, Callable[..., None]] = {
            Op.VALUE: self._value,
            Op.DELETE: self._delete,
            Op.FIELDS: self._fields,
            Op.FIELDS_ALL: self._fields_all,
            Op.FIELDS_GONE: self._fields_gone,
            Op.SCORES: self._scores,
            Op.SCORES_ALL: self._scores_all,
            Op.SCORES_GONE: self._scores_gone,
            Op.VERSION: self._see_version,
        }

    def apply(self, payload: bytes) -> None:
        """Applies one record."""
        op, *arguments = _decode(payload)
        self._appliers[op](*arguments)

    def _expire_at(self, key: str, entry: Entry, expires: float | None) -> None:
        deadline = NEVER if expires is None else expires + self._wall_to_now
        self._keys.set_deadline(key, entry, deadline)

    def _see_version(self, version: int) -> None:
        self.version = max(self.version, version)

    def _value(
        self,
        key: str,
        value: bytes | None,
        version: int,
        owner: str,
        epoch: int,
        expires: float | None,
    ) -> None:
        entry = self._keys.restore(key, ValueEntry)
        entry.value, entry.version, entry.owner, entry.epoch = value, version, owner, epoch
        self._see_version(version)
        self._expire_at(key, entry, expires)

    def _delete(self, key: str) -> None:
        self._keys.remove(key)

    def _fields(self, key: str, fields: dict[str, bytes], expires: float | None) -> None:
        entry = self._keys.restore(key, FieldsEntry)
        entry.fields.update(fields)
        self._expire_at(key, entry, expires)

    def _fields_all(self, key: str, fields: dict[str, bytes], expires: float | None) -> None:
        self._keys.remove(key)
        self._fields(key, fields, expires)

    def _fields_gone(self, key: str, fields: list[str]) -> None:
        entry = self._keys.restore(key, FieldsEntry)
        for field in fields:
            entry.fields.pop(field, None)
        if not entry.fields:
            self._keys.remove(key)

    def _scores(self, key: str, scores: dict[str, float], expires: float | None) -> None:
        entry = self._keys.restore(key, ScoresEntry)
        for member, score in scores.items():
            entry.add(member, score)
        self._expire_at(key, entry, expires)

    def _scores_all(self, key: str, scores: dict[str, float], expires: float | None) -> None:
        self._keys.remove(key)
        self._scores(key, scores, expires)

    def _scores_gone(self, key: str, members: list[str]) -> None:
        entry = self._keys.restore(key, ScoresEntry)
        for member in members:
            entry.remove(member)
        if not entry.scores:
            self._keys.remove(key)


def encode_value(key: str, entry: ValueEntry, expires: float | None) -> bytes:
    """Encodes a value or owned record whole."""
    return encode(
        (0, key, entry.value, entry.version, entry.owner, entry.epoch, expires)  # 0: Op.VALUE
    )


def snapshot(
    keys: Keyspace, version: int, expires: Callable[[Entry], float | None]
) -> Iterator[bytes]:
    """Yields records that together make the present contents."""
    yield encode((Op.VERSION, version))
    for key, entry in keys.items():
        if isinstance(entry, ValueEntry):
            yield encode_value(key, entry, expires(entry))
        elif isinstance(entry, FieldsEntry):
            yield encode((Op.FIELDS_ALL, key, entry.fields, expires(entry)))
        elif isinstance(entry, ScoresEntry):
            yield encode((Op.SCORES_ALL, key, entry.scores, expires(entry)))
