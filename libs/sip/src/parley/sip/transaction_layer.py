"""The transaction layer (RFC 3261 17): matches messages to machines and runs their timers.

Sans I/O: messages and `now` (monotonic seconds) go in; `transmits`, `events` and `next_timeout`
are what comes out. After any call take what is in both queues, then arm one timer.

What the layer does without its user: it absorbs and answers retransmissions, acknowledges
non-2xx finals, answers CANCEL (9.2), sends 100 when the user is slow, cancels an INVITE that rings
for longer than timer C. What it leaves to its user: 482 for merged requests, 408 towards a
caller, ACK to a 2xx. A UAS core sends its 2xx by `send_until_ack` and needs no timer for it.
"""

from collections import deque
from collections.abc import Callable, Iterable

from parley.sip.client_transaction import CancelHeaders, ClientTransaction
from parley.sip.derived_requests import cancel_for
from parley.sip.errors import RemoteProtocolError
from parley.sip.hop import Hop
from parley.sip.ids import Ids
from parley.sip.message import Request, Response, response_to
from parley.sip.reliable_2xx import AckKey, Reliable2xx, ack_key
from parley.sip.response_hop import response_hop, sent_by_hop
from parley.sip.server_transaction import (
    AckReceived,
    CancelReceived,
    RequestReceived,
    ServerTransaction,
    is_ack_of,
)
from parley.sip.timers import DEFAULT_TIMERS, Timers
from parley.sip.transaction_base import Transaction, TransactionContext, Transmit
from parley.sip.transaction_events import StrayResponse, TransactionEvent
from parley.sip.transaction_key import CANCELLABLE, MAGIC_COOKIE, Key
from parley.sip.transaction_plans import client_plans, server_plans
from parley.sip.transaction_tables import Input, State


def sent_by_of_hop(hop: Hop) -> str:
    """Returns the start of a Via for layers without a transport of their own (tests, tools)."""
    return f"SIP/2.0/{hop.transport.upper()} localhost.invalid"


