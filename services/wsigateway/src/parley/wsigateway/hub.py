"""From the bus to the connections: one tail per topic, each event to those who asked for it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import structlog
from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from parley.backing.bus.base import Bus, Record
from parley.backing.bus.base import Subscription as Tail
from parley.model.errors import MalformedEvent
from parley.model.public_events import encode_public_event
from parley.wsigateway.connection import Connection
from parley.wsigateway.metrics import WsiGatewayMetrics
from parley.wsigateway.subscriptions import TOPICS, Subscription

_logger = structlog.stdlib.get_logger(__name__)

_NOBODY: frozenset[Connection] = frozenset()


class _Addressed(Struct):
    """The one attribute of an event that decides who may see it."""

    tenantid: str


_DECODER = Decoder(_Addressed)


class EventHub:
    """All authenticated connections, what they asked for, and what feeds them."""

    def __init__(self, bus: Bus, metrics: WsiGatewayMetrics) -> None:
        self._bus = bus
        self._metrics = metrics
        self._tails: list[Tail] = []
        self._connections: set[Connection] = set()
        self._by_tenant: Counter[str | None] = Counter()
        self._followers: dict[Subscription, set[Connection]] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def count_of(self, tenant_id: str) -> int:
        """How many of the connections came with a token of this tenant."""
        return self._by_tenant[tenant_id]

    async def start(self) -> None:
        """Follows the topics."""
        for topic in TOPICS:
            self._tails.append(self._bus.tail(topic, self._on_records))

    async def aclose(self) -> None:
        """Stops following."""
        while self._tails:
            await self._tails.pop().aclose()

    def join(self, connection: Connection) -> None:
        """Adds a connection."""
        self._connections.add(connection)
        self._by_tenant[connection.subscriptions.own_tenant] += 1
        self._metrics.connections.inc()

    def leave(self, connection: Connection) -> None:
        """Removes a connection and what it asked for; safe to call twice."""
        if connection in self._connections:
            self._connections.remove(connection)
            tenant = connection.subscriptions.own_tenant
            self._by_tenant[tenant] -= 1
            if not self._by_tenant[tenant]:
                del self._by_tenant[tenant]
            self._metrics.connections.dec()
        self.unfollow(connection, connection.subscriptions)

    def follow(self, connection: Connection, wanted: Iterable[Subscription]) -> None:
        """Sends events of these to the connection from now on."""
        for one in wanted:
            self._followers.setdefault(one, set()).add(connection)

    def unfollow(self, connection: Connection, unwanted: Iterable[Subscription]) -> None:
        """Sends events of these no more."""
        for one in unwanted:
            followers = self._followers.get(one)
            if followers is None:
                continue
            followers.discard(connection)
            if not followers:
                del self._followers[one]

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._connections))

    async def _on_records(self, records: Sequence[Record]) -> None:
        if not self._followers:
            return
        for record in records:
            try:
                tenant = _DECODER.decode(record.value).tenantid
                self._pass_on(record, tenant)
            except (DecodeError, UnicodeDecodeError, RecursionError, MalformedEvent):
                _logger.warning("record is no event", topic=record.topic, offset=record.offset)
                self._metrics.malformed.inc()

    def _pass_on(self, record: Record, tenant: str) -> None:
        of_tenant = self._followers.get((record.topic, tenant), _NOBODY)
        of_all = self._followers.get((record.topic, None), _NOBODY)
        followers = of_tenant | of_all if of_all else of_tenant
        if not followers:
            return
        text = encode_public_event(record.value).decode()
        for connection in tuple(followers):
            connection.offer(text)
        self._metrics.events.inc(len(followers))
