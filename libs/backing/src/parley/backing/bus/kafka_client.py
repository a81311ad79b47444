"""All that the bus uses of aiokafka, made, started and torn down in bounded time.

Clients are made anew after trouble instead of being nursed: a new one asks the bootstrap addresses
again, and so finds brokers that came back somewhere else.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import structlog
from aiokafka import (  # type: ignore[import-untyped]  # the library has no types
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    TopicPartition,
)
from aiokafka.admin import (  # type: ignore[import-untyped]  # the library has no types
    AIOKafkaAdminClient,
    NewTopic,
)
from aiokafka.errors import (  # type: ignore[import-untyped]  # the library has no types
    ClusterAuthorizationFailedError,
    CommitFailedError,
    IllegalStateError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from parley.backing.bus.kafka_options import KafkaOptions
from parley.backing.bus.kafka_private import drop_connections, is_member, kill_producer

__all__ = [
    "NOT_ASSIGNED",
    "NO_MEMBER",
    "REFUSALS",
    "TROUBLE",
    "ConsumerRebalanceListener",
    "KafkaError",
    "TopicPartition",
    "close_consumer",
    "commit",
    "connected_producer",
    "make_topic",
    "new_consumer",
    "retire_producer",
]

# What an unreachable, restarting or misbehaving cluster makes the library raise.
TROUBLE: tuple[type[Exception], ...] = (KafkaError, OSError, TimeoutError)

# What no repetition can cure, because the record itself is not wanted.
REFUSALS: tuple[type[Exception], ...] = (
    InvalidTimestampError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
)

# What a commit meets when this is no member any more, or the partition is not its own.
NO_MEMBER: tuple[type[Exception], ...] = (CommitFailedError,)
NOT_ASSIGNED: tuple[type[Exception], ...] = (IllegalStateError,)

_MAX_REPLICATION = 3
_RETRY_MS = 250
_METADATA_MS = 30_000
_CLOSE_S = 2.0
_MAX_POLL_S = 600.0
_EXISTS = frozenset({TopicAlreadyExistsError.errno})
# Who may not make topics must find them made.
_NOT_OURS_TO_MAKE = frozenset(
    {ClusterAuthorizationFailedError.errno, TopicAuthorizationFailedError.errno}
)

_logger = structlog.stdlib.get_logger(__name__)

# The library reports each of its many attempts as an error; the bus tells the few that matter.
_library_log = logging.getLogger("aiokafka")
if _library_log.level == logging.NOTSET:
    _library_log.setLevel(logging.CRITICAL)


def _common(options: KafkaOptions) -> dict[str, Any]:
    return {
        "bootstrap_servers": list(options.servers),
        "retry_backoff_ms": _RETRY_MS,
        "metadata_max_age_ms": _METADATA_MS,
        **options.security.arguments(),
    }


async def connected_producer(options: KafkaOptions) -> Any:
    """Returns a producer that has its producer id, thus has reached the cluster."""
    producer = AIOKafkaProducer(
        **_common(options),
        acks="all",
        enable_idempotence=True,
        max_batch_size=options.batch_bytes,
        request_timeout_ms=_ms(options.request_s),
    )
    try:
        async with asyncio.timeout(options.connect_s):
            await producer.start()
    except BaseException:
        await retire_producer(producer)
        raise
    return producer


async def retire_producer(producer: Any) -> None:
    """Ends a producer at once; what it has not got acknowledged, it will not send any more.

    Its own `stop` sends what is left first, while another producer may be sending the same.
    """
    try:
        async with asyncio.timeout(_CLOSE_S):
            await kill_producer(producer)
    except TROUBLE as error:
        _logger.warning("bus producer did not end in time", reason=repr(error))


def new_consumer(options: KafkaOptions, group: str | None) -> Any:
    """Returns a consumer that is not started; None makes it follow without a group."""
    # A join is answered when all members have given up their partitions, each in bounded time.
    rebalance_s = 2 * options.drain_s + options.session_s
    return AIOKafkaConsumer(
        **_common(options),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="latest" if group is None else "earliest",
        fetch_max_wait_ms=_ms(options.fetch_s),
        max_partition_fetch_bytes=options.max_value_bytes,
        session_timeout_ms=_ms(options.session_s),
        heartbeat_interval_ms=_ms(options.heartbeat_s),
        rebalance_timeout_ms=_ms(rebalance_s),
        request_timeout_ms=_ms(rebalance_s + options.request_s),
        max_poll_interval_ms=_ms(_MAX_POLL_S),
    )


async def close_consumer(consumer: Any) -> None:
    """Leaves the group and ends a consumer."""
    try:
        async with asyncio.timeout(_CLOSE_S):
            await consumer.stop()
    except TROUBLE as error:
        _logger.warning("bus consumer did not end in time", reason=repr(error))
        with contextlib.suppress(*TROUBLE):
            async with asyncio.timeout(_CLOSE_S):
                await drop_connections(consumer)


async def commit(consumer: Any, offsets: dict[Any, int], timeout_s: float) -> None:
    """Commits as a member of the group.

    Raises:
        KafkaError: one of `NO_MEMBER` or `NOT_ASSIGNED` when the partitions are another's now.
        TimeoutError: the brokers do not answer.
    """
    # Without a membership the request counts as that of a lone consumer, which a group without
    # members believes: a frozen process could so take back what its successor committed.
    if not is_member(consumer):
        raise CommitFailedError("not a member of the group any more")
    async with asyncio.timeout(timeout_s):
        await consumer.commit(offsets)


async def make_topic(options: KafkaOptions, topic: str) -> None:
    """Makes a topic unless it is there.

    Raises:
        KafkaError: the cluster cannot make it now.
        TimeoutError: the cluster does not answer.
    """
    async with asyncio.timeout(options.connect_s), _admin(options) as admin:
        brokers = len((await admin.describe_cluster())["brokers"])
        copies = options.replication or min(_MAX_REPLICATION, max(1, brokers))
        configs = {
            "min.insync.replicas": str(2 if copies >= _MAX_REPLICATION else 1),
            # A batch is larger than the one value in it.
            "max.message.bytes": str(2 * options.max_value_bytes + options.batch_bytes),
        }
        new = NewTopic(topic, options.partitions, copies, topic_configs=configs)
        try:
            response = await admin.create_topics([new], timeout_ms=_ms(options.request_s))
        except AttributeError as error:
            raise KafkaError("the cluster has no controller now") from error
    for name, code, *reason in response.topic_errors:
        if code == 0:
            _logger.info("bus topic made", topic=name, partitions=options.partitions, copies=copies)
        elif code in _NOT_OURS_TO_MAKE:
            _logger.warning("not allowed to make the bus topic", topic=name)
        elif code not in _EXISTS:
            raise for_code(code)(*reason)


@contextlib.asynccontextmanager
async def _admin(options: KafkaOptions) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**_common(options), request_timeout_ms=_ms(options.request_s))
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
