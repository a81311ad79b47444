"""The transaction layer's surface (RFC 3261 17, RFC 6026); the parts have modules of their own."""

from parley.sip.client_transaction import ClientTransaction, ResponseReceived
from parley.sip.reliable_2xx import Reliable2xx
from parley.sip.response_hop import fallback_hop, response_hop, sent_by_hop
from parley.sip.server_transaction import (
    AckReceived,
    CancelReceived,
    RequestReceived,
    ServerTransaction,
)
from parley.sip.timers import DEFAULT_TIMERS, Timer, Timers
from parley.sip.transaction_base import FailureCause, TransactionFailed, Transmit
from parley.sip.transaction_events import StrayResponse, TransactionEvent
from parley.sip.transaction_layer import TransactionLayer
from parley.sip.transaction_tables import State

__all__ = [
    "DEFAULT_TIMERS",
    "AckReceived",
    "CancelReceived",
    "ClientTransaction",
    "FailureCause",
    "Reliable2xx",
    "RequestReceived",
    "ResponseReceived",
    "ServerTransaction",
    "State",
    "StrayResponse",
    "Timer",
    "Timers",
    "TransactionEvent",
    "TransactionFailed",
    "TransactionLayer",
    "Transmit",
    "fallback_hop",
    "response_hop",
    "sent_by_hop",
]
