"""One consumer of the embedded bus: a task that hands batches to a handler.

A batch that fails is handed over again record by record, so that one bad record neither blocks nor
takes along the others; it is tried with growing pauses and then goes to the dead letter topic.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import structlog

from parley.backing.bus.base import Handler, Record
from parley.backing.bus.log import BusLimits, Group, Topic

_logger = structlog.stdlib.get_logger(__name__)


class Consumer(ABC):
    """What group consumers and tails have in common; implements `Subscription`."""

    def __init__(self, topic: Topic, handler: Handler, limits: BusLimits) -> None:
        self._topic = topic
        self._handler = handler
        self._limits = limits
        self._waiter: asyncio.Future[None] | None = None
        self._is_closing = False
        self._is_finishing = False
        self._task: asyncio.Task[None] | None = None
        self.in_flight: set[int] = set()

    @property
    @abstractmethod
    def lag(self) -> int:
        """Records waiting for this consumer now."""

    def attach(self, task: asyncio.Task[None]) -> None:
        """Names the task that runs `run`."""
        self._task = task

    def wake(self) -> None:
        """Tells that there may be something to read."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def finish(self) -> asyncio.Task[None] | None:
        """Lets the consumer end as soon as nothing is left to read; returns its task."""
        self._is_finishing = True
        self.wake()
        return self._task

    async def aclose(self) -> None:
        """Lets the running handler finish (bounded), then stops."""
        self._is_closing = True
        self.wake()
        task = self._task
        if task is not None and task is not asyncio.current_task():
            _, pending = await asyncio.wait([task], timeout=self._limits.drain_s)
            for late in pending:
                late.cancel()
                await asyncio.wait([late])
        self._left()

    async def run(self) -> None:
        """Reads and hands over until closed."""
        # Where tasks start eagerly, the handler must still not run inside `subscribe`.
        await asyncio.sleep(0)
        while not self._is_closing:
            batch = self._take()
            if batch:
                try:
                    await self._deliver(batch)
                finally:
                    self.in_flight.clear()
                self._after_batch()
            elif self._is_finishing:
                return
            else:
                await self._wait()

    async def _wait(self, timeout_s: float | None = None) -> None:
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        try:
            if timeout_s is None:
                await waiter
            else:
                await asyncio.wait([waiter], timeout=timeout_s)
        finally:
            waiter.cancel()
            self._waiter = None

    async def _handle(self, records: Sequence[Record]) -> bool:
        """Calls the handler; False when it raised."""
        try:
            await self._handler(records)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # The handler awaited something that was cancelled; that is its failure, not our end.
            _logger.warning("bus handler was cancelled inside", topic=self._topic.name)
            return False
        except Exception:
            _logger.exception("bus handler failed", topic=self._topic.name, records=len(records))
            return False
        return True

    @abstractmethod
    def _take(self) -> list[Record]:
        """Returns what to hand over next; empty when there is nothing."""

    @abstractmethod
    async def _deliver(self, batch: list[Record]) -> None:
        """Hands a batch over."""

    @abstractmethod
    def _after_batch(self) -> None:
        """Called when no record is in the handler's hands."""

    @abstractmethod
    def _left(self) -> None:
        """Called once the task has ended."""


class TailConsumer(Consumer):
    """Follows all partitions from the present end on."""

    def __init__(self, topic: Topic, handler: Handler, limits: BusLimits) -> None:
        super().__init__(topic, handler, limits)
        self._positions = [partition.next_offset for partition in topic.partitions]
        topic.tails.append(self)
        topic.settle()

    @property
    def lag(self) -> int:
        """Records waiting for this consumer now."""
        pairs = zip(self._topic.partitions, self._positions, strict=True)
        return sum(len(part.records) - part.position(offset) for part, offset in pairs)

    def _take(self) -> list[Record]:
        batch: list[Record] = []
        for partition in self._topic.partitions:
            position = self._positions[partition.index]
            if position == partition.next_offset:
                continue
            room = self._limits.batch_records - len(batch)
            if room <= 0:
                break
            records = partition.read(position, room)
            if not records or records[0].offset > position:
                _logger.warning("bus tail was overtaken", topic=self._topic.name)
            last = records[-1].offset + 1 if records else partition.next_offset
            self._positions[partition.index] = last
            batch += records
        return batch

    async def _deliver(self, batch: list[Record]) -> None:
        await self._handle(batch)

    def _after_batch(self) -> None:
        """Nobody waits for a tail."""

    def _left(self) -> None:
        if self in self._topic.tails:
            self._topic.tails.remove(self)
            self._topic.settle()


class GroupConsumer(Consumer):
    """A member of a consumer group."""

    def __init__(
        self,
        topic: Topic,
        group: Group,
        handler: Handler,
        limits: BusLimits,
        commit: Callable[[Topic, Group, int, int], None],
        bury: Callable[[Record], bool],
    ) -> None:
        super().__init__(topic, handler, limits)
        self._group = group
        self._commit = commit
        self._bury = bury
        self._turn = 0
        group.members.append(self)
        topic.settle()

    @property
    def lag(self) -> int:
        """Records waiting for this consumer now."""
        return sum(
            len(part.records) - part.position(self._group.committed[part.index])
            for part in self._topic.partitions
            if self._group.owners[part.index] is self
        )

    def _take(self) -> list[Record]:
        batch: list[Record] = []
        partitions = self._topic.partitions
        count = len(partitions)
        # Begin elsewhere each time, so that no busy partition starves the others.
        self._turn = (self._turn + 1) % count
        for step in range(count):
            partition = partitions[(self._turn + step) % count]
            offset = self._group.committed[partition.index]
            if self._group.owners[partition.index] is not self or offset >= partition.next_offset:
                continue
            records = partition.read(offset, self._limits.batch_records - len(batch))
            if records:
                self.in_flight.add(partition.index)
                batch += records
            if len(batch) >= self._limits.batch_records:
                break
        return batch

    async def _deliver(self, batch: list[Record]) -> None:
        if await self._handle(batch):
            for partition, offset in {record.partition: record.offset for record in batch}.items():
                self._commit(self._topic, self._group, partition, offset + 1)
            return
        failures = 1 if len(batch) == 1 else 0
        for record in batch:
            if not await self._insist(record, failures):
                return
            self._commit(self._topic, self._group, record.partition, record.offset + 1)

    async def _insist(self, record: Record, failures: int) -> bool:
        """Tries one record until it is handled or buried; False when closed meanwhile."""
        while True:
            if failures:
                await self._pause(failures)
            if self._is_closing:
                return False
            if failures >= self._limits.attempts:
                if self._bury(record):
                    return True
            elif await self._handle((record,)):
                return True
            failures += 1

    async def _pause(self, failures: int) -> None:
        if failures >= self._limits.attempts:
            return
        delay_s = min(self._limits.retry_s * 2 ** (failures - 1), self._limits.max_retry_s)
        deadline = asyncio.get_running_loop().time() + delay_s
        while not self._is_closing:
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                return
            # New records wake this wait too; only closing ends it early.
            await self._wait(left_s)

    def _after_batch(self) -> None:
        if self._group.is_unsettled:
            self._topic.settle()

    def _left(self) -> None:
        if self in self._group.members:
            self._group.members.remove(self)
            self._topic.settle()
