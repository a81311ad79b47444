"""The entries of the embedded store and their expiry.

Policy. Expiry runs on the monotonic clock, so a step of the wall clock expires nothing; on disk it
is wall time, since monotonic time means nothing to the next process. An expired entry is removed
when it is touched or when `expire_due` comes by; both tell the owner, so that the journal agrees.
Each entry has at most one live place in the expiry heap: a longer life is only noticed when that
comes up.
"""

import heapq
import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from typing import TypeVar

from parley.backing.errors import WrongKind

NEVER = math.inf
_EXPIRE_AT_ONCE = 256

_E = TypeVar("_E", bound="Entry")


class Entry:
    """What a key holds; `deadline` and `filed` are monotonic seconds."""

    __slots__ = ("deadline", "filed")

    def __init__(self) -> None:
        self.deadline = NEVER
        self.filed = NEVER


class ValueEntry(Entry):
    """Bytes with a version; `owner` is empty unless it is an owned record."""

    __slots__ = ("epoch", "owner", "value", "version")

    def __init__(self) -> None:
        super().__init__()
        self.value: bytes | None = None
        self.version = 0
        self.owner = ""
        self.epoch = 0


class FieldsEntry(Entry):
    """A hash."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, bytes] = {}


class ScoresEntry(Entry):
    """A sorted set: scores by member, and all of it in order of (score, member)."""

    __slots__ = ("order", "scores")

    def __init__(self) -> None:
        super().__init__()
        self.scores: dict[str, float] = {}
        self.order: list[tuple[float, str]] = []

    def add(self, member: str, score: float) -> None:
        """Adds or moves a member."""
        old = self.scores.get(member)
        if old == score:
            return
        if old is not None:
            del self.order[bisect_left(self.order, (old, member))]
        self.scores[member] = score
        insort(self.order, (score, member))

    def remove(self, member: str) -> bool:
        """Removes a member; False when it was not there."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        del self.order[bisect_left(self.order, (score, member))]
        return True

    def up_to(
        self, score: float, limit: int | None = None, after: tuple[str, float] | None = None
    ) -> list[tuple[float, str]]:
        """Returns the lowest items with a score up to the given one, behind (member, score)."""
        end = bisect_left(self.order, math.nextafter(score, math.inf), key=_score)
        start = 0 if after is None else bisect_right(self.order, (after[1], after[0]))
        return self.order[start : end if limit is None else min(end, start + limit)]


class Keyspace:
    """All entries by key, expiring on time."""

    def __init__(self, now: Callable[[], float], on_expired: Callable[[str], None]) -> None:
        self._now = now
        self._on_expired = on_expired
        self._entries: dict[str, Entry] = {}
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: str, kind: type[_E]) -> _E | None:
        """Returns the live entry of a key.

        Raises:
            WrongKind: the key holds something else.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.deadline != NEVER and entry.deadline <= self._now():
            self._expire(key)
            return None
        if type(entry) is kind:
            return entry
        raise WrongKind(f"{key} holds a {type(entry).__name__}, not a {kind.__name__}")

    def any(self, key: str) -> Entry | None:
        """Returns the live entry of a key, of whatever kind."""
        entry = self._entries.get(key)
        if entry is not None and entry.deadline <= self._now():
            self._expire(key)
            return None
        return entry

    def make(self, key: str, kind: type[_E]) -> _E:
        """Returns the live entry of a key, a new one when there is none."""
        entry = self.find(key, kind)
        if entry is None:
            check_text(key)
            entry = kind()
            self._entries[key] = entry
        return entry

    def restore(self, key: str, kind: type[_E]) -> _E:
        """Like `make` while a journal is replayed: nothing expires, another kind is replaced."""
        entry = self._entries.get(key)
        if type(entry) is not kind:
            entry = kind()
            self._entries[key] = entry
        return entry

    def remove(self, key: str) -> bool:
        """Forgets a key; False when it was not there."""
        return self._entries.pop(key, None) is not None

    def keys(self) -> list[str]:
        """Returns the keys of the moment."""
        return list(self._entries)

    def items(self) -> Iterator[tuple[str, Entry]]:
        """Yields the entries; keys that vanish meanwhile are left out, new ones too."""
        for key in self.keys():
            entry = self.any(key)
            if entry is not None:
                yield key, entry

    def set_deadline(self, key: str, entry: Entry, deadline: float) -> None:
        """Sets when the entry expires, `NEVER` included."""
        entry.deadline = deadline
        if deadline < entry.filed:
            entry.filed = deadline
            heapq.heappush(self._heap, (deadline, key))
            if len(self._heap) > 2 * len(self._entries) + 1024:
                self._rebuild()

    def _rebuild(self) -> None:
        self._heap = []
        for key, entry in self._entries.items():
            entry.filed = entry.deadline
            if entry.deadline != NEVER:
                self._heap.append((entry.deadline, key))
        heapq.heapify(self._heap)

    def expire_due(self) -> int:
        """Removes expired entries, a bounded number at a time; returns how many places it saw."""
        now = self._now()
        seen = 0
        while self._heap and self._heap[0][0] <= now and seen < _EXPIRE_AT_ONCE:
            seen += 1
            filed, key = heapq.heappop(self._heap)
            entry = self._entries.get(key)
            if entry is None or entry.filed != filed:
                continue
            entry.filed = NEVER
            if entry.deadline <= now:
                self._expire(key)
            elif entry.deadline != NEVER:
                self.set_deadline(key, entry, entry.deadline)
        return seen

    def _expire(self, key: str) -> None:
        del self._entries[key]
        self._on_expired(key)


def check_text(text: str) -> None:
    """Refuses text that no real store could take: half a surrogate pair.

    Raises:
        UnicodeEncodeError: a ValueError; nothing was changed.
    """
    if not text.isascii():
        text.encode()


def check_owner(owner: str) -> None:
    """Refuses a name that no instance can have.

    Raises:
        ValueError: it is empty, not text, or longer than 255 bytes.
    """
    if not 0 < len(owner.encode()) < 256:
        raise ValueError("an owner has a name of at most 255 bytes")


def check_epoch(epoch: int) -> None:
    """Refuses an epoch that no claim can have given.

    Raises:
        ValueError: it is less than 1.
    """
    if epoch < 1:
        raise ValueError("epochs begin with 1")


def _score(item: tuple[float, str]) -> float:
    return item[0]
