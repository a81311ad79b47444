"""From the bus to the connections: one tail per topic, each event offered to who wants it."""

from collections.abc import Sequence

import structlog
from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from parley.backing.bus.base import Bus, Record, Subscription
from parley.wsigateway.connection import Connection
from parley.wsigateway.metrics import WsiGatewayMetrics
from parley.wsigateway.subscriptions import TOPICS

_logger = structlog.stdlib.get_logger(__name__)


class _Addressed(Struct):
    """The one attribute of an event that decides who may see it."""

    tenantid: str


_DECODER = Decoder(_Addressed)


class EventHub:
    """All open connections, and what feeds them."""

    def __init__(self, bus: Bus, metrics: WsiGatewayMetrics) -> None:
        self._bus = bus
        self._metrics = metrics
        self._tails: list[Subscription] = []
        self._connections: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._connections)

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
        self._metrics.connections.inc()

    def leave(self, connection: Connection) -> None:
        """Removes a connection."""
        self._connections.remove(connection)
        self._metrics.connections.dec()

    def end_all(self, code: int, reason: str) -> None:
        """Asks every connection to close."""
        for connection in self._connections:
            connection.end(code, reason)

    async def _on_records(self, records: Sequence[Record]) -> None:
        if not self._connections:
            return
        for record in records:
            try:
                tenant = _DECODER.decode(record.value).tenantid
                text = record.value.decode()
            except (DecodeError, UnicodeDecodeError, RecursionError):
                _logger.warning("record is no event", topic=record.topic, offset=record.offset)
                self._metrics.malformed.inc()
                continue
            for connection in self._connections:
                if connection.wants(record.topic, tenant):
                    connection.offer(text)
                    self._metrics.events.inc()
