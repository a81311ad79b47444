"""The bus port: events and durable commands between parts, with the semantics of Kafka.

Policy. A topic has partitions; a record's key picks its partition, so records of one key stay in
order. Each consumer group gets every record at least once, one consumer of the group per partition;
a new group begins with the oldest record kept. The offset is committed after the handler returned.
A handler that raises gets the same records again, one by one, after a growing pause; a record that
failed too often goes to `<topic>.dead` and the group goes on. Handlers must thus be idempotent.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

DEAD_LETTER_SUFFIX = ".dead"


class Record(NamedTuple):
    """One record of a topic; `timestamp_s` is Unix seconds at publishing."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    timestamp_s: float


Handler: TypeAlias = Callable[[Sequence[Record]], Awaitable[None]]


class Subscription(Protocol):
    """A running consumer."""

    @property
    def lag(self) -> int:
        """Records waiting for this consumer now."""
        ...

    async def aclose(self) -> None:
        """Lets the running handler finish (bounded), then stops; others take the partitions."""
        ...


class Bus(Protocol):
    """Publishes and consumes. See the module's docstring for the guarantees."""

    async def start(self) -> None:
        """Connects, or loads what was kept."""
        ...

    async def aclose(self) -> None:
        """Lets consumers catch up (bounded), then refuses new records and releases everything."""
        ...

    def publish(self, topic: str, key: str, value: bytes) -> None:
        """Queues a record and returns at once.

        Raises:
            BusFull: the bounded queue is full; nothing was queued.
            BackingUnavailable: the bus is closed.
        """
        ...

    async def publish_and_wait(self, topic: str, key: str, value: bytes) -> None:
        """Publishes and returns when the record is durable."""
        ...

    def subscribe(self, topic: str, group: str, handler: Handler) -> Subscription:
        """Consumes a topic as a member of a group. Batches may mix partitions and keys."""
        ...

    def tail(self, topic: str, handler: Handler) -> Subscription:
        """Hands over every record from now on; nothing is committed, a failure is not retried.

        What was published before and is not durable yet may come, too.
        """
        ...
