"""The bus on Kafka.

Policy. `publish` never waits for the brokers: a record goes into a bounded queue that is kept in
the data folder, and from there to the brokers. While they are away the queue fills; when they are
back it is sent in order; a full one refuses. Starting does not need the brokers either, since calls
must not: `start` waits a moment for the first contact, so that a wrong address shows as an error
and as late readiness, and then goes on without.

`publish_and_wait` returns when all in-sync replicas have the record. A record that did not get
there within the time-out is taken back; one that was already under way may still arrive.
"""

import asyncio
import contextlib
from typing import cast

import structlog

from parley.backing.bus import kafka_private
from parley.backing.bus.base import DEAD_LETTER_SUFFIX, Handler, Record, Subscription
from parley.backing.bus.consumer_lag import TAIL, ConsumerLag
from parley.backing.bus.kafka_consumer import KafkaConsumer
from parley.backing.bus.kafka_group import GroupConsumer
from parley.backing.bus.kafka_options import KafkaOptions
from parley.backing.bus.kafka_publisher import KafkaPublisher
from parley.backing.bus.kafka_tail import TailConsumer
from parley.backing.bus.publish_queue import Entry, PublishQueue
from parley.backing.errors import BackingUnavailable
from parley.backing.journal import Journal
from parley.service.clock import Clock
from parley.service.metrics import Metrics
from parley.service.tasks import TaskOwner

_logger = structlog.stdlib.get_logger(__name__)


