"""Where each record that waits to be sent stands: one lane per partition, one batch in flight each.

Only one batch of a partition is under way at a time, so a batch that must be sent again is never
overtaken by the one behind it.
"""

import zlib
from collections import deque
from collections.abc import Iterator, Sequence

from parley.backing.bus.publish_queue import Entry


class Lane:
    """Records of one partition.

    Attributes:
        topic: as the brokers know it.
        partition: its number.
        waiting: records to be sent, in order.
        in_flight: the batch that was sent and is not acknowledged; empty when there is none.
        alone: how many records are to be sent one by one, since one of them is refused.
    """

    __slots__ = ("alone", "in_flight", "partition", "topic", "waiting")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.waiting: deque[Entry] = deque()
        self.in_flight: Sequence[Entry] = ()
        self.alone = 0

    def take_back(self) -> None:
        """Puts the batch in flight back to where it came from."""
        self.waiting.extendleft(reversed(self.in_flight))
        self.in_flight = ()


class TopicLanes:
    """The lanes of a topic; before its partitions are known all records stand in one line.

    Attributes:
        name: as its users know it.
        full_name: as the brokers know it.
        retry_at: loop time before which its partitions are not asked for again.
        is_asked: somebody asks for the partitions right now.
        is_ready: the present producer knows the partitions.
    """

    def __init__(self, name: str, full_name: str) -> None:
        self.name = name
        self.full_name = full_name
        self.retry_at = 0.0
        self.is_asked = False
        self.is_ready = False
        self._line: deque[Entry] = deque()
        self._lanes: list[Lane] = []

    @property
    def is_blocked(self) -> bool:
        """True when records wait for the partitions to become known."""
        if self.is_ready:
            return False
        return bool(self._line) or any(lane.waiting for lane in self._lanes)

    def add(self, entry: Entry) -> None:
        """Puts a record behind those of its key."""
        lanes = self._lanes
        if lanes:
            lanes[zlib.crc32(entry.key.encode()) % len(lanes)].waiting.append(entry)
        else:
            self._line.append(entry)

    def open(self, partitions: int) -> None:
        """Makes the number of partitions known; it may be another than before."""
        if partitions != len(self._lanes):
            entries = sorted(self._all(), key=_sequence)
            self._lanes = [Lane(self.full_name, index) for index in range(partitions)]
            self._line.clear()
            for entry in entries:
                self.add(entry)
        self.is_ready = True

    def sendable(self) -> Iterator[Lane]:
        """Yields the lanes that may send a batch."""
        for lane in self._lanes if self.is_ready else ():
            if lane.waiting and not lane.in_flight:
                yield lane

    def take_back(self) -> None:
        """Puts all batches in flight back: their producer is gone."""
        self.is_ready = False
        for lane in self._lanes:
            lane.take_back()

    def _all(self) -> Iterator[Entry]:
        yield from self._line
        for lane in self._lanes:
            yield from lane.in_flight
            yield from lane.waiting


def _sequence(entry: Entry) -> int:
    return entry.sequence
