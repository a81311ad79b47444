"""A tail on Kafka: follows all partitions of a topic from a moment on, without a group.

Where "from now on" begins is found by the records' timestamps, since the connection is made after
`tail` has returned: by each partition's first record that is not older than the call.
"""

import asyncio
from typing import Any

from parley.backing.bus.base import Handler, Record
from parley.backing.bus.kafka_client import (
    KafkaError,
    TopicPartition,
    new_consumer,
)
from parley.backing.bus.kafka_consumer import EnsureTopic, KafkaConsumer
from parley.backing.bus.kafka_options import KafkaOptions
from parley.backing.bus.kafka_private import partitions_of


class TailConsumer(KafkaConsumer):
    """Hears every record once while it lives; nothing is committed."""

    def __init__(
        self,
        options: KafkaOptions,
        topic: str,
        handler: Handler,
        ensure_topic: EnsureTopic,
        since_ms: int,
    ) -> None:
        super().__init__(options, topic, handler, ensure_topic)
        self._since_ms = since_ms
        self._positions: dict[int, int] = {}

    @property
    def lag(self) -> int:
        """Records waiting for this consumer now, as far as it was told by the brokers."""
        consumer = self._consumer
        if consumer is None:
            return 0
        lag = 0
        for partition in consumer.assignment():
            end = consumer.highwater(partition)
            lag += max(0, (end or 0) - self._positions[partition.partition])
        return lag

    def _make(self) -> Any:
        return new_consumer(self._options, None)

    async def _begin(self, consumer: Any) -> None:
        numbers = await partitions_of(consumer, self.topic)
        partitions = [TopicPartition(self.topic, number) for number in sorted(numbers)]
        await self._place(consumer, [each for each in partitions if each[1] not in self._positions])
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, self._positions[partition.partition])

    async def _place(self, consumer: Any, partitions: list[Any]) -> None:
        if not partitions:
            return
        if self._positions:
            # These were added while we were away: nothing in them is from before.
            self._positions |= {partition.partition: 0 for partition in partitions}
            return
        # In this order: a record that comes in between lies behind the end.
        ends = await consumer.end_offsets(partitions)
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, self._since_ms))
        for partition in partitions:
            first = found.get(partition)
            offset = ends[partition] if first is None else min(first.offset, ends[partition])
            self._positions[partition.partition] = offset

    def _is_placed(self, consumer: Any) -> bool:
        return bool(consumer.assignment())

    async def _deliver(self, consumer: Any, batch: list[Record]) -> None:
        for record in batch:
            self._positions[record.partition] = record.offset + 1
        await self._handle(batch)

    async def _between(self, consumer: Any) -> None:
        known = consumer.partitions_for_topic(self.topic)
        if known is not None and len(known) > len(self._positions):
            raise KafkaError(f"the topic {self.name} has more partitions now")

    async def _end(self, consumer: Any) -> None:
        await asyncio.sleep(0)
