"""Brings queued records to the brokers, in order per key, with retries until acknowledged.

Policy. A produce request costs the same whatever it carries, so at most one per `linger_s` is sent,
with all that was published meanwhile; after a silence a record leaves at once. aiokafka repeats a
request by itself under its producer id, without doubling it. A producer that failed, or got nothing
acknowledged for `renew_s`, is replaced: what was in flight is sent again, so a record may then
come twice, in order.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog

from parley.backing.bus.kafka_client import (
    REFUSALS,
    TROUBLE,
    KafkaError,
    connected_producer,
    make_topic,
    retire_producer,
)
from parley.backing.bus.kafka_lanes import Lane, TopicLanes
from parley.backing.bus.kafka_options import KafkaOptions
from parley.backing.bus.publish_queue import Entry, PublishQueue
from parley.service.tasks import TaskOwner

_FIRST_PAUSE_S = 0.1
_CHECK_S = 1.0
_STALLED_S = 2.0

_logger = structlog.stdlib.get_logger(__name__)


class KafkaPublisher:
    """Sends what the queue holds for as long as it runs.

    Attributes:
        reached: set at the first contact with the cluster.
        records: sent so far.
        batches: in which they left, one per partition and request.
    """

    def __init__(self, options: KafkaOptions, queue: PublishQueue) -> None:
        self._options = options
        self._queue = queue
        self._topics: dict[str, TopicLanes] = {}
        self._made: set[str] = set()
        self._tasks = TaskOwner()
        self._producer: Any = None
        self._failure: BaseException | None = None
        self._signal = asyncio.Event()
        self._armed: asyncio.TimerHandle | None = None
        self._checking: asyncio.TimerHandle | None = None
        self._sent_at = 0.0
        self._oldest_at: dict[Lane, float] = {}
        self._unsent_bytes = 0
        self._is_connected = False
        self.reached = asyncio.Event()
        self.records = 0
        self.batches = 0

    @property
    def is_connected(self) -> bool:
        """True while records are acknowledged in time, as far as any are sent."""
        now = asyncio.get_running_loop().time()
        oldest = min(self._oldest_at.values(), default=now)
        return self._is_connected and now - oldest < _STALLED_S

    def start(self, entries: Sequence[Entry]) -> None:
        """Begins to connect and to send; the entries are what an earlier run left."""
        for entry in entries:
            self.submit(entry)
        self._tasks.spawn(self._run(), name="bus publisher")

    async def aclose(self) -> None:
        """Stops; what was not acknowledged stays in the queue."""
        self._disarm()
        await self._tasks.aclose()

    def submit(self, entry: Entry) -> None:
        """Takes a record of the queue."""
        topic = self._topics.get(entry.topic)
        if topic is None:
            full_name = self._options.full_name(entry.topic)
            topic = self._topics[entry.topic] = TopicLanes(entry.topic, full_name)
        topic.add(entry)
        self._unsent_bytes += entry.size
        self._arm()

    async def ensure_topic(self, full_name: str) -> None:
        """Makes a topic unless it is known to be there.

        Raises:
            KafkaError: the cluster cannot make it now.
            TimeoutError: the cluster does not answer.
        """
        if full_name not in self._made:
            await make_topic(self._options, full_name)
            self._made.add(full_name)

    # --- when to send ----------------------------------------------------------------------

    def _arm(self) -> None:
        if self._unsent_bytes >= self._options.batch_bytes:
            self._signal.set()
        elif self._armed is None:
            loop = asyncio.get_running_loop()
            due = max(loop.time(), self._sent_at + self._options.linger_s)
            self._armed = loop.call_at(due, self._signal.set)

    def _arm_check(self) -> None:
        """Looks again later at what is not acknowledged, or not known, by now."""
        if self._oldest_at or any(topic.is_blocked for topic in self._topics.values()):
            loop = asyncio.get_running_loop()
            self._checking = loop.call_later(_CHECK_S, self._signal.set)

    def _disarm(self) -> None:
        for timer in (self._armed, self._checking):
            if timer is not None:
                timer.cancel()
        self._armed = self._checking = None

    # --- the life of a producer ------------------------------------------------------------

    async def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                self._producer = await connected_producer(self._options)
                self._connected()
                pause_s = _FIRST_PAUSE_S
                await self._pump()
            except TROUBLE as error:
                self._disconnected(error)
            except Exception as error:
                _logger.exception("bus publisher failed")
                self._disconnected(error)
            finally:
                await self._retire()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, self._options.retry_connect_s)

    def _connected(self) -> None:
        _logger.info("bus connected", waiting=len(self._queue))
        self._failure = None
        self._is_connected = True
        self.reached.set()
        self._signal.set()

    def _disconnected(self, error: BaseException) -> None:
        if self._is_connected or not self.reached.is_set():
            _logger.warning("bus is away", reason=repr(error), waiting=len(self._queue))
        self._is_connected = False

    async def _retire(self) -> None:
        producer, self._producer = self._producer, None
        for topic in self._topics.values():
            topic.take_back()
        self._oldest_at.clear()
        if producer is not None:
            await retire_producer(producer)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self._signal.set()

    # --- sending ---------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Sends until the producer fails, by whose error it ends."""
        loop = asyncio.get_running_loop()
        while True:
            await self._signal.wait()
            self._signal.clear()
            self._disarm()
            now = loop.time()
            self._check(now)
            self._unsent_bytes = 0
            for topic in list(self._topics.values()):
                if topic.is_blocked and not topic.is_asked and topic.retry_at <= now:
                    topic.is_asked = True
                    self._tasks.spawn(self._open(topic), name=f"bus topic {topic.name}")
                for lane in topic.sendable():
                    await self._send(lane)
                    self._sent_at = now
            self._arm_check()

    def _check(self, now: float) -> None:
        if self._failure is not None:
            raise self._failure
        oldest = min(self._oldest_at.values(), default=now)
        if now - oldest > self._options.renew_s:
            raise KafkaError("no record was acknowledged for a long time")

    async def _open(self, topic: TopicLanes) -> None:
        """Finds out about a topic's partitions; makes it when it is missing."""
        try:
            await self.ensure_topic(topic.full_name)
            producer = self._producer
            if producer is None:
                return
            async with asyncio.timeout(self._options.connect_s):
                partitions = await producer.partitions_for(topic.full_name)
            if producer is self._producer:
                topic.open(len(partitions))
        except TROUBLE as error:
            # A topic that somebody has deleted must be made again.
            self._made.discard(topic.full_name)
            _logger.warning("bus topic is not ready", topic=topic.name, reason=repr(error))
            topic.retry_at = asyncio.get_running_loop().time() + _CHECK_S
        finally:
            topic.is_asked = False
            self._signal.set()

    async def _send(self, lane: Lane) -> None:
        batch = self._producer.create_batch()
        entries: list[Entry] = []
        waiting = lane.waiting
        while waiting:
            entry = waiting[0]
            if not entry.is_dropped:
                if (
                    batch.append(
                        key=entry.key.encode(), value=entry.value, timestamp=entry.stamp_ms
                    )
                    is None
                ):
                    break
                entries.append(entry)
            waiting.popleft()
            if lane.alone and entries:
                lane.alone -= 1
                break
        if not entries:
            return
        batch.close()
        lane.in_flight = entries
        self.records += len(entries)
        self.batches += 1
        self._oldest_at[lane] = asyncio.get_running_loop().time()
        sent = await self._producer.send_batch(batch, lane.topic, partition=lane.partition)
        sent.add_done_callback(partial(self._settled, lane, entries))

    def _settled(
        self, lane: Lane, entries: Sequence[Entry], sent: "asyncio.Future[object]"
    ) -> None:
        error = None if sent.cancelled() else sent.exception()
        if lane.in_flight is not entries:
            return  # sent again meanwhile
        if sent.cancelled():
            self._fail(KafkaError("the producer gave a batch up"))
            return
        if error is None:
            lane.in_flight = ()
            self._oldest_at.pop(lane, None)
            self._queue.done(entries)
            if lane.waiting:
                self._arm()
            return
        if isinstance(error, REFUSALS):
            self._single_out(lane, entries, error)
        self._fail(error)

    def _single_out(self, lane: Lane, entries: Sequence[Entry], error: BaseException) -> None:
        """One record that the brokers refuse must not hold the others up."""
        if len(entries) > 1:
            lane.alone = len(entries)
            return
        lane.in_flight = ()
        _logger.error("bus refuses a record", topic=lane.topic, reason=repr(error))
        self._queue.refuse(entries[0], repr(error))
