"""What the owner of a `SipNode` implements."""

from collections.abc import Callable
from typing import Any, Protocol

from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.sip.transaction import (
    AckReceived,
    CancelReceived,
    ClientTransaction,
    FailureCause,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    StrayResponse,
    TransactionFailed,
)


class SipHandler(Protocol):
    """Receives a node's events; every method is synchronous and must not raise.

    The methods may call the node (`respond`, `send_request`, ...) at once, and are never called
    while such a call runs: what it causes comes after the method has returned.
    """

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        """A new request, ACK excepted; a CANCEL only with `NodePolicy.takes_cancels`."""
        ...

    def on_cancel(self, transaction: ServerTransaction, request: Request) -> None:
        """The INVITE of `transaction` should end with 487; the CANCEL is answered already."""
        ...

    def on_ack(self, request: Request) -> None:
        """An ACK to a 2xx, retransmissions included."""
        ...

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        """A response to `transaction.request`; each 2xx to INVITE, retransmitted ones too."""
        ...

    def on_stray_response(self, response: Response) -> None:
        """A response that belongs to no transaction."""
        ...

    def on_failure(
        self, transaction: ClientTransaction | ServerTransaction, cause: FailureCause
    ) -> None:
        """A client transaction without final response, or a server one that came to nothing."""
        ...

    def on_flow_closed(self, flow: Hop, way: Hop) -> None:
        """A connection is gone; requests that waited for answers on it have failed already.

        Args:
            flow: the connection.
            way: the hop without flow that led to it; the connection itself where none did, as with
                those that strangers open.
        """
        ...


def dispatch_table(handler: SipHandler) -> dict[type, Callable[[Any], None]]:
    """Returns what a node calls for each kind of event."""
    return {
        RequestReceived: lambda event: handler.on_request(event.transaction, event.request),
        AckReceived: lambda event: handler.on_ack(event.request),
        CancelReceived: lambda event: handler.on_cancel(event.transaction, event.request),
        ResponseReceived: lambda event: handler.on_response(event.transaction, event.response),
        StrayResponse: lambda event: handler.on_stray_response(event.response),
        TransactionFailed: lambda event: handler.on_failure(event.transaction, event.cause),
    }
