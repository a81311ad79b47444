"""What a transaction layer puts out: messages to transmit and events for its user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from parley.sip.client_transaction import ClientTransaction
    from parley.sip.hop import Hop
    from parley.sip.message import Request, Response
    from parley.sip.server_transaction import ServerTransaction

FailureCause = Literal["timeout", "transport"]


class Transmit(NamedTuple):
    """A message to send now."""

    message: Request | Response
    hop: Hop


class RequestReceived(NamedTuple):
    """A new request, to be answered through its transaction."""

    transaction: ServerTransaction
    request: Request


class AckReceived(NamedTuple):
    """An ACK to a 2xx: no transaction of its own, never answered (RFC 3261 17)."""

    request: Request


class CancelReceived(NamedTuple):
    """The INVITE of `transaction` should be given up; the CANCEL itself is answered already."""

    transaction: ServerTransaction
    request: Request


class ResponseReceived(NamedTuple):
    """A response to one of our requests; for an INVITE every 2xx, retransmitted ones too."""

    transaction: ClientTransaction
    response: Response


class StrayResponse(NamedTuple):
    """A response that matches no transaction."""

    response: Response


class TransactionFailed(NamedTuple):
    """A transaction ended, or could not do its work, without the peer saying so.

    For a client: no final response. For an INVITE server: the ACK never came ("timeout", which
    after a 2xx is the moment to send BYE, 13.3.1.4) or the response could not be sent.
    """

    transaction: ClientTransaction | ServerTransaction
    cause: FailureCause


TransactionEvent = (
    RequestReceived
    | AckReceived
    | CancelReceived
    | ResponseReceived
    | StrayResponse
    | TransactionFailed
)
