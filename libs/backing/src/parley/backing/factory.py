"""The only place that chooses adapters: ports in, nothing else of them is seen by a service."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from enum import Flag, auto
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from parley.backing.blobs.base import Blobs
from parley.backing.blobs.embedded import LocalBlobs
from parley.backing.bus.base import Bus
from parley.backing.bus.embedded import EmbeddedBus
from parley.backing.bus.log import BusLimits
from parley.backing.discovery.base import Discovery
from parley.backing.discovery.embedded import EmbeddedDiscovery
from parley.backing.errors import BackingUnavailable
from parley.backing.journal import Journal
from parley.backing.settings import Adapter, BackingSettings
from parley.backing.state.base import State
from parley.backing.state.embedded import EmbeddedState
from parley.service.clock import Clock
from parley.service.errors import StartError
from parley.service.metrics import Metrics, Registry
from parley.service.tls import client_context

if TYPE_CHECKING:
    from parley.backing.db.engine import Database

_T = TypeVar("_T")

_IN_MEMORY = "sqlite://"
_LOCAL_REDIS = "redis://127.0.0.1:6379/0"
_OPENING: Final = ("db", "blobs", "state", "discovery", "bus")
"""Order of the start; closed in reverse, for consumers of the bus may use all the others."""


class _Part(Protocol):
    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


class Port(Flag):
    """The ports of which a process names those that it uses."""

    DATABASE = auto()
    BLOBS = auto()
    STATE = auto()
    DISCOVERY = auto()
    BUS = auto()


class _Unnamed(Generic[_T]):
    """Stands for a port in the class: instances have those that were named, others end up here."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, backing: object, owner: type) -> _T:
        raise RuntimeError(f"backing.{self._name} is used, but create_backing was not told so")


class Backing:
    """The ports that one process uses; a service of that process too, the first one to start.

    Raises:
        RuntimeError: a port is read that `create_backing` was not told of.
    """

    name = "backing"

    bus = _Unnamed[Bus]()
    state = _Unnamed[State]()
    discovery = _Unnamed[Discovery]()
    db = _Unnamed["Database"]()
    blobs = _Unnamed[Blobs]()

    def __init__(self) -> None:
        """Has no port yet: `create_backing` sets them."""
        self._running = AsyncExitStack()
        self._is_open = False

    async def start(self) -> None:
        """Opens the ports; what was opened is closed again when one fails.

        Raises:
            StartError: a port cannot be opened; `FolderInUse` when another process has the folder.
        """
        parts: list[_Part] = [vars(self)[name] for name in _OPENING if name in vars(self)]
        try:
            async with AsyncExitStack() as opened:
                for part in parts:
                    opened.push_async_callback(part.aclose)
                    await part.start()
                self._running = opened.pop_all()
        except BackingUnavailable as error:
            raise StartError(f"{str(error).rstrip('.')}.") from error
        except OSError as error:
            place = error.filename or "The data folder"
            raise StartError(f"{place} cannot be used: {error.strerror or error}.") from error
        self._is_open = True

    def is_ready(self) -> bool:
        """Says whether the ports are open."""
        return self._is_open

    async def drain(self, timeout_s: float) -> None:
        """Does nothing: the services that use the ports drain."""

    async def aclose(self) -> None:
        """Closes the ports, the bus first."""
        self._is_open = False
        await self._running.aclose()


def create_backing(
    ports: Port,
    settings: BackingSettings,
    clock: Clock,
    registry: Registry,
    *,
    migrates: bool = False,
) -> Backing:
    """Builds the ports that a process uses, and no others; nothing is opened yet.

    Args:
        ports: those that it uses.
        settings: which adapters, and where.
        clock: the process's clock.
        registry: of the adapters' metrics.
        migrates: see `create_database`.
    """
    backing = Backing()
    if Port.DATABASE in ports:
        backing.db = create_database(settings, clock, migrates=migrates)
    if Port.BLOBS in ports:
        backing.blobs = _BLOBS[settings.blobs](settings, clock)
    if Port.STATE in ports:
        backing.state = _STATE[settings.state](settings, clock, registry)
    if Port.DISCOVERY in ports:
        backing.discovery = _DISCOVERY[settings.discovery](settings, clock)
    if Port.BUS in ports:
        backing.bus = _BUS[settings.bus](settings, clock, registry)
    return backing


def create_database(
    settings: BackingSettings, clock: Clock, *, migrates: bool = False
) -> "Database":
    """Builds the database alone, for commands that need nothing else.

    Args:
        settings: which one.
        clock: the process's clock.
        migrates: changes a server's schema at the start, where services only check it.
    """
    # A process without the database does not load SQLAlchemy.
    from parley.backing.db.engine import Database

    return Database(_database_url(settings), clock, migrates=migrates, tls=settings.tls)


