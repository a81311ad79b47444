"""The transaction layer (RFC 3261 17): matches messages to machines and runs their timers.

Sans I/O: messages and `now` (monotonic seconds) go in, `poll_transmit`, `poll_event` and
`next_timeout` come out. After any call drain both polls, then arm one timer.

What the layer does without its user: it absorbs and answers retransmissions, acknowledges
non-2xx finals, answers CANCEL (9.2), sends 100 when the user is slow, cancels an INVITE that rings
for longer than timer C. What it leaves to its user: 482 for merged requests, 408 towards a
caller, ACK to a 2xx. A UAS core sends its 2xx by `send_until_ack` and needs no timer for it.
"""

from collections.abc import Callable, Iterable

from parley.sip.client_transaction import CancelHeaders, ClientTransaction
from parley.sip.derived_requests import cancel_for
from parley.sip.errors import RemoteProtocolError
from parley.sip.hop import Hop
from parley.sip.ids import Ids
from parley.sip.message import Request, Response, response_to
from parley.sip.reliable_2xx import AckKey, Reliable2xx, ack_key
from parley.sip.response_hop import response_hop
from parley.sip.server_transaction import ServerTransaction
from parley.sip.timers import DEFAULT_TIMERS, Timers
from parley.sip.transaction_base import Plan, Transaction, TransactionContext, make_plan
from parley.sip.transaction_events import (
    AckReceived,
    CancelReceived,
    RequestReceived,
    StrayResponse,
    TransactionEvent,
    Transmit,
)
from parley.sip.transaction_key import MAGIC_COOKIE, Key, server_key
from parley.sip.transaction_tables import (
    INVITE_CLIENT_MACHINE,
    INVITE_SERVER_MACHINE,
    NON_INVITE_CLIENT_MACHINE,
    NON_INVITE_SERVER_MACHINE,
    Input,
    Machine,
    State,
)

# What a CANCEL may name besides INVITE; it is answered and changes nothing (9.2).
_OTHER_METHODS = (
    "REGISTER",
    "OPTIONS",
    "BYE",
    "MESSAGE",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "PUBLISH",
    "UPDATE",
    "INFO",
    "PRACK",
)


def sent_by_of_hop(hop: Hop) -> str:
    """Returns the start of a Via for layers without a transport of their own (tests, tools)."""
    return f"SIP/2.0/{hop.transport.upper()} localhost.invalid"


