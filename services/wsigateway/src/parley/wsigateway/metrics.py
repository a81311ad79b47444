"""Prometheus series of the WebSocket gateway."""

from parley.service.metrics import Metrics, Registry


class WsiGatewayMetrics:
    """Counts connections, what they were sent, and why they ended."""

    def __init__(self, registry: Registry) -> None:
        metrics = Metrics(registry, "wsigateway")
        self.connections = metrics.gauge("connections", "Open connections.")
        self.events = metrics.counter("events", "Events queued for clients.")
        self.malformed = metrics.counter("malformed", "Bus records that are no events.")
        self.closed = metrics.counter("closed", "Connections closed by us, by code.", ["code"])