def _database_url(settings: BackingSettings) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    if not settings.is_durable:
        return _IN_MEMORY
    return f"sqlite:///{settings.data / 'parley.db'}"


def _journal(settings: BackingSettings, name: str) -> Journal | None:
    if not settings.is_durable:
        return None
    return Journal(settings.data / name, name, settings.sync)


def _embedded_bus(settings: BackingSettings, clock: Clock, registry: Registry) -> Bus:
    limits = BusLimits(
        partitions=settings.bus_partitions,
        keep_records=settings.bus_keep_records,
        max_records=settings.bus_max_records,
        attempts=settings.bus_attempts,
    )
    return EmbeddedBus(
        clock,
        Metrics(registry, "backing"),
        _journal(settings, "bus"),
        limits,
        settings.bus_volatile_topics,
    )


def _kafka_bus(settings: BackingSettings, clock: Clock, registry: Registry) -> Bus:
    # Here, so that a process without Kafka does not load its client.
    from parley.backing.bus.kafka import KafkaBus
    from parley.backing.bus.kafka_options import KafkaOptions, KafkaSecurity, is_tls, servers_of

    options = KafkaOptions(
        servers=servers_of(settings.bus_url),
        security=KafkaSecurity(
            tls=client_context(settings.tls) if is_tls(settings.bus_url) else None,
            mechanism=settings.bus_sasl,
            username=settings.bus_username,
            password=settings.bus_password.get_secret_value(),
        ),
        prefix=settings.bus_prefix,
        partitions=settings.bus_partitions,
        replication=settings.bus_replication,
        linger_s=settings.bus_linger_s,
        queue_bytes=settings.bus_queue_mb * 1024 * 1024,
        attempts=settings.bus_attempts,
    )
    return KafkaBus(clock, options, _journal(settings, "bus-queue"), Metrics(registry, "backing"))


def _embedded_state(settings: BackingSettings, clock: Clock, _registry: Registry) -> State:
    return EmbeddedState(clock, _journal(settings, "state"))


def _redis_state(settings: BackingSettings, clock: Clock, registry: Registry) -> State:
    # A process that does not use Redis does not load its client.
    from parley.backing.state.redis import RedisState
    from parley.backing.state.redis_limits import Limits

    url = settings.state_url
    limits = Limits(timeout_s=settings.state_timeout_s, wait_replicas=settings.state_wait_replicas)
    try:
        state = RedisState(
            url.get_secret_value() if url else _LOCAL_REDIS, clock, limits, settings.tls
        )
    except ValueError as error:
        raise StartError(f"PARLEY_BACKING_STATE_URL: {error}.") from error
    state.statistics.show(Metrics(registry, "backing"))
    return state


def _embedded_discovery(_settings: BackingSettings, _clock: Clock) -> Discovery:
    return EmbeddedDiscovery()


def _zookeeper_discovery(settings: BackingSettings, _clock: Clock) -> Discovery:
    from parley.backing.discovery.zookeeper import ZookeeperDiscovery
    from parley.backing.discovery.zookeeper_url import DEFAULT_URL

    url = settings.discovery_url
    return ZookeeperDiscovery(
        DEFAULT_URL if url is None else url.get_secret_value(),
        settings.discovery_session_s,
        tls=settings.tls,
    )


def _local_blobs(settings: BackingSettings, _clock: Clock) -> Blobs:
    return LocalBlobs(settings.data / "blobs")


def _s3_blobs(settings: BackingSettings, _clock: Clock) -> Blobs:
    from parley.backing.blobs.s3 import S3Blobs
    from parley.backing.blobs.s3_place import S3Place

    key_id, key = settings.blobs_key_id, settings.blobs_key
    place = S3Place(
        url=settings.blobs_url,
        region=settings.blobs_region,
        endpoint=settings.blobs_endpoint,
        key_id=None if key_id is None else key_id.get_secret_value(),
        key=None if key is None else key.get_secret_value(),
    )
    return S3Blobs(place)


_BUS: dict[Adapter, Callable[[BackingSettings, Clock, Registry], Bus]] = {
    Adapter.EMBEDDED: _embedded_bus,
    Adapter.KAFKA: _kafka_bus,
}
_STATE: dict[Adapter, Callable[[BackingSettings, Clock, Registry], State]] = {
    Adapter.EMBEDDED: _embedded_state,
    Adapter.REDIS: _redis_state,
}
_DISCOVERY: dict[Adapter, Callable[[BackingSettings, Clock], Discovery]] = {
    Adapter.EMBEDDED: _embedded_discovery,
    Adapter.ZOOKEEPER: _zookeeper_discovery,
}
_BLOBS: dict[Adapter, Callable[[BackingSettings, Clock], Blobs]] = {
    Adapter.EMBEDDED: _local_blobs,
    Adapter.S3: _s3_blobs,
}
