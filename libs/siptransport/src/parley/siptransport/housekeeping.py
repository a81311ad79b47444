"""What a node does every few seconds: idle connections end, figures are published."""

import asyncio
from collections.abc import Mapping

from parley.service.clock import Clock
from parley.service.metrics import Metrics
from parley.sip.transaction import TransactionLayer
from parley.siptransport.metrics import NodeCounts, NodeMetrics
from parley.siptransport.transport import Transport

_ROUND_S = 5.0


class Housekeeping:
    """Runs from `start` to `stop`.

    Args:
        transports: of the node, by name.
        layer: of the node.
        counts: of the node.
        metrics: where they go; nowhere when None.
        clock: of the idle times.
    """

    def __init__(
        self,
        transports: Mapping[str, Transport],
        layer: TransactionLayer,
        counts: NodeCounts,
        metrics: Metrics | None,
        clock: Clock,
    ) -> None:
        self._transports = transports
        self._layer = layer
        self._counts = counts
        self._metrics = NodeMetrics(metrics) if metrics is not None else None
        self._clock = clock
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins; once it runs nothing more happens."""
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(_ROUND_S, self._run)

    def stop(self) -> None:
        """Publishes a last time and ends; may be called twice."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._publish()

    def _run(self) -> None:
        now = self._clock.now()
        for transport in self._transports.values():
            transport.sweep(now)
        self._publish()
        self._handle = asyncio.get_running_loop().call_later(_ROUND_S, self._run)

    def _publish(self) -> None:
        if self._metrics is not None:
            connections = sum(each.connection_count for each in self._transports.values())
            clients, servers = self._layer.client_count, self._layer.server_count
            self._metrics.publish(self._counts, connections, clients, servers)
