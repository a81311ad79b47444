"""All that the bus uses of aiokafka though the library promises none of it.

aiokafka offers no way to end a producer without sending what is left, to drop the connections of a
consumer that does not leave its group, to ask whether a consumer is still a member, or to have it
hear of a topic before it joins (asking for an offset would, but waits for a partition's leader).
The version is pinned in `pyproject.toml`; `check` finds out at the start whether the names are
there.
"""

import asyncio
from types import FunctionType
from typing import Any, Final

import aiokafka  # type: ignore[import-untyped]  # the library has no types
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient  # type: ignore[import-untyped]
from aiokafka.consumer.group_coordinator import (  # type: ignore[import-untyped]
    GroupCoordinator,
)
from aiokafka.producer.sender import Sender  # type: ignore[import-untyped]

from parley.service.errors import StartError

_SET_IN: Final[tuple[tuple[FunctionType, tuple[str, ...]], ...]] = (
    (AIOKafkaProducer.__init__, ("client", "_closed", "_sender")),
    (AIOKafkaConsumer.__init__, ("_client", "_coordinator")),
    (GroupCoordinator.reset_generation, ("generation",)),
    (Sender.start, ("_sender_task",)),
)
"""Which attributes are used, by the method of the library that sets them."""
_METHODS: Final = ("set_topics", "_wait_on_metadata", "close")
"""Which methods of its client are used."""


def check() -> None:
    """Looks for every private name that is used here.

    Raises:
        StartError: this version of the library has other ones.
    """
    missing = {name for name in _METHODS if not hasattr(AIOKafkaClient, name)}
    for method, names in _SET_IN:
        missing |= set(names) - set(method.__code__.co_names)
    if missing:
        raise StartError(
            f"aiokafka {aiokafka.__version__} is not the version that Parley was made for: "
            f"it has no {', '.join(sorted(missing))}."
        )


async def kill_producer(producer: Any) -> None:
    """Ends a producer; what it has not got acknowledged, it will not send any more."""
    try:
        sender: asyncio.Task[None] | None = producer._sender._sender_task
        if sender is not None:
            sender.cancel()
        # Requests under way fail with their connections, which ends the sender.
        await producer.client.close()
        if sender is not None:
            await asyncio.wait([sender])
        await producer.client.close()
    finally:
        # It complains, when it is collected, if nobody stopped it.
        producer._closed = True


async def partitions_of(consumer: Any, topic: str) -> set[int]:
    """Returns the numbers of a topic's partitions as soon as the brokers tell them.

    Raises:
        KafkaError: they do not know the topic.
    """
    consumer._client.set_topics([topic])
    found: set[int] = await consumer._client._wait_on_metadata(topic)
    return found


async def drop_connections(consumer: Any) -> None:
    """Ends a consumer that could not be stopped."""
    await consumer._client.close()


def is_member(consumer: Any) -> bool:
    """Whether a started consumer belongs to its group, as far as it has heard."""
    return bool(consumer._coordinator.generation >= 0)
