"""Prometheus series of the WebSocket gateway."""

from parley.service.metrics import Metrics, Registry


class WsiGatewayMetrics:
    """Counts connections, what they were sent, and why they ended."""

    def __init__(self, registry: Registry) -> None:
        metrics = Metrics(registry, "wsigateway")
        self.connections = metrics.gauge("connections", "Authenticated connections.")
        self.waiting = metrics.gauge("waiting", "Connections that have not authenticated yet.")
        self.events = metrics.counter("events", "Events queued for clients.")
        self.malformed = metrics.counter("malformed", "Bus records that are no events.")
        self.closed = metrics.counter("closed", "Connections closed by us, by code.", ["code"])
