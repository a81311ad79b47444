"""Counters of a node: plain integers on the hot path, read when Prometheus scrapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from parley.service.metrics import Metrics
from parley.sip.transaction import TransactionLayer
from parley.siptransport.transport import Transport


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


_DOCS: Final = {
    "received": "SIP messages received.",
    "sent": "SIP messages sent.",
    "malformed": "Inputs that were no SIP message.",
    "send_failures": "SIP messages that did not leave.",
    "flows_closed": "SIP connections that ended.",
    "strangers": "Inside SIP connections refused for want of a proof.",
    "handler_errors": "Exceptions while a SIP event was handled.",
}


def show_node(
    metrics: Metrics,
    counts: NodeCounts,
    layer: TransactionLayer,
    transports: Mapping[str, Transport],
) -> None:
    """Has the figures of a node read at each scrape."""
    for name, doc in _DOCS.items():
        metrics.read(f"sip_{name}", doc, partial(getattr, counts, name))
    metrics.gauge("sip_connections", "Open SIP connections.").read(
        lambda: sum(each.connection_count for each in transports.values())
    )
    transactions = metrics.gauge("sip_transactions", "SIP transactions alive.", ["kind"])
    transactions.labels("client").read(lambda: layer.client_count)
    transactions.labels("server").read(lambda: layer.server_count)