class TransactionLayer:
    """All transactions of one SIP node.

    Args:
        ids: source of branches and of To tags.
        timers: base timer values.
        via_for: returns "SIP/2.0/UDP host:port", our side of the way to a hop.
    """

    def __init__(
        self,
        ids: Ids,
        timers: Timers = DEFAULT_TIMERS,
        via_for: Callable[[Hop], str] = sent_by_of_hop,
    ) -> None:
        self._ids = ids
        self._via_for = via_for
        self._timers = timers
        self._context = context = TransactionContext(timers)
        self._transmits = context.transmits
        self._events = context.events
        self._clients: dict[Key, ClientTransaction] = {}
        self._servers: dict[Key, ServerTransaction] = {}
        self._unacknowledged: dict[AckKey, Reliable2xx] = {}
        # Plans by (is_invite, is_reliable).
        self._client_plans = {
            (is_invite, is_reliable): self._client_plan(machine, is_reliable)
            for is_invite, machine in (
                (True, INVITE_CLIENT_MACHINE),
                (False, NON_INVITE_CLIENT_MACHINE),
            )
            for is_reliable in (True, False)
        }
        self._server_plans = {
            (is_invite, is_reliable): self._server_plan(machine, is_reliable)
            for is_invite, machine in (
                (True, INVITE_SERVER_MACHINE),
                (False, NON_INVITE_SERVER_MACHINE),
            )
            for is_reliable in (True, False)
        }

    def _client_plan(self, machine: Machine, is_reliable: bool) -> Plan:
        effects = ClientTransaction.EFFECTS
        return make_plan(machine, effects, self._context, self._clients, is_reliable=is_reliable)

    def _server_plan(self, machine: Machine, is_reliable: bool) -> Plan:
        effects = ServerTransaction.EFFECTS
        return make_plan(machine, effects, self._context, self._servers, is_reliable=is_reliable)

    @property
    def client_count(self) -> int:
        """Client transactions alive."""
        return len(self._clients)

    @property
    def server_count(self) -> int:
        """Server transactions alive."""
        return len(self._servers)

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
        else:
            self._receive_request(message, now)

    def _receive_response(self, response: Response, now: float) -> None:
        transaction = self._clients.get((response.via.branch, response.cseq.method))
        if transaction is None:
            self._events.append(StrayResponse(response))
        else:
            transaction.receive_response(response, now)

    def _receive_request(self, request: Request, now: float) -> None:
        method = request.method
        if method == "ACK":
            self._receive_ack(request, now)
            return
        key = server_key(request, method)
        transaction = self._servers.get(key)
        if transaction is not None:
            transaction.step(Input.REQUEST, request, now)
        elif method == "CANCEL":
            self._receive_cancel(request, key, now)
        else:
            transaction = self._begin_server(request, key, now)
            self._events.append(RequestReceived(transaction, request))

    def _begin_server(self, request: Request, key: Key, now: float) -> ServerTransaction:
        hop = response_hop(request)
        is_invite = request.method == "INVITE"
        plan = self._server_plans[is_invite, hop.transport != "udp"]
        transaction = ServerTransaction(self._context, plan, request, hop, key)
        transaction.begin(now)
        if is_invite and not self._timers.trying:
            transaction.send_response(response_to(request, 100), now)
        return transaction

    def _receive_ack(self, ack: Request, now: float) -> None:
        if self._unacknowledged:
            waiting = self._unacknowledged.get(ack_key(ack))
            if waiting is not None:
                waiting.stop()
        transaction = self._servers.get(server_key(ack, "INVITE"))
        if transaction is None:
            self._events.append(AckReceived(ack))
        elif _is_ack_of(ack, transaction):
            transaction.step(Input.ACK, ack, now)

    def _receive_cancel(self, cancel: Request, key: Key, now: float) -> None:
        transaction = self._begin_server(cancel, key, now)
        target = self._find_cancelled(cancel)
        if target is None:
            transaction.send_response(response_to(cancel, 481, to_tag=self._ids.token()), now)
            return
        # The To tag of both answers should be the same (9.2); without one yet, any will do.
        answered = target.response
        tag = answered.to.tag if answered is not None else None
        transaction.send_response(response_to(cancel, 200, to_tag=tag or self._ids.token()), now)
        if target.is_invite and target.state is State.PROCEEDING:
            self._events.append(CancelReceived(target, cancel))

    def _find_cancelled(self, cancel: Request) -> ServerTransaction | None:
        for method in ("INVITE", *_OTHER_METHODS):
            target = self._servers.get(server_key(cancel, method))
            if target is not None:
                return target
        return None

    # --- messages out ----------------------------------------------------------------------

    def send_request(
        self, request: Request, hop: Hop, now: float, user: object = None
    ) -> ClientTransaction:
        """Starts a client transaction; adds a Via with a new branch on top of `request`."""
        branch = MAGIC_COOKIE + self._ids.token()
        is_datagram = hop.transport == "udp"
        request.prepend(
            "via", f"{self._via_for(hop)};branch={branch}{';rport' if is_datagram else ''}"
        )
        return self._begin_client(request, branch, hop, now, user)

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
        self._transmits.append(Transmit(request, hop))
        return transaction

    def send_response(self, transaction: ServerTransaction, response: Response, now: float) -> None:
        """Sends a response; one after the final is dropped (further 2xx to INVITE excepted)."""
        transaction.send_response(response, now)

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
        `transport_failed`.
        """
        for transaction in list(self._context.by_flow.get(hop, ())):
            if isinstance(transaction, ClientTransaction):
                transaction.step(Input.TRANSPORT_ERROR, transaction.request, now)

    def transport_failed(self, hop: Hop, reason: str, now: float) -> None:
        """Fails everything that needs a stream hop which cannot be reached.

        Args:
            hop: as given with the `Transmit`.
            reason: for the transport's own log.
            now: monotonic seconds.
        """
        for transaction in list(self._context.by_flow.get(hop, ())):
            self._fail(transaction, now)

    def message_failed(self, message: Request | Response, now: float) -> None:
        """Fails the transaction of one message that could not be sent, if it has one."""
        try:
            transaction = self._transaction_of(message)
        except RemoteProtocolError:
            return  # the answer to a malformed request repeats what is malformed
        if transaction is not None:
            self._fail(transaction, now)

    def _transaction_of(self, message: Request | Response) -> Transaction | None:
        via = message.via
        if isinstance(message, Response):
            key = (via.branch, message.cseq.method, via.host.lower(), via.port)
            return self._servers.get(key)
        method = message.method
        return self._clients.get((via.branch, "INVITE" if method == "ACK" else method))

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
        if context.expire.earliest <= now:
            context.expire.fire_due(now)
        if context.retransmit.earliest <= now:
            context.retransmit.fire_due(now)

    def next_timeout(self) -> float | None:
        """Returns when `handle_timeout` is due; may be too early after cancellations."""
        earliest = min(self._context.retransmit.earliest, self._context.expire.earliest)
        return earliest if earliest < float("inf") else None

    @property
    def has_events(self) -> bool:
        """Whether `poll_event` would return one."""
        return bool(self._events)

    def poll_transmit(self) -> Transmit | None:
        """Returns the next message to send."""
        return self._transmits.popleft() if self._transmits else None

    def poll_event(self) -> TransactionEvent | None:
        """Returns the next event."""
        return self._events.popleft() if self._events else None


def _is_ack_of(ack: Request, transaction: ServerTransaction) -> bool:
    """Whether an ACK that matched by key belongs to the INVITE; the key alone decides for RFC 3261.

    A client of RFC 2543 is recognised by the To tag of the response (17.2.3).
    """
    branch = ack.via.branch
    if branch is not None and branch.startswith(MAGIC_COOKIE):
        return True
    response = transaction.response
    return response is not None and response.to.tag == ack.to.tag