class TransactionLayer:
    """All transactions of one SIP node.

    Args:
        ids: source of branches and of To tags.
        timers: base timer values.
        via_for: returns "SIP/2.0/UDP host:port", our side of the way to a hop.
        admits: says whether a request that is new may have a transaction; one that may not is
            dropped. All may when None.
        follows: says whether a retransmission that came by another way than the request moves the
            way back of the responses; when None, only that does which comes from the same address
            after the connection of the request was closed.
        takes_cancels: a CANCEL that matches nothing is a new request to the user instead of 481.

    Attributes:
        transmits: messages to send, oldest first, each with its hop; the user takes them out.
        events: what to tell the user, oldest first; he takes them out.
        servers: the server transactions alive, by key; to be looked at.
    """

    def __init__(
        self,
        ids: Ids,
        timers: Timers = DEFAULT_TIMERS,
        via_for: Callable[[Hop], str] = sent_by_of_hop,
        *,
        admits: Callable[[Request], bool] | None = None,
        follows: Callable[[Request], bool] | None = None,
        takes_cancels: bool = False,
    ) -> None:
        self._ids = ids
        self._via_for = via_for
        self._admits = admits
        self._follows = follows
        self._takes_cancels = takes_cancels
        self._timers = timers
        self._context = context = TransactionContext(timers)
        self.transmits: deque[Transmit] = context.transmits
        self.events: deque[TransactionEvent] = context.events
        self._clients: dict[Key, ClientTransaction] = {}
        self.servers: dict[Key, ServerTransaction] = {}
        self._unacknowledged: dict[AckKey, Reliable2xx] = {}
        self._client_plans = client_plans(context, self._clients)
        self._server_plans = server_plans(context, self.servers)

    @property
    def client_count(self) -> int:
        """Client transactions alive."""
        return len(self._clients)

    @property
    def server_count(self) -> int:
        """Server transactions alive."""
        return len(self.servers)

    def is_in_use(self, flow: Hop) -> bool:
        """Whether a transaction lives on this connection."""
        return flow in self._context.by_flow

    # --- messages in -----------------------------------------------------------------------

    def receive_message(self, message: Request | Response, now: float) -> None:
        """Feeds a message from the transport.

        Args:
            message: with valid Via, From, To, Call-ID and CSeq, the top Via of a request stamped
                with received and rport, `source` set.
            now: monotonic seconds.
        """
        if isinstance(message, Response):
            self._receive_response(message, now)
            return
        method = message.method
        if method == "ACK":
            self._receive_ack(message, now)
            return
        key = message.transaction_key(method)
        transaction = self.servers.get(key)
        if transaction is not None:
            if message.source != transaction.hop:
                self._follow(transaction, message)
            transaction.step(Input.REQUEST, message, now)
        elif method == "CANCEL":
            self._receive_cancel(message, key, now)
        else:
            self._receive_new(message, key, now)

    def _receive_new(self, request: Request, key: Key, now: float) -> None:
        if self._admits is None or self._admits(request):
            transaction = self._begin_server(request, key, now)
            self.events.append(RequestReceived(transaction, request))

    def _receive_response(self, response: Response, now: float) -> None:
        transaction = self._clients.get(response.transaction_key())
        if transaction is None:
            self.events.append(StrayResponse(response))
        else:
            transaction.receive_response(response, now)

    def _follow(self, transaction: ServerTransaction, request: Request) -> None:
        follows = self._follows is not None and self._follows(request)
        if not follows and not transaction.is_left_for(request.source):
            return
        hop = response_hop(request)
        # Timers depend on the transport, so the way may change and its kind may not.
        if hop.transport == transaction.hop.transport:
            transaction.move(hop)
            if transaction.state is State.ACCEPTED:
                # No retransmission (RFC 6026 8.7): the 2xx may have gone the way that was left.
                transaction.repeat_response()

    def _begin_server(self, request: Request, key: Key, now: float) -> ServerTransaction:
        transaction = self._make_server(request, key, response_hop(request))
        transaction.begin(now)
        if transaction.is_invite and not self._timers.trying:
            transaction.send_response(response_to(request, 100), now)
        return transaction

    def adopt(self, request: Request, now: float) -> ServerTransaction:
        """Makes the server transaction of a request that another instance received.

        Its responses go where the topmost Via says, no 100 is sent by itself and no event comes.
        A transaction that exists already is returned as it is.

        Raises:
            RemoteProtocolError: the topmost Via cannot be used.
        """
        key = request.transaction_key(request.method)
        known = self.servers.get(key)
        if known is not None:
            return known
        transaction = self._make_server(request, key, sent_by_hop(request.via))
        transaction.begin_adopted(now)
        return transaction

    def _make_server(self, request: Request, key: Key, hop: Hop) -> ServerTransaction:
        plan = self._server_plans[request.method == "INVITE", hop.transport != "udp"]
        return ServerTransaction(self._context, plan, request, hop, key)

    def redeliver(self, response: Response, now: float) -> bool:
        """Feeds a response that came too early for its transaction once more.

        Returns:
            Whether there is a transaction for it now; no `StrayResponse` comes otherwise.
        """
        transaction = self._clients.get(response.transaction_key())
        if transaction is None:
            return False
        transaction.receive_response(response, now)
        return True

    def _receive_ack(self, ack: Request, now: float) -> None:
        if self._unacknowledged:
            waiting = self._unacknowledged.get(ack_key(ack))
            if waiting is not None:
                waiting.stop()
        transaction = self.servers.get(ack.transaction_key("INVITE"))
        if transaction is None:
            self.events.append(AckReceived(ack))
        elif is_ack_of(ack, transaction):
            transaction.step(Input.ACK, ack, now)

    def _receive_cancel(self, cancel: Request, key: Key, now: float) -> None:
        target = self._find_cancelled(cancel)
        if target is None and self._takes_cancels:
            self._receive_new(cancel, key, now)
            return
        transaction = self._begin_server(cancel, key, now)
        if target is None:
            transaction.send_response(response_to(cancel, 481, to_tag=self._ids.token()), now)
            return
        # The To tag of both answers should be the same (9.2); without one yet, any will do.
        answered = target.response
        tag = answered.to.tag if answered is not None else None
        transaction.send_response(response_to(cancel, 200, to_tag=tag or self._ids.token()), now)
        if target.is_invite and target.state is State.PROCEEDING:
            self.events.append(CancelReceived(target, cancel))

    def _find_cancelled(self, cancel: Request) -> ServerTransaction | None:
        for method in CANCELLABLE:
            target = self.servers.get(cancel.transaction_key(method))
            if target is not None:
                return target if _is_about(cancel, target) else None
        return None

    # --- messages out ----------------------------------------------------------------------

    def send_request(
        self,
        request: Request,
        hop: Hop,
        now: float,
        user: object = None,
        branch: str | None = None,
    ) -> ClientTransaction:
        """Starts a client transaction; adds a Via on top of `request`.

        Args:
            request: without our Via.
            hop: where it goes.
            now: monotonic seconds.
            user: kept in the transaction.
            branch: of the Via, magic cookie included; a new one when None.

        Raises:
            ValueError: a transaction with this branch and method is alive.
        """
        if branch is None:
            branch = MAGIC_COOKIE + self._ids.token()
        elif (branch, request.method) in self._clients:
            self._free(branch, request.method)
        is_datagram = hop.transport == "udp"
        request.prepend(
            "via", f"{self._via_for(hop)};branch={branch}{';rport' if is_datagram else ''}"
        )
        return self._begin_client(request, branch, hop, now, user)

    def _free(self, branch: str, method: str) -> None:
        known = self._clients[branch, method]
        if known.is_invite or known.state is not State.COMPLETED:
            raise ValueError(f"branch {branch} is in use")
        # It has its answer and only absorbs repeated ones (timer K); the new one wants those.
        known.abandon()

    def _begin_client(
        self, request: Request, branch: str, hop: Hop, now: float, user: object
    ) -> ClientTransaction:
        method = request.method
        plan = self._client_plans[method == "INVITE", hop.transport != "udp"]
        transaction = ClientTransaction(
            self._context, plan, request, hop, (branch, method), self._send_cancel
        )
        transaction.user = user
        transaction.begin(now)
        self.transmits.append((request, hop))
        return transaction

    def send_until_ack(
        self, transaction: ServerTransaction, response: Response, now: float
    ) -> Reliable2xx | None:
        """Sends a UAS core's 2xx to an INVITE again and again until its ACK (13.3.1.4).

        After 64*T1 without ACK `TransactionFailed(transaction, "timeout")` comes.

        Returns:
            The retransmission, to be stopped when the dialog ends before; None if the
            transaction had a final response already.
        """
        transaction.send_response(response, now)
        if transaction.response is not response:
            return None
        reliable = Reliable2xx(self._context, self._unacknowledged, transaction, response)
        reliable.begin(now)
        return reliable

    def cancel(
        self,
        transaction: ClientTransaction,
        now: float,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Cancels an INVITE, as soon as a provisional response allows it (9.1).

        The transaction's final response still comes (487, or a 2xx that crossed), or "timeout"
        64*T1 after the CANCEL left.
        """
        transaction.cancel(headers, now)

    def abandon(self, transaction: ClientTransaction) -> None:
        """Forgets a request of ours without any event; its branch may be used again."""
        transaction.abandon()

    def _send_cancel(
        self, transaction: ClientTransaction, headers: CancelHeaders, now: float
    ) -> None:
        cancel = cancel_for(transaction.request, headers)
        branch = str(transaction.key[0])
        self._begin_client(cancel, branch, transaction.hop, now, None).is_internal = True

    # --- transport failures ----------------------------------------------------------------

    def flow_closed(self, hop: Hop, now: float) -> None:
        """Fails the requests that wait for an answer on a connection that is gone.

        Our own responses may still go out on another connection (18.2.2): see
        `message_failed`; the peer may repeat its request over one.
        """
        for transaction in list(self._context.by_flow.get(hop, ())):
            if isinstance(transaction, ClientTransaction):
                transaction.step(Input.TRANSPORT_ERROR, transaction.request, now)
            elif isinstance(transaction, ServerTransaction):
                transaction.is_cut_off = True

    def message_failed(self, message: Request | Response, now: float) -> None:
        """Fails the transaction of one message that could not be sent, if it has one."""
        try:
            transaction = self._transaction_of(message)
        except RemoteProtocolError:
            return  # the answer to a malformed request repeats what is malformed
        if transaction is not None:
            self._fail(transaction, now)

    def _transaction_of(self, message: Request | Response) -> Transaction | None:
        if isinstance(message, Response):
            # An older client's has no key; its timers end it.
            transaction = self.servers.get(message.server_key() or ())
            # Not what was sent without it: anybody may write another one's Via into a request.
            return transaction if transaction and transaction.response is message else None
        method = message.method
        return self._clients.get((message.via.branch, "INVITE" if method == "ACK" else method))

    def _fail(self, transaction: Transaction, now: float) -> None:
        for waiting in list(self._unacknowledged.values()):
            if waiting.transaction is transaction:
                waiting.stop()
        transaction.step(Input.TRANSPORT_ERROR, transaction.request, now)

    # --- time and output -------------------------------------------------------------------

    def handle_timeout(self, now: float) -> None:
        """Runs every timer due; early and late calls are harmless."""
        context = self._context
        # Ends first: nothing is retransmitted at the moment it is given up.
        if context.expire.earliest.at <= now:
            context.expire.fire_due(now)
        if context.retransmit.earliest.at <= now:
            context.retransmit.fire_due(now)

    def next_timeout(self) -> float:
        """Returns when `handle_timeout` is due, perhaps too early; `math.inf` without timers."""
        retransmit, expire = self._context.retransmit.earliest.at, self._context.expire.earliest.at
        return retransmit if retransmit < expire else expire


def _is_about(cancel: Request, target: ServerTransaction) -> bool:
    """Says whether a CANCEL that matched by key has the Call-ID of the INVITE, as it must (9.1).

    Who has seen a branch, but no more, ends no call. What is not an INVITE is not ended anyway.
    """
    return not target.is_invite or target.request.call_id == cancel.call_id
