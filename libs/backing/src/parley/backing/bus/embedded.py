"""The embedded bus: an in-process partitioned log, kept by a journal.

`publish` appends to the log and returns; consumers wake in the next turn of the loop and get all
that was published in this one as one batch. Records and committed offsets are on disk at the end of
the turn, so what was published and not consumed is delivered after a restart.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from typing import Any

import msgspec
import structlog

from parley.backing.bus.base import DEAD_LETTER_SUFFIX, Handler, Record
from parley.backing.bus.consumer import Consumer, GroupConsumer, TailConsumer
from parley.backing.bus.consumer_lag import TAIL, ConsumerLag
from parley.backing.bus.log import BusLimits, Group, Partition, Topic
from parley.backing.errors import BackingUnavailable, BusFull
from parley.backing.journal import Journal
from parley.service.clock import Clock
from parley.service.metrics import Metrics
from parley.service.tasks import TaskOwner

# First items of the journal's records; on disk, so their meaning never changes.
_RECORD, _COMMIT, _END = 0, 1, 2

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode
_logger = structlog.stdlib.get_logger(__name__)

DEFAULT_LIMITS = BusLimits()


class EmbeddedBus:
    """Implements `Bus` for one process.

    Args:
        clock: for the records' timestamps.
        metrics: where to show the consumer lag.
        journal: None keeps everything in memory only.
        limits: bounds and pauses.
        volatile_topics: topics that are not worth the disk.
    """

    def __init__(
        self,
        clock: Clock,
        metrics: Metrics,
        journal: Journal | None = None,
        limits: BusLimits = DEFAULT_LIMITS,
        volatile_topics: Collection[str] = (),
    ) -> None:
        self._wall_s = clock.wall_s
        self._journal = journal
        self._limits = limits
        self._volatile = frozenset(volatile_topics)
        self._topics: dict[str, Topic] = {}
        self._consumers: list[Consumer] = []
        self._lag = ConsumerLag(metrics)
        self._tasks = TaskOwner()
        self._is_closed = False

    async def start(self) -> None:
        """Loads what was kept."""
        if self._journal is None:
            return
        self._journal.load(self._replay)
        for topic in self._topics.values():
            for partition in topic.partitions:
                _put_in_order(partition)
                topic.has_room(partition)
        self._journal.start(self._snapshot)

    async def aclose(self) -> None:
        """Lets consumers catch up (bounded), then refuses new records and releases everything."""
        tasks = [task for consumer in self._consumers if (task := consumer.finish()) is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._limits.drain_s)
            if late:
                _logger.warning("bus closed before its consumers were done", consumers=len(late))
        self._is_closed = True
        await self._tasks.aclose()
        self._consumers.clear()
        if self._journal is not None:
            await self._journal.aclose()

    def publish(self, topic: str, key: str, value: bytes) -> None:
        """Queues a record and returns at once."""
        log = self._topics.get(topic) or self._topic(topic)
        if self._is_closed:
            raise BackingUnavailable("the bus is closed")
        if len(value) > self._limits.max_value_bytes:
            raise ValueError("the record's value is too large for the bus")
        partition = log.partition_of(key)
        if len(partition.records) >= partition.trim_at and not log.has_room(partition):
            raise BusFull(f"topic {topic} is full")
        index = partition.index
        offset = partition.next_offset
        timestamp_s = self._wall_s()
        if self._journal is not None and topic not in self._volatile:
            self._journal.append(_encode((0, topic, index, offset, key, value, timestamp_s)))
        partition.append(Record(topic, index, offset, key, value, timestamp_s))
        for listener in partition.listeners:
            listener.wake()

    async def publish_and_wait(self, topic: str, key: str, value: bytes) -> None:
        """Publishes and returns when the record is on disk."""
        self.publish(topic, key, value)
        if self._journal is not None and topic not in self._volatile:
            await self._journal.flushed()

    def subscribe(self, topic: str, group: str, handler: Handler) -> Consumer:
        """Consumes a topic as a member of a group."""
        log = self._open(topic)
        member = GroupConsumer(
            log, log.group(group), handler, self._limits, self._commit, self._bury
        )
        return self._run(member, topic, group)

    def tail(self, topic: str, handler: Handler) -> Consumer:
        """Hands over every record from now on."""
        return self._run(TailConsumer(self._open(topic), handler, self._limits), topic, TAIL)

    def _open(self, topic: str) -> Topic:
        if self._is_closed:
            raise BackingUnavailable("the bus is closed")
        return self._topics.get(topic) or self._topic(topic)

    def _run(self, consumer: Consumer, topic: str, group: str) -> Consumer:
        task = self._tasks.spawn(consumer.run(), name=f"bus {topic} {group}")
        consumer.attach(task)
        self._consumers.append(consumer)
        self._lag.add(topic, group, consumer)
        task.add_done_callback(lambda _: self._forget(consumer))
        return consumer

    def _forget(self, consumer: Consumer) -> None:
        if consumer in self._consumers:
            self._consumers.remove(consumer)
        self._lag.remove(consumer)

    def _topic(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Topic(name, self._limits)
        return topic

    def _commit(self, topic: Topic, group: Group, partition: int, offset: int) -> None:
        group.committed[partition] = offset
        if self._journal is not None and topic.name not in self._volatile:
            self._journal.append(_encode((_COMMIT, topic.name, group.name, partition, offset)))

    def _bury(self, record: Record) -> bool:
        """Moves a record to the dead letter topic; False when that is full."""
        if record.topic.endswith(DEAD_LETTER_SUFFIX):
            _logger.error("dead letter dropped", topic=record.topic, offset=record.offset)
            return True
        try:
            self.publish(record.topic + DEAD_LETTER_SUFFIX, record.key, record.value)
        except BusFull:
            return False
        _logger.error("record became a dead letter", topic=record.topic, offset=record.offset)
        return True

    # -- journal -----------------------------------------------------------------------------

    def _replay(self, payload: bytes) -> None:
        kind, topic, *rest = _decode(payload)
        _REPLAYERS[kind](self._topic(topic), *rest)

    def _snapshot(self) -> Iterator[bytes]:
        for topic in list(self._topics.values()):
            if topic.name in self._volatile:
                continue
            for partition in topic.partitions:
                yield _encode((_END, topic.name, partition.index, partition.next_offset))
                for record in partition.records.copy():
                    yield _encode((_RECORD, *record))
            for group in list(topic.groups.values()):
                for index, offset in enumerate(group.committed):
                    yield _encode((_COMMIT, topic.name, group.name, index, offset))


def _replay_record(
    topic: Topic, index: int, offset: int, key: str, value: bytes, timestamp_s: float
) -> None:
    partition = topic.partition(index)
    partition.records.append(Record(topic.name, index, offset, key, value, timestamp_s))
    partition.next_offset = max(partition.next_offset, offset + 1)


def _replay_commit(topic: Topic, group: str, index: int, offset: int) -> None:
    partition = topic.partition(index)
    # What was committed was there, though the journal may have lost it.
    partition.next_offset = max(partition.next_offset, offset)
    committed = topic.group(group).committed
    committed[index] = max(committed[index], offset)


def _replay_end(topic: Topic, index: int, next_offset: int) -> None:
    partition = topic.partition(index)
    partition.next_offset = max(partition.next_offset, next_offset)


_REPLAYERS: dict[int, Callable[..., None]] = {
    _RECORD: _replay_record,
    _COMMIT: _replay_commit,
    _END: _replay_end,
}


def _put_in_order(partition: Partition) -> None:
    """Compaction writes records a second time and out of turn: sort them, drop doubles."""
    by_offset = {record.offset: record for record in partition.records}
    partition.records = [by_offset[offset] for offset in sorted(by_offset)]
