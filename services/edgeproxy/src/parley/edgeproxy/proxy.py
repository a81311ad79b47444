"""Stateful forwarding between phones and call managers (RFC 3261 16).

One server transaction, one client transaction: the edge never forks, a call manager does. The
link between both is the `Forwarding` that both transactions carry as their `user`; nothing else
remembers it, so it ends with them. Responses go back as they come (16.7): 100 stays here, every
2xx to an INVITE passes, retransmitted ones too. Towards call managers a failure to reach one, or
its 503, leads to the next; towards phones the answer names what is gone (430 RFC 5626, 480, 408).
"""

from asyncio import Event
from dataclasses import dataclass
from typing import Final, Protocol

from parley.edgeproxy.borders import strip_foreign, strip_internal
from parley.edgeproxy.callmanagers import CallManagers, Candidate
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.routes import OWN_ROUTES, Routes
from parley.edgeproxy.token import Token, TokenKind
from parley.service.clock import Clock
from parley.sip.hop import Hop
from parley.sip.ids import Ids
from parley.sip.message import Request, Response, response_to
from parley.sip.transaction import ClientTransaction, ServerTransaction

MAX_ATTEMPTS: Final = 3
RETRY_AFTER_S: Final = "2"


class Sender(Protocol):
    """What a proxy needs of a `SipNode`."""

    def send_request(self, request: Request, hop: Hop, user: object = None) -> ClientTransaction:
        """Starts a client transaction."""
        ...

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        """Answers a request."""
        ...

    def cancel(
        self, transaction: ClientTransaction, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Gives an INVITE up."""
        ...

    def send(self, message: Request | Response, hop: Hop) -> None:
        """Sends without a transaction; a request gets our Via."""
        ...


@dataclass(slots=True)
class Forwarding:
    """A request on its way through this edge.

    Attributes:
        is_inward: towards a call manager.
        client: the transaction towards the next hop; None before it is sent.
        call_id: our id of the call; what call managers are chosen by.
        owner: the call manager it should go to; empty for a new call.
        new_from: the caller's flow when no call manager has this call yet, so any may have it.
        tried: instances that were sent it.
        is_pending: no final answer yet; counted by the proxy for draining.
    """

    server: ServerTransaction
    is_inward: bool
    client: ClientTransaction | None = None
    call_id: str = ""
    owner: str = ""
    new_from: Hop | None = None
    tried: tuple[str, ...] = ()
    is_pending: bool = False


class Proxy:
    """Forwards requests, responses, CANCEL and ACK."""

    def __init__(
        self,
        *,
        sender: Sender,
        routes: Routes,
        callmanagers: CallManagers,
        clock: Clock,
        ids: Ids,
        metrics: EdgeMetrics,
    ) -> None:
        self._sender = sender
        self._routes = routes
        self._callmanagers = callmanagers
        self._clock = clock
        self._ids = ids
        self._metrics = metrics
        self._pending = 0
        self._idle = Event()
        self._idle.set()

    async def wait_idle(self) -> None:
        """Returns when no forwarded request waits for its answer."""
        await self._idle.wait()

    async def look_for_callmanagers(self) -> None:
        """Reads the load reports at once when none is known: one may have started just now."""
        if not self._callmanagers.count:
            await self._callmanagers.refresh(self._clock.now(), self._clock.wall_s())

    def respond(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Answers a request ourselves."""
        tag = self._ids.token()
        response = response_to(transaction.request, status, reason, to_tag=tag, headers=headers)
        self._sender.respond(transaction, response)

    def forward_inward(self, request: Request, forwarding: Forwarding) -> None:
        """Sends a prepared request to a call manager; answers 503 when there is none.

        Args:
            request: ours to change, without our Via.
            forwarding: with call id, and owner unless it is new.
        """
        candidate = self._pick(forwarding)
        if candidate is None:
            self._metrics.no_callmanager.inc()
            self.respond(
                forwarding.server, 503, "No Call Manager", (("retry-after", RETRY_AFTER_S),)
            )
            return
        self._send_inward(request, candidate, forwarding)

    def forward_outward(self, request: Request, hop: Hop, server: ServerTransaction) -> None:
        """Sends a prepared request to a phone over its flow."""
        self._send(request, hop, Forwarding(server, is_inward=False))

    def forward_ack(self, request: Request, hop: Hop) -> None:
        """Sends the ACK to a 2xx on, statelessly (16.11): it has no transaction."""
        self._sender.send(request, hop)

    def ack_inward(self, request: Request, owner: str, call_id: str) -> None:
        """Sends the ACK to a 2xx to the call's owner; without any call manager it is lost."""
        candidate = self._callmanagers.owner_or_successor(owner, call_id, self._clock.now())
        if candidate is not None:
            self.forward_ack(request, candidate.hop)

    def on_cancel(self, server: ServerTransaction, request: Request) -> None:
        """Passes a CANCEL on, its Reason with it (RFC 3326)."""
        forwarding = server.user
        if isinstance(forwarding, Forwarding) and forwarding.client is not None:
            reasons = tuple([("reason", text) for text in request.get_all("reason")])
            self._sender.cancel(forwarding.client, reasons)
        else:
            self.respond(server, 487)

    def on_response(self, client: ClientTransaction, response: Response) -> None:
        """Passes a response back (16.7)."""
        forwarding = client.user
        status = response.status
        if status == 100 or not isinstance(forwarding, Forwarding):
            return
        if status == 503 and forwarding.new_from is not None and self._retry(client, forwarding):
            return
        if status >= 200:
            self._settle(forwarding)
        response.remove_first_value("via")
        if not response.has("via"):
            return
        if forwarding.is_inward:
            strip_internal(response)
        else:
            strip_foreign(response)
        self._sender.respond(forwarding.server, response)

    def on_stray_response(self, response: Response, *, is_inside: bool) -> None:
        """Passes on a 2xx to an INVITE whose transaction is gone, as after a restart of this edge.

        RFC 6026 7 forbids to forward strays at large, for that makes a reflector. A call manager is
        trusted; from a phone only what goes on to a live call manager passes.
        """
        if response.cseq.method != "INVITE" or not 200 <= response.status < 300:
            return
        response.remove_first_value("via")
        if not response.has("via"):
            return
        via = response.via
        if is_inside:
            strip_internal(response)
        elif self._callmanagers.is_address(via.host, via.port or 0):
            strip_foreign(response)
        else:
            return
        port = via.rport or via.sent_by_port
        if via.transport == "local":
            port = via.port or 0
        self._sender.send(response, Hop(via.transport, via.received or via.host, port))

    def on_failure(self, client: ClientTransaction, cause: str) -> None:
        """Answers for a next hop that did not (16.8, 16.9)."""
        forwarding = client.user
        if not isinstance(forwarding, Forwarding):
            return
        if client.is_cancelled:
            self._settle(forwarding)
            self.respond(forwarding.server, 487)
            return
        if forwarding.is_inward:
            self._callmanagers.mark_unreachable(forwarding.tried[-1], self._clock.now())
            if cause == "transport" and self._retry(client, forwarding):
                return
        self._settle(forwarding)
        status = _failure_status(client, forwarding, cause)
        if status is not None:
            self.respond(forwarding.server, status)

    def _settle(self, forwarding: Forwarding) -> None:
        if forwarding.is_pending:
            forwarding.is_pending = False
            # Nothing is left to cancel. Responses still find the way back through the client's
            # transaction; without these two links no cycle is left to the garbage collector.
            forwarding.server.user = forwarding.client = None
            self._pending -= 1
            if not self._pending:
                self._idle.set()

    def _send_inward(self, request: Request, target: Candidate, forwarding: Forwarding) -> None:
        forwarding.tried += (target.instance,)
        flow = forwarding.new_from
        if flow is not None:
            # Written last: the token names the call manager that gets the call.
            token = Token(TokenKind.DIALOG, flow, forwarding.call_id, target.instance)
            self._routes.record(request, token, flow.transport, is_inward=True)
        self._send(request, target.hop, forwarding)

    def _send(self, request: Request, hop: Hop, forwarding: Forwarding) -> None:
        server = forwarding.server
        server.user = forwarding
        if not forwarding.is_pending:
            forwarding.is_pending = True
            self._pending += 1
            self._idle.clear()
        # A transport may fail at once, so the link has to stand before the request is sent.
        client = self._sender.send_request(request, hop, forwarding)
        if not client.is_terminated:
            forwarding.client = client

    def _pick(self, forwarding: Forwarding) -> Candidate | None:
        tried = forwarding.tried
        if len(tried) >= MAX_ATTEMPTS:
            return None
        now = self._clock.now()
        if forwarding.new_from is not None:
            return self._callmanagers.choose(forwarding.call_id, now, tried)
        return self._callmanagers.owner_or_successor(
            forwarding.owner, forwarding.call_id, now, tried
        )

    def _retry(self, client: ClientTransaction, forwarding: Forwarding) -> bool:
        """Sends the same request to another call manager; False when none is left."""
        candidate = None if forwarding.server.is_answered else self._pick(forwarding)
        if candidate is None:
            return False
        request = client.request.copy()
        request.remove_first_value("via")
        if forwarding.new_from is not None:
            for _ in range(OWN_ROUTES):
                request.remove_first_value("record-route")
        self._metrics.retries.inc()
        self._send_inward(request, candidate, forwarding)
        return True


def _failure_status(client: ClientTransaction, forwarding: Forwarding, cause: str) -> int | None:
    """Maps a failed next hop to the status of the answer; None when silence is right."""
    if cause == "timeout":
        # RFC 4320 4.2: a 408 to anything but INVITE comes too late and only does harm.
        return 408 if client.is_invite else None
    if forwarding.is_inward:
        return 503
    return 480 if client.hop.transport == "udp" else 430
