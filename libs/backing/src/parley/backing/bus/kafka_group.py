"""A member of a consumer group on Kafka: rebalance, commit, retry with back-off, dead letters.

Policy. Offsets are committed after the handler returned, at most every `commit_s`, when partitions
are given up, and at the end. When the group rebalances, the batch in the handler's hands is waited
for, bounded, and committed before the partitions go; a handler that takes longer is cancelled and
its batch, never committed by us, goes to the next owner. Retrying stops at once: what fails here is
tried by the next owner from the first attempt on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from parley.backing.bus.base import Handler, Record
from parley.backing.bus.kafka_client import (
    NO_MEMBER,
    NOT_ASSIGNED,
    TROUBLE,
    ConsumerRebalanceListener,
    TopicPartition,
    commit,
    new_consumer,
)
from parley.backing.bus.kafka_consumer import EnsureTopic, KafkaConsumer
from parley.backing.bus.kafka_options import KafkaOptions
from parley.backing.bus.kafka_private import partitions_of
from parley.backing.errors import BackingError

_logger = structlog.stdlib.get_logger(__name__)

Bury = Callable[[Record], Awaitable[None]]


class GroupConsumer(KafkaConsumer):
    """Handles the partitions that the group gives it."""

    def __init__(
        self,
        options: KafkaOptions,
        topic: str,
        handler: Handler,
        ensure_topic: EnsureTopic,
        group: str,
        bury: Bury,
    ) -> None:
        super().__init__(options, topic, handler, ensure_topic)
        self._group = group
        self._bury = bury
        # Held while records are in the handler's hands or are being committed.
        self._busy = asyncio.Lock()
        self._generation = 0
        self._is_revoked = True
        self._handled: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._commit_at = 0.0

    @property
    def lag(self) -> int:
        """Records that were not handled and committed, as far as it was told by the brokers."""
        consumer = self._consumer
        if consumer is None or self._is_revoked:
            return 0
        lag = 0
        for partition in consumer.assignment():
            end = consumer.highwater(partition)
            if end is not None:
                lag += max(0, end - self._committed.get(partition.partition, end))
        return lag

    def _make(self) -> Any:
        return new_consumer(self._options, self._group)

    async def _begin(self, consumer: Any) -> None:
        # Who joins without having heard of the topic, a new one say, is content with no partitions.
        await partitions_of(consumer, self.topic)
        consumer.subscribe([self.topic], listener=_Listener(self, consumer))

    def _is_placed(self, consumer: Any) -> bool:
        return not self._is_revoked

    # --- the group -------------------------------------------------------------------------

    async def revoke(self, consumer: Any) -> None:
        """Gives all partitions up: ends what is under way and commits it."""
        self._is_revoked = True
        self._interrupt.set()
        try:
            async with asyncio.timeout(self._options.drain_s):
                await self._busy.acquire()
        except TimeoutError:
            self._generation += 1
            self._forget()
            self._nudge()
            return
        try:
            await self._commit(consumer)
        finally:
            self._generation += 1
            self._forget()
            self._busy.release()

    def assign(self) -> None:
        """Takes the partitions that the group gave it."""
        self._is_revoked = False

    def _forget(self) -> None:
        self._handled.clear()
        self._committed.clear()
        self._ends = None

    # --- handing over ----------------------------------------------------------------------

    async def _deliver(self, consumer: Any, batch: list[Record]) -> None:
        # What is dropped here was not committed: it is read again by whoever gets the partition.
        if self._is_revoked:
            return
        generation = self._generation
        for record in batch:
            self._committed.setdefault(record.partition, record.offset)
        async with self._busy:
            if generation == self._generation and not self._is_revoked:
                await self._hand_over(batch, generation)

    async def _hand_over(self, batch: list[Record], generation: int) -> None:
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        if await self._handle(batch):
            self._note(batch, generation)
            if loop.time() - started_at > self._options.session_s:
                # The process may have been frozen: the commit tells whether we are still a member.
                self._commit_at = 0.0
            return
        failures = 1 if len(batch) == 1 else 0
        for record in batch:
            if not await self._insist(record, failures):
                self._abandon(generation)
                return
            self._note([record], generation)

    def _note(self, handled: list[Record], generation: int) -> None:
        if generation != self._generation:
            return
        if not self._handled:
            now = asyncio.get_running_loop().time()
            self._commit_at = now + self._options.commit_s
        for record in handled:
            self._handled[record.partition] = record.offset + 1

    def _abandon(self, generation: int) -> None:
        """Leaves records undone: this member must not read on behind them."""
        if generation == self._generation:
            self._is_revoked = True

    async def _insist(self, record: Record, failures: int) -> bool:
        """Tries one record until it is handled or buried; False when it must be given up."""
        while True:
            if 0 < failures < self._options.attempts:
                delay_s = self._options.retry_s * 2 ** (failures - 1)
                await self._pause(min(delay_s, self._options.max_retry_s))
            if self._is_closing or self._is_revoked:
                return False
            if failures >= self._options.attempts:
                if await self._put_aside(record):
                    return True
                await self._pause(self._options.retry_s)
            elif await self._handle((record,)):
                return True
            failures += 1

    async def _pause(self, seconds: float) -> None:
        self._interrupt.clear()
        if self._is_closing or self._is_revoked:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._interrupt.wait()
        except TimeoutError:
            return

    async def _put_aside(self, record: Record) -> bool:
        try:
            await self._bury(record)
        except BackingError as error:
            _logger.warning("dead letter waits for the bus", reason=str(error))
            return False
        return True

    # --- commits ---------------------------------------------------------------------------

    def _poll_s(self) -> float:
        normal_s = super()._poll_s()
        if not self._handled:
            return normal_s
        left_s = self._commit_at - asyncio.get_running_loop().time()
        return min(normal_s, max(0.001, left_s))

    async def _between(self, consumer: Any) -> None:
        if self._handled and asyncio.get_running_loop().time() >= self._commit_at:
            async with self._busy:
                await self._commit(consumer)

    async def _end(self, consumer: Any) -> None:
        async with self._busy:
            await self._commit(consumer)
        self._generation += 1
        self._is_revoked = True
        self._forget()

    async def _commit(self, consumer: Any) -> None:
        handled, self._handled = self._handled, {}
        if not handled:
            return
        offsets = {TopicPartition(self.topic, number): end for number, end in handled.items()}
        generation = self._generation
        try:
            await commit(consumer, offsets, self._options.request_s)
        except NO_MEMBER as error:
            _logger.warning("bus partitions were lost", topic=self.name, reason=repr(error))
            # The library joins again; until then nothing that it still has is ours to handle.
            if generation == self._generation:
                self._is_revoked = True
        except NOT_ASSIGNED as error:
            _logger.warning("bus partitions were lost", topic=self.name, reason=repr(error))
        except TROUBLE as error:
            _logger.warning("bus offsets not committed", topic=self.name, reason=repr(error))
            self._handled = handled | self._handled
            self._commit_at = asyncio.get_running_loop().time() + self._options.retry_connect_s
        else:
            self._committed |= handled


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """Told by the library when the group deals its partitions anew."""

    def __init__(self, member: GroupConsumer, consumer: Any) -> None:
        self._member = member
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """All partitions are given up; what is kept is dealt again."""
        if revoked:
            await self._member.revoke(self._consumer)

    async def on_partitions_assigned(self, assigned: set[Any]) -> None:
        """These are ours now."""
        self._member.assign()
