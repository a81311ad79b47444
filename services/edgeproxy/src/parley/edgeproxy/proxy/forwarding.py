"""One request on its way through this edge, and what a proxy needs to send it."""

from dataclasses import dataclass
from typing import Protocol

from parley.edgeproxy.identity.authentication import Answer
from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.sip.transaction import ClientTransaction, ServerTransaction

Headers = tuple[tuple[str, str], ...]


class Sender(Protocol):
    """What a proxy needs of a `SipNode`."""

    def send_request(
        self, request: Request, hop: Hop, user: object = None, *, branch: str | None = None
    ) -> ClientTransaction:
        """Starts a client transaction; ValueError when the branch is in use."""
        ...

    def abandon(self, transaction: ClientTransaction) -> None:
        """Forgets a client transaction without any event."""
        ...

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        """Answers a request."""
        ...

    def respond_statelessly(self, transaction: ServerTransaction, response: Response) -> None:
        """Answers a request whose sender proved nothing; nothing is kept of it."""
        ...

    def cancel(self, transaction: ClientTransaction, headers: Headers = ()) -> None:
        """Gives an INVITE up."""
        ...

    def send(self, message: Request | Response, hop: Hop, branch: str | None = None) -> None:
        """Sends without a transaction; a request gets our Via."""
        ...


@dataclass(slots=True, eq=False)
class Forwarding:
    """A request on its way through this edge.

    Attributes:
        is_inward: towards a call manager.
        client: the transaction towards the next hop; None before it is sent.
        call_id: our id of the call; what call managers are chosen by.
        owner: the call manager it should go to; empty for a new call.
        new_from: the caller's flow when no call manager has this call yet, so any may have it.
        unless_known: what the phone hears when no call manager knows the INVITE, which may be a
            repeated one only; None for all others.
        branch: of our Via, whichever way the request is sent.
        tried: instances that were sent it in this round, the present one last; it is empty before
            the first and between rounds.
        redirects: how often in this round a call manager named another one as the owner.
        named: the owner that a call manager named last; empty while none did.
        unknowing: instances that could not tell in this round whose the call is.
        unknown_at: when that happened first; None while it did not.
        is_heard: whether the present call manager has said anything.
        reasons: why the caller gave up (RFC 3326); None as long as he did not.
        is_pending: no final answer yet; counted by the proxy for draining.
    """

    server: ServerTransaction
    is_inward: bool
    client: ClientTransaction | None = None
    call_id: str = ""
    owner: str = ""
    new_from: Hop | None = None
    unless_known: Answer | None = None
    branch: str = ""
    tried: tuple[str, ...] = ()
    redirects: int = 0
    named: str = ""
    unknowing: tuple[str, ...] = ()
    unknown_at: float | None = None
    is_heard: bool = False
    reasons: Headers | None = None
    is_pending: bool = False
