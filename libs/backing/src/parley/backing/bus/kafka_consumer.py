"""What group members and tails on Kafka have in common: connect, poll, hand over, connect again.

A consumer that met trouble is closed and made anew after a growing pause (back-off). One
task does all; who wants it to stop sets a flag and, when it waits for records or for a handler that
is out of time, interrupts it (`_nudge`).
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from parley.backing.bus.base import Handler, Record
from parley.backing.bus.kafka_client import TROUBLE, close_consumer
from parley.backing.bus.kafka_options import KafkaOptions

_FIRST_PAUSE_S = 0.1
_POLL_S = 1.0
_LEAVE_S = 5.0  # commit, leave the group, close connections

_logger = structlog.stdlib.get_logger(__name__)

EnsureTopic = Callable[[str], Awaitable[None]]


class KafkaConsumer(ABC):
    """Implements `Subscription`.

    Attributes:
        topic: as the brokers know it.
        name: the same as its users know it.
    """

    def __init__(
        self,
        options: KafkaOptions,
        topic: str,
        handler: Handler,
        ensure_topic: EnsureTopic,
    ) -> None:
        self.topic = topic
        self._options = options
        self._handler = handler
        self._ensure_topic = ensure_topic
        self.name = topic.removeprefix(options.prefix)
        self._task: asyncio.Task[None] | None = None
        self._consumer: Any = None
        self._interrupt = asyncio.Event()
        self._is_closing = False
        self._is_finishing = False
        self._is_waiting = False
        self._is_nudged = False
        self._ends: dict[Any, int] | None = None
        self._pause_s = _FIRST_PAUSE_S

    @property
    @abstractmethod
    def lag(self) -> int:
        """Records waiting for this consumer now, as far as it was told by the brokers."""

    def attach(self, task: asyncio.Task[None]) -> None:
        """Names the task that runs `run`."""
        self._task = task

    def finish(self) -> asyncio.Task[None] | None:
        """Lets the consumer end as soon as nothing is left to read; returns its task."""
        self._is_finishing = True
        self._interrupt.set()
        # One that still connects has everything left to read.
        if self._consumer is not None:
            self._wake()
        return self._task

    async def aclose(self) -> None:
        """Lets the running handler finish (bounded), then stops."""
        self._is_closing = True
        self._interrupt.set()
        self._wake()
        task = self._task
        if task is None or task is asyncio.current_task():
            return
        _, late = await asyncio.wait([task], timeout=self._options.drain_s)
        if late:
            self._nudge()
            _, late = await asyncio.wait([task], timeout=_LEAVE_S)
        for stuck in late:
            stuck.cancel()
            await asyncio.wait([stuck])

    async def run(self) -> None:
        """Reads and hands over until closed."""
        while not self._is_closing:
            try:
                await self._session()
                return
            except TROUBLE as error:
                _logger.warning("bus consumer is away", topic=self.name, reason=repr(error))
            except asyncio.CancelledError:
                if not self._take_nudge():
                    raise
            except Exception:
                _logger.exception("bus consumer failed", topic=self.name)
            if self._is_finishing:
                return
            await self._rest(self._pause_s)
            self._pause_s = min(2 * self._pause_s, self._options.retry_connect_s)

    # --- one connection --------------------------------------------------------------------

    async def _session(self) -> None:
        self._is_waiting = True
        try:
            await self._ensure_topic(self.topic)
        finally:
            self._is_waiting = False
        consumer = self._make()
        try:
            await self._connect(consumer)
            self._consumer = consumer
            await self._consume(consumer)
        finally:
            self._consumer = None
            await self._end(consumer)
            await close_consumer(consumer)

    async def _connect(self, consumer: Any) -> None:
        self._is_waiting = True
        try:
            async with asyncio.timeout(self._options.connect_s):
                await consumer.start()
                await self._begin(consumer)
        finally:
            self._is_waiting = False
        self._pause_s = _FIRST_PAUSE_S

    async def _consume(self, consumer: Any) -> None:
        while not self._is_closing:
            batch = await self._poll(consumer)
            if batch:
                await self._deliver(consumer, batch)
            await self._between(consumer)
            if self._is_finishing and await self._is_caught_up(consumer):
                return
            if batch and len(batch) < self._options.batch_records:
                # A fetch costs the same whatever it carries: what comes meanwhile joins the next.
                await self._rest(self._options.linger_s)

    async def _poll(self, consumer: Any) -> list[Record]:
        wait_s = 0.0 if self._is_closing else self._poll_s()
        self._is_waiting = True
        try:
            found = await consumer.getmany(
                timeout_ms=round(wait_s * 1000), max_records=self._options.batch_records
            )
        except asyncio.CancelledError:
            if not self._take_nudge():
                raise
            return []
        finally:
            self._is_waiting = False
        return [self._record(each) for records in found.values() for each in records]

    def _poll_s(self) -> float:
        return 0.05 if self._is_finishing else _POLL_S

    def _record(self, found: Any) -> Record:
        key = b"" if found.key is None else found.key
        return Record(
            self.name,
            found.partition,
            found.offset,
            key.decode(errors="surrogateescape"),
            b"" if found.value is None else found.value,
            found.timestamp / 1000,
        )

    async def _is_caught_up(self, consumer: Any) -> bool:
        """Says whether everything was handed over that was there when finishing began."""
        assigned = consumer.assignment()
        if not self._is_placed(consumer):
            return False
        async with asyncio.timeout(self._options.request_s):
            if self._ends is None or self._ends.keys() != assigned:
                self._ends = await consumer.end_offsets(list(assigned)) if assigned else {}
            for partition, end in self._ends.items():
                if await consumer.position(partition) < end:
                    return False
        return True

    # --- handing over ----------------------------------------------------------------------

    async def _handle(self, records: Sequence[Record]) -> bool:
        """Calls the handler; False when it raised or was interrupted."""
        try:
            await self._handler(records)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._take_nudge():
                _logger.warning("bus handler took too long", topic=self.name)
            elif task is not None and task.cancelling():
                raise
            else:
                # The handler awaited something that was cancelled; that is its failure.
                _logger.warning("bus handler was cancelled inside", topic=self.name)
            return False
        except Exception:
            _logger.exception("bus handler failed", topic=self.name, records=len(records))
            return False
        # A handler may have swallowed the interruption.
        self._take_nudge()
        return True

    async def _rest(self, seconds: float) -> None:
        """Waits, unless somebody interrupts."""
        self._interrupt.clear()
        if self._is_closing or self._is_finishing:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._interrupt.wait()
        except TimeoutError:
            return

    def _wake(self) -> None:
        if self._is_waiting:
            self._nudge()

    def _nudge(self) -> None:
        """Interrupts whatever the task waits for now."""
        task = self._task
        if task is not None and not self._is_nudged and not task.done():
            self._is_nudged = True
            task.cancel()

    def _take_nudge(self) -> bool:
        """Takes an interruption by `_nudge` for seen; False when there was none."""
        if not self._is_nudged:
            return False
        self._is_nudged = False
        task = asyncio.current_task()
        return task is not None and task.uncancel() == 0

    # --- what differs ----------------------------------------------------------------------

    @abstractmethod
    def _make(self) -> Any:
        """Returns a consumer of the library, not started."""

    @abstractmethod
    async def _begin(self, consumer: Any) -> None:
        """Tells a started consumer what to read."""

    @abstractmethod
    def _is_placed(self, consumer: Any) -> bool:
        """Says whether the consumer knows what it reads."""

    @abstractmethod
    async def _deliver(self, consumer: Any, batch: list[Record]) -> None:
        """Hands a batch over."""

    @abstractmethod
    async def _between(self, consumer: Any) -> None:
        """Called between two polls."""

    @abstractmethod
    async def _end(self, consumer: Any) -> None:
        """Called before the consumer is closed."""
