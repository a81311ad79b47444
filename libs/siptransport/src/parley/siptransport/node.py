"""A SIP node: transports, one transaction layer, one timer.

Everything is synchronous. A transport hands parsed messages to the node within one wake-up; each
runs through the transaction layer and its events through the handler at once, so most answers
leave at the end of the same wake-up, all together, after what the owner has to do before.
Calls of the owner from elsewhere (a task, a timer) send at once, but events that they cause come in
a later turn of the loop: a handler is never re-entered.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable

import structlog

from parley.service.clock import Clock
from parley.service.metrics import Metrics
from parley.sip.errors import ParseError, ProtocolError
from parley.sip.hop import Hop
from parley.sip.ids import Ids
from parley.sip.message import Request, Response
from parley.sip.stateless import answer_to_malformed, stateless_response
from parley.sip.transaction import (
    DEFAULT_TIMERS,
    ClientTransaction,
    Reliable2xx,
    RequestReceived,
    ServerTransaction,
    Timers,
    TransactionLayer,
)
from parley.sip.transaction_key import MAGIC_COOKIE
from parley.siptransport.deadline import DeadlineTimer
from parley.siptransport.door import doors_for
from parley.siptransport.handler import SipHandler, dispatch_table
from parley.siptransport.housekeeping import Housekeeping
from parley.siptransport.limits import DEFAULT_LIMITS, TransportLimits
from parley.siptransport.local import LocalNetwork, LocalTransport
from parley.siptransport.metrics import NodeCounts, show_node
from parley.siptransport.policy import DEFAULT_POLICY, NodePolicy
from parley.siptransport.stream import StreamTransport
from parley.siptransport.transport import (
    DEFAULT_OPTIONS,
    ListenOptions,
    Transport,
)
from parley.siptransport.udp import UdpTransport
from parley.siptransport.vias import Vias

_logger = structlog.stdlib.get_logger(__name__)


class SipNode:
    """The SIP face of a service.

    Attributes:
        hears, admits_source, is_known: what the policy says, for the transports.
        counts: what happened so far.
        layer: the transactions; for inspection.
        transports: by name; to close listeners and flows.
    """

    def __init__(  # noqa: PLR0913 - wiring, by keyword
        self,
        clock: Clock,
        ids: Ids,
        handler: SipHandler,
        timers: Timers = DEFAULT_TIMERS,
        metrics: Metrics | None = None,
        *,
        network: LocalNetwork | None = None,
        limits: TransportLimits = DEFAULT_LIMITS,
        client_tls: ssl.SSLContext | None = None,
        sent_by: str | None = None,
        policy: NodePolicy = DEFAULT_POLICY,
    ) -> None:
        """Makes a node without sockets.

        Args:
            clock: monotonic time of all timers.
            ids: branches, tags.
            handler: receives the events.
            timers: base values of the transactions.
            metrics: where `counts` are read from; nowhere when None.
            network: needed for `local` hops.
            limits: bounds of the sockets.
            client_tls: context of outgoing TLS connections; the system's trust by default.
            sent_by: host that all instances of a service write into the Via of requests on TCP and
                TLS, so that a request which another of them repeats is the same transaction to its
                receiver; the listener's address goes into parameters (`OWN_HOST`, `OWN_PORT`).
            policy: what it does where SIP leaves a choice.
        """
        self._clock = clock
        self._ids = ids
        self._reroute = policy.reroute
        self._before_sending = policy.before_sending
        self.hears = policy.hears
        self.admits_source = policy.admits_source
        self.is_known = policy.knows
        self.transports: dict[str, Transport] = {}
        self._vias = Vias(self.transports, ids, sent_by)
        self.layer = TransactionLayer(
            ids,
            timers,
            self._vias.via_for,
            admits=policy.admits,
            follows=policy.follows,
            takes_cancels=policy.takes_cancels,
        )
        self.counts = NodeCounts()
        self.transports["udp"] = UdpTransport(self, clock, limits)
        for name, tls in (("tcp", None), ("tls", client_tls)):
            doors = doors_for(name, policy, self.counts)
            self.transports[name] = StreamTransport(name, self, clock, limits, tls, doors)
        if network is not None:
            self.transports["local"] = LocalTransport(self, network)
        if policy.transports is not None:
            for name in self.transports.keys() - policy.transports:
                del self.transports[name]
        self._handler = handler
        self._dispatch = dispatch_table(handler)
        self._is_pumping = self._is_pump_due = self._is_closed = False
        self._timer = DeadlineTimer(clock, self._handle_timeout)
        self._housekeeping = Housekeeping(self.transports, clock)
        if metrics is not None:
            show_node(metrics, self.counts, self.layer, self.transports)

    # --- for the owner ---------------------------------------------------------------------

    async def listen(self, hop: Hop, options: ListenOptions = DEFAULT_OPTIONS) -> Hop:
        """Opens a listener.

        Args:
            hop: transport and local address; port 0 picks one.
            options: what kind of listener it is.

        Returns:
            The hop by which peers reach it.

        Raises:
            OSError: the address is taken or not ours.
            ValueError: the arguments contradict each other.
        """
        transport = self.transports.get(hop.transport)
        if transport is None:
            raise ValueError(f"no transport {hop.transport} in this node")
        listener = await transport.listen(hop, options)
        self._vias.clear()
        self._housekeeping.start()
        return listener

    def vouch_for(self, flow: Hop) -> None:
        """Notes that the peer of a connection proved who it is: it is no stranger any more."""
        self.transports[flow.transport].vouch_for(flow)

    def abandon(self, transaction: ClientTransaction) -> None:
        """Forgets a request of ours without any event; its branch may be used again."""
        self.layer.abandon(transaction)

    def send_request(
        self, request: Request, hop: Hop, user: object = None, *, branch: str | None = None
    ) -> ClientTransaction:
        """Starts a client transaction; puts our Via on top of `request`.

        Args:
            request: without our Via.
            hop: where it goes.
            user: kept in the transaction.
            branch: of the Via, magic cookie included; a new one when None.

        Raises:
            ValueError: a transaction with this branch and method is alive.
        """
        transaction = self.layer.send_request(request, hop, self._clock.now(), user, branch)
        self._after_call()
        return transaction

    def adopt(self, request: Request) -> ServerTransaction:
        """Makes the server transaction of a request that another instance received.

        Responses go where its topmost Via says; the transaction that exists already is returned.

        Raises:
            RemoteProtocolError: the topmost Via cannot be used.
        """
        transaction = self.layer.adopt(request, self._clock.now())
        if request.listener is None:
            transport = self.transports.get(transaction.hop.transport)
            request.listener = transport.sent_by(transaction.hop) if transport else None
        return transaction

    def redeliver(self, response: Response) -> bool:
        """Feeds a stray response again, after its client transaction was made.

        Returns:
            Whether a transaction took it; its event comes as any other.
        """
        is_taken = self.layer.redeliver(response, self._clock.now())
        self._after_call()
        return is_taken

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        """Answers a request; what comes after a final response is dropped."""
        transaction.send_response(response, self._clock.now())
        self._after_call()

    def respond_statelessly(self, transaction: ServerTransaction, response: Response) -> None:
        """Answers a request whose sender proved nothing: once, and keeps nothing of it (8.2.7).

        Over UDP nothing is sent that is longer than three times the request. `to_tag` is to be
        that of `stateless_tag`; the ACK comes to `on_ack`.
        """
        transaction.respond_once(response)
        self._after_call()

    def respond_until_ack(
        self, transaction: ServerTransaction, response: Response
    ) -> Reliable2xx | None:
        """Answers an INVITE by a 2xx as a UAS core does: again and again until the ACK comes.

        Without ACK `on_failure(transaction, "timeout")` comes after 64*T1. Proxies use `respond`.
        """
        reliable = self.layer.send_until_ack(transaction, response, self._clock.now())
        self._after_call()
        return reliable

    def cancel(
        self, transaction: ClientTransaction, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Cancels an INVITE as soon as that is legal; a final response or failure follows."""
        self.layer.cancel(transaction, self._clock.now(), headers)
        self._after_call()

    def send(self, message: Request | Response, hop: Hop, branch: str | None = None) -> None:
        """Sends without transaction: an ACK to a 2xx, a stray response passed on.

        A request gets our Via with this branch or a new one on top, a response goes out as it is.
        """
        if isinstance(message, Request):
            branch = branch or MAGIC_COOKIE + self._ids.token()
            message.prepend("via", f"{self.via_for(hop)};branch={branch}")
        self.layer.transmits.append((message, hop))
        self._after_call()

    def via_for(self, hop: Hop) -> str:
        """Returns the start of our Via on the way to a hop: "SIP/2.0/UDP 127.0.0.1:5060"."""
        return self._vias.via_for(hop)

    async def aclose(self) -> None:
        """Closes all sockets and timers; no event comes any more."""
        self._is_closed = True
        self._timer.cancel()
        try:
            for transport in self.transports.values():
                await transport.aclose()
        finally:
            self._housekeeping.stop()

    # --- for the transports (TransportSink) ------------------------------------------------

    def receive(self, message: Request | Response, source: Hop, listener: Hop) -> None:
        """Runs a message through the layer and the handler."""
        self.counts.received += 1
        message.source = source
        message.listener = listener
        if source.transport == "local":
            if not message.has_via:  # a neighbour may have bared one that cannot be read
                self.counts.malformed += 1
                return
        elif isinstance(message, Request):
            try:
                message.stamp_via(source.host, source.port)  # RFC 3261 18.2.1, RFC 3581 4
            except ProtocolError:
                # A Via that can be read but not written back, nothing a response could carry.
                self.counts.malformed += 1
                return
        try:
            self.layer.receive_message(message, self._clock.now())
        except Exception:  # handler root: the others of this wake-up have come as well
            self.counts.handler_errors += 1
            _logger.exception("sip message crashed", kind=type(message).__name__)
        if self.layer.events:
            self._pump()

    def receive_malformed(self, error: ParseError, source: Hop, listener: Hop) -> None:
        """Counts, and answers a request at its source, statelessly, if that is admitted."""
        self.counts.malformed += 1
        if not self.admits_source(source, listener):
            return
        response = answer_to_malformed(error, source)
        if response is not None:
            self.layer.transmits.append((response, source))

    def send_failed(self, message: Request | Response, hop: Hop) -> None:
        """Tries the other way a response may go, else tells the transaction."""
        if isinstance(message, Response) and self._is_rerouted(message, hop):
            return
        self.counts.send_failures += 1
        self.layer.message_failed(message, self._clock.now())

    def _is_rerouted(self, response: Response, failed: Hop) -> bool:
        # Without the listener of its request nobody can say whose the Via is.
        if response.listener is None or failed.transport == "udp" or self._is_closed:
            return False
        other = self._reroute(response, failed)
        if other is None or other.transport != failed.transport:
            return False
        self.transports[other.transport].send(response, other)
        return True

    def flow_closed(self, flow: Hop, alias: Hop) -> None:
        """Fails what waited for this connection and tells the owner."""
        self.counts.flows_closed += 1
        now = self._clock.now()
        self.layer.flow_closed(flow, now)
        self.layer.flow_closed(alias, now)
        self._pump()  # the failures first: after this event nothing more comes of the flow
        if not self._is_closed:
            self._guard(self._handler.on_flow_closed, flow, alias)

    def flush(self) -> None:
        """Handles what the reports caused and arms the timer."""
        layer = self.layer
        while (layer.events and not self._is_closed) or layer.transmits:
            if layer.events:
                self._pump()
            self._send_all()
        self._timer.arm(layer.next_timeout())

    # --- inside ----------------------------------------------------------------------------

    def _after_call(self) -> None:
        """Sends at once what a call of the owner put out; events wait for their turn."""
        if self._is_pumping:
            return
        self._send_all()
        if self.layer.events and not self._is_pump_due:
            self._is_pump_due = True
            asyncio.get_running_loop().call_soon(self._pump_later)
        self._timer.arm(self.layer.next_timeout())

    def _pump_later(self) -> None:
        self._is_pump_due = False
        self.flush()

    def _pump(self) -> None:
        """Hands every event to the handler; what that wants to send waits for the end."""
        if self._is_pumping:
            return
        self._is_pumping = True
        events = self.layer.events
        try:
            while events and not self._is_closed:
                event = events.popleft()
                try:
                    self._dispatch[type(event)](event)
                except Exception:  # handler root: one bad message must not stop the socket
                    self.counts.handler_errors += 1
                    _logger.exception("sip handler raised", event_type=type(event).__name__)
                    if isinstance(event, RequestReceived):
                        event.transaction.respond_once(stateless_response(event.request, 500))
        finally:
            self._is_pumping = False

    def _guard(self, callback: Callable[[Hop, Hop], None], flow: Hop, way: Hop) -> None:
        try:
            callback(flow, way)
        except Exception:  # handler root
            self.counts.handler_errors += 1
            _logger.exception("sip handler raised", event_type="flow closed")

    def _send_all(self) -> None:
        transmits = self.layer.transmits
        if transmits and self._before_sending is not None:
            self._prepare()
        while transmits:
            message, hop = transmits.popleft()
            if hop.transport in self.transports and not self._is_closed:
                self.counts.sent += 1
                self.transports[hop.transport].send(message, hop)
            else:
                self.send_failed(message, hop)

    def _prepare(self) -> None:
        assert self._before_sending is not None
        try:
            self._before_sending()
        except Exception:  # handler root: silence would be worse than what may be lost
            self.counts.handler_errors += 1
            _logger.exception("sip handler raised", event_type="before sending")

    def _handle_timeout(self, now: float) -> None:
        self.layer.handle_timeout(now)
        self.flush()
