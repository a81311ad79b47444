"""Counters of a node: plain integers on the hot path, copied to Prometheus now and then."""

from dataclasses import dataclass, fields

from parley.service.metrics import Metrics
from parley.service.series import Counter, Gauge


@dataclass(slots=True)
class NodeCounts:
    """What happened since the node began.

    Attributes:
        received: messages parsed.
        sent: messages handed to a transport.
        malformed: inputs that were no SIP message, answered or not.
        send_failures: messages that did not leave.
        flows_closed: connections that ended.
        strangers: inside connections whose other end did not prove itself.
        handler_errors: exceptions of the node's owner; each is a bug.
    """

    received: int = 0
    sent: int = 0
    malformed: int = 0
    send_failures: int = 0
    flows_closed: int = 0
    strangers: int = 0
    handler_errors: int = 0


_DOCS = {
    "received": "SIP messages received.",
    "sent": "SIP messages sent.",
    "malformed": "Inputs that were no SIP message.",
    "send_failures": "SIP messages that did not leave.",
    "flows_closed": "SIP connections that ended.",
    "strangers": "Inside SIP connections refused for want of a proof.",
    "handler_errors": "Exceptions while a SIP event was handled.",
}


class NodeMetrics:
    """The Prometheus series of a node."""

    def __init__(self, metrics: Metrics) -> None:
        self._published = NodeCounts()
        self._counters: dict[str, Counter] = {
            name: metrics.counter(f"sip_{name}", doc) for name, doc in _DOCS.items()
        }
        self._connections: Gauge = metrics.gauge("sip_connections", "Open SIP connections.")
        self._transactions: Gauge = metrics.gauge(
            "sip_transactions", "SIP transactions alive.", ["kind"]
        )

    def publish(self, counts: NodeCounts, connections: int, clients: int, servers: int) -> None:
        """Copies the node's figures."""
        for field in fields(NodeCounts):
            name = field.name
            value = getattr(counts, name)
            grown = value - getattr(self._published, name)
            if grown:
                self._counters[name].inc(grown)
                setattr(self._published, name, value)
        self._connections.set(connections)
        self._transactions.labels("client").set(clients)
        self._transactions.labels("server").set(servers)
