"""Topics and partitions of the embedded bus: what is kept, where a group stands, who is woken.

Policy. A partition keeps what some group has not consumed yet, and beyond that its last
`keep_records`, from which a new group begins. A group without any member only holds records back as
long as there is room: a partition that has reached `max_records` forgets them for it, and refuses
new records only on behalf of groups that are being consumed.
"""

import zlib
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from parley.backing.bus.base import Record

_TRIM_STEP = 256

_logger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BusLimits:
    """Bounds of the embedded bus; counts of records are per partition.

    Attributes:
        partitions: number of partitions of a new topic.
        keep_records: consumed records that stay for groups to come.
        max_records: records after which `publish` raises `BusFull`.
        max_value_bytes: largest value (Kafka: `message.max.bytes`).
        batch_records: most records that a handler gets at once.
        attempts: how often a record is handed over before it goes to the dead letter topic.
        retry_s: pause before the second attempt; doubles up to `max_retry_s`.
        max_retry_s: longest pause between attempts.
        drain_s: how long closing waits for handlers.
    """

    partitions: int = 8
    keep_records: int = 1000
    max_records: int = 50_000
    max_value_bytes: int = 1024 * 1024
    batch_records: int = 500
    attempts: int = 5
    retry_s: float = 0.1
    max_retry_s: float = 5.0
    drain_s: float = 5.0


class Member(Protocol):
    """What a partition knows of a consumer."""

    in_flight: set[int]

    def wake(self) -> None:
        """Tells that there may be something to read."""
        ...


class Partition:
    """Records in the order of their offsets; offsets may have gaps."""

    __slots__ = ("index", "listeners", "next_offset", "records", "trim_at")

    def __init__(self, index: int) -> None:
        self.index = index
        self.records: list[Record] = []
        self.next_offset = 0
        self.trim_at = _TRIM_STEP
        self.listeners: list[Member] = []

    def position(self, offset: int) -> int:
        """Returns the place in `records` of the first one not before an offset."""
        records = self.records
        if offset >= self.next_offset:
            return len(records)
        # Where there are no gaps behind it, a record's place follows from the end.
        place = len(records) - (self.next_offset - offset)
        if place >= 0 and records[place].offset == offset:
            return place
        return bisect_left(records, offset, key=_offset)

    def read(self, offset: int, limit: int) -> list[Record]:
        """Returns the records from an offset on."""
        start = self.position(offset)
        return self.records[start : start + limit]

    def append(self, record: Record) -> None:
        """Adds a record whose offset is `next_offset`."""
        self.records.append(record)
        self.next_offset += 1

    def trim(self, floor: int, keep: int) -> None:
        """Forgets what lies before the floor (an offset), except the last `keep` records."""
        cut = min(self.position(floor), len(self.records) - keep)
        if cut > 0:
            del self.records[:cut]


@dataclass(slots=True, eq=False)
class Group:
    """A consumer group of one topic: committed offsets, members, and who owns which partition."""

    name: str
    committed: list[int]
    members: list[Member] = field(default_factory=list)
    owners: list[Member | None] = field(default_factory=list)
    is_unsettled: bool = False

    def assign(self) -> bool:
        """Divides the partitions among the members; True when an owner changed.

        A partition stays with its owner while that one's handler works on it, so that records of a
        key never overtake each other.
        """
        self.is_unsettled = False
        has_changed = False
        for index, owner in enumerate(self.owners):
            wanted = self.members[index % len(self.members)] if self.members else None
            if owner is wanted:
                continue
            if owner is not None and index in owner.in_flight:
                self.is_unsettled = True
                continue
            self.owners[index] = wanted
            has_changed = True
        return has_changed


class Topic:
    """All partitions and groups of one topic."""

    def __init__(self, name: str, limits: BusLimits) -> None:
        self.name = name
        self._limits = limits
        self.partitions = [Partition(index) for index in range(limits.partitions)]
        self.groups: dict[str, Group] = {}
        self.tails: list[Member] = []

    def partition(self, index: int) -> Partition:
        """Returns a partition by its number; a journal may know more than the settings want."""
        while index >= len(self.partitions):
            self.partitions.append(Partition(len(self.partitions)))
            for group in self.groups.values():
                group.committed.append(0)
                group.owners.append(None)
        return self.partitions[index]

    def partition_of(self, key: str) -> Partition:
        """Returns the partition that a key belongs to; the same in every run."""
        return self.partitions[zlib.crc32(key.encode()) % len(self.partitions)]

    def group(self, name: str) -> Group:
        """Returns a group; a new one stands before the oldest record kept."""
        group = self.groups.get(name)
        if group is None:
            count = len(self.partitions)
            group = Group(name, committed=[0] * count, owners=[None] * count)
            self.groups[name] = group
        return group

    def settle(self) -> None:
        """Assigns partitions anew and tells every partition whom to wake."""
        for group in self.groups.values():
            group.assign()
        for partition in self.partitions:
            owners = [group.owners[partition.index] for group in self.groups.values()]
            partition.listeners = [owner for owner in owners if owner is not None] + self.tails
            for listener in partition.listeners:
                listener.wake()

    def has_room(self, partition: Partition) -> bool:
        """Trims a partition that has grown; False when it may not take another record."""
        limits = self._limits
        partition.trim(self._floor(partition.index, self.groups.values()), limits.keep_records)
        if len(partition.records) >= limits.max_records:
            served = [group for group in self.groups.values() if group.members]
            partition.trim(self._floor(partition.index, served), limits.keep_records)
            _logger.warning("bus partition is full", topic=self.name, partition=partition.index)
        partition.trim_at = min(len(partition.records) + _TRIM_STEP, limits.max_records)
        return len(partition.records) < limits.max_records

    def _floor(self, index: int, groups: Iterable[Group]) -> int:
        floors = [group.committed[index] for group in groups]
        return min(floors, default=self.partitions[index].next_offset)


def _offset(record: Record) -> int:
    return record.offset