class KafkaBus:
    """Implements `Bus` on a Kafka cluster.

    Args:
        clock: for the records' timestamps.
        options: address, bounds and pauses.
        journal: keeps what waits for the brokers; None keeps it in memory only.
        metrics: where to show the connection and the queue.
    """

    def __init__(
        self,
        clock: Clock,
        options: KafkaOptions,
        journal: Journal | None,
        metrics: Metrics,
    ) -> None:
        self._clock = clock
        self._options = options
        self._queue = PublishQueue(journal, options.queue_records, options.queue_bytes)
        self._publisher = KafkaPublisher(options, self._queue)
        self._tasks = TaskOwner()
        self._consumers: list[KafkaConsumer] = []
        self._last_ms = 0
        self._is_closed = False
        self._lag = ConsumerLag(metrics)
        self._show(metrics)

    @property
    def is_connected(self) -> bool:
        """True while the brokers can be reached, as far as is known."""
        return self._publisher.is_connected

    @property
    def queued(self) -> int:
        """Records that wait for the brokers."""
        return len(self._queue)

    @property
    def oldest_s(self) -> float:
        """How long the first of them has waited, in seconds."""
        oldest_ms = self._queue.oldest_ms()
        return 0.0 if oldest_ms is None else max(0.0, self._clock.wall_s() - oldest_ms / 1000)

    async def start(self) -> None:
        """Loads what an earlier run left and connects; goes on without the brokers if need be.

        Raises:
            FolderInUse: another process uses the data folder.
            StartError: the installed aiokafka is another one than this was made for.
        """
        kafka_private.check()
        self._publisher.start(self._queue.open())
        try:
            async with asyncio.timeout(self._options.start_s):
                await self._publisher.reached.wait()
        except TimeoutError:
            _logger.error(
                "bus cannot be reached; events wait in the data folder",
                servers=",".join(self._options.servers),
            )

    async def aclose(self) -> None:
        """Sends what waits and lets consumers catch up (bounded), then releases everything."""
        await self._flush()
        tasks = [task for consumer in self._consumers if (task := consumer.finish()) is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._options.drain_s)
            if late:
                _logger.warning("bus closed before its consumers were done", consumers=len(late))
            await asyncio.gather(*(consumer.aclose() for consumer in self._consumers))
            await self._flush()
        self._is_closed = True
        await self._tasks.aclose()
        await self._publisher.aclose()
        if len(self._queue):
            _logger.warning("bus closed with records unsent", records=len(self._queue))
        await self._queue.aclose()

    def publish(self, topic: str, key: str, value: bytes) -> None:
        """Queues a record and returns at once."""
        self._add(topic, key, value, is_kept=True)

    async def publish_and_wait(self, topic: str, key: str, value: bytes) -> None:
        """Publishes and returns when the record is durable.

        Raises:
            BackingUnavailable: it is not within the time-out; it may still become so.
            BusFull: too much waits already.
        """
        entry = self._add(topic, key, value, is_kept=False)
        waiter = asyncio.get_running_loop().create_future()
        entry.waiter = waiter
        try:
            async with asyncio.timeout(self._options.publish_s):
                await waiter
        except TimeoutError:
            raise BackingUnavailable("the bus did not take the record in time") from None
        finally:
            if not waiter.done() or waiter.cancelled():
                self._queue.withdraw(entry)

    def subscribe(self, topic: str, group: str, handler: Handler) -> Subscription:
        """Consumes a topic as a member of a group."""
        self._check_open()
        full_name = self._options.full_name(topic)
        return self._run(
            GroupConsumer(
                self._options,
                full_name,
                handler,
                self._publisher.ensure_topic,
                self._options.full_name(group),
                self._bury,
            ),
            group,
        )

    def tail(self, topic: str, handler: Handler) -> Subscription:
        """Hands over every record from now on."""
        self._check_open()
        full_name = self._options.full_name(topic)
        # Later records of ours get later stamps, whatever the resolution of the clock.
        since_ms = self._last_ms = self._stamp_ms() + 1
        return self._run(
            TailConsumer(self._options, full_name, handler, self._publisher.ensure_topic, since_ms),
            TAIL,
        )

    # --- inside ----------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._is_closed:
            raise BackingUnavailable("the bus is closed")

    def _stamp_ms(self) -> int:
        return max(int(self._clock.wall_s() * 1000), self._last_ms)

    def _add(self, topic: str, key: str, value: bytes, *, is_kept: bool) -> Entry:
        self._check_open()
        if len(value) > self._options.max_value_bytes:
            raise ValueError("the record's value is too large for the bus")
        self._options.full_name(topic)
        entry = self._queue.add(topic, key, value, self._stamp_ms(), is_kept=is_kept)
        self._publisher.submit(entry)
        return entry

    async def _bury(self, record: Record) -> None:
        """Moves a record to the dead letter topic, durably."""
        if record.topic.endswith(DEAD_LETTER_SUFFIX):
            _logger.error("dead letter dropped", topic=record.topic, offset=record.offset)
            return
        await self.publish_and_wait(record.topic + DEAD_LETTER_SUFFIX, record.key, record.value)
        _logger.error("record became a dead letter", topic=record.topic, offset=record.offset)

    def _run(self, consumer: KafkaConsumer, group: str) -> Subscription:
        task = self._tasks.spawn(consumer.run(), name=f"bus {consumer.topic}")
        consumer.attach(task)
        self._consumers.append(consumer)
        self._lag.add(consumer.name, group, consumer)
        task.add_done_callback(lambda _: self._forget(consumer))
        return cast(Subscription, consumer)

    def _forget(self, consumer: KafkaConsumer) -> None:
        if consumer in self._consumers:
            self._consumers.remove(consumer)
        self._lag.remove(consumer)

    async def _flush(self) -> None:
        """Waits, bounded, until the brokers have everything; not at all while they are away."""
        if not self._publisher.is_connected:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.drain_s):
                await self._queue.emptied.wait()

    def _show(self, metrics: Metrics) -> None:
        connected = metrics.gauge("bus_connected", "1 while the bus can be reached.")
        connected.read(lambda: float(self.is_connected))
        queued = metrics.gauge("bus_queue_records", "Records that wait for the bus.")
        queued.read(lambda: float(len(self._queue)))
        size = metrics.gauge("bus_queue_bytes", "Bytes that wait for the bus.")
        size.read(lambda: float(self._queue.size))
        publisher = self._publisher
        metrics.read("bus_records", "Records sent to the bus.", lambda: publisher.records)
        metrics.read("bus_batches", "Batches in which they left.", lambda: publisher.batches)
        oldest = metrics.gauge("bus_queue_oldest_seconds", "How long the first of them has waited.")
        oldest.read(lambda: self.oldest_s)
