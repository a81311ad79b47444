"""Everything that a transaction layer tells its user; an event stands beside its transaction."""

import msgspec

from parley.sip.client_transaction import ResponseReceived
from parley.sip.message import Response
from parley.sip.server_transaction import AckReceived, CancelReceived, RequestReceived
from parley.sip.transaction_base import TransactionFailed


class StrayResponse(msgspec.Struct, frozen=True):
    """A response that matches no transaction."""

    response: Response


TransactionEvent = (
    RequestReceived
    | AckReceived
    | CancelReceived
    | ResponseReceived
    | StrayResponse
    | TransactionFailed
)
