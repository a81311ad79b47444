"""Stateful forwarding between phones and call managers (RFC 3261 16).

One server transaction, one client transaction: the edge never forks, a call manager does. The
link between both is the `Forwarding` that both transactions carry as their `user`. Responses go
back as they come (16.7): 100 stays here, every 2xx to an INVITE passes, retransmitted ones too.

Towards call managers no single one counts. A request whose call manager cannot be reached, says
nothing for `SILENCE_S`, is reported gone, or gives an answer that leads elsewhere goes on to
another one (`pursuit.py`) with the same branch, so that to the call it is the same request.
Towards phones the answer names what is gone (430 RFC 5626, 480, 408).
"""

from asyncio import Event
from collections import deque
from collections.abc import Collection
from typing import Final

from parley.edgeproxy.border.headers import (
    OWNER_HEADER,
    UNREACHABLE_HEADER,
    strip_foreign,
    strip_internal,
)
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.proxy.callmanagers import CallManagers, Candidate
from parley.edgeproxy.proxy.forwarding import Forwarding, Sender
from parley.edgeproxy.proxy.pursuit import Pursuit
from parley.edgeproxy.routing.derivation import Derivation
from parley.edgeproxy.routing.routes import OWN_ROUTES, Routes
from parley.edgeproxy.routing.token import Token, TokenKind
from parley.service.clock import Clock
from parley.sip.hop import Hop
from parley.sip.ids import Ids
from parley.sip.message import Request, Response, response_to
from parley.sip.stateless import stateless_response
from parley.sip.transaction import ClientTransaction, ServerTransaction

SILENCE_S: Final = 0.6
"""A call manager that lives says 100 to an INVITE, or answers, long before."""
RETRY_AFTER_S: Final = "2"
_NOT_HERE: Final = frozenset((481, 503))
_NOT_KNOWN: Final = frozenset((481, 482))
"""Answers to an INVITE that is good as a repeated one only: no such call, or not from there."""
_NO_CALL_MANAGER: Final = (503, "No Call Manager", (("retry-after", RETRY_AFTER_S),))


class Proxy:
    """Forwards requests, responses, CANCEL and ACK; `check` is called every tenth of a second."""

    def __init__(  # noqa: PLR0913 - wiring, by keyword
        self,
        *,
        sender: Sender,
        routes: Routes,
        callmanagers: CallManagers,
        derivation: Derivation,
        clock: Clock,
        ids: Ids,
        metrics: EdgeMetrics,
    ) -> None:
        self._sender = sender
        self._routes = routes
        self._callmanagers = callmanagers
        self._pursuit = Pursuit(callmanagers, clock)
        self._derivation = derivation
        self._clock = clock
        self._ids = ids
        self._metrics = metrics
        self._pending = 0
        self._idle = Event()
        self._idle.set()
        self._inward: dict[Forwarding, None] = {}
        # (when it must have been heard, the forwarding, what it was sent by)
        self._unheard: deque[tuple[float, Forwarding, ClientTransaction]] = deque()
        self._paused: list[tuple[float, Forwarding, Request, Candidate]] = []

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

    def refuse(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Answers a request whose sender proved nothing: once, and forgets it (26.3.2.4)."""
        response = stateless_response(transaction.request, status, reason, headers)
        self._sender.respond_statelessly(transaction, response)

    def forward_inward(self, request: Request, forwarding: Forwarding) -> None:
        """Sends a prepared request to a call manager; answers 503 when there is none.

        Args:
            request: ours to change, without our Via.
            forwarding: with call id, and owner unless it is new.
        """
        candidate = self._pursuit.first(forwarding)
        if candidate is None:
            self._metrics.no_callmanager.inc()
            self.respond(forwarding.server, *_NO_CALL_MANAGER)
        else:
            self._send_inward(request, candidate, forwarding)

    def forward_outward(self, request: Request, hop: Hop, server: ServerTransaction) -> None:
        """Sends a prepared request to a phone over its flow."""
        self._send(request, hop, Forwarding(server, is_inward=False))

    def forward_ack(self, received: Request, request: Request, hop: Hop) -> None:
        """Sends an ACK on, statelessly (16.11): it has no transaction.

        Args:
            received: as it came.
            request: what goes on.
            hop: where.
        """
        self._sender.send(request, hop, self._derivation.branch(received))

    def ack_inward(self, received: Request, request: Request, token: Token) -> None:
        """Sends the ACK to a 2xx to the call's owner; without any call manager it is lost."""
        candidate = self._callmanagers.owner_or_successor(
            token.owner, token.call_id, self._clock.now()
        )
        if candidate is not None:
            self.forward_ack(received, request, candidate.hop)

    def on_cancel(self, server: ServerTransaction, request: Request) -> None:
        """Passes a CANCEL on, its Reason with it (RFC 3326)."""
        forwarding = server.user
        if not isinstance(forwarding, Forwarding):
            self.refuse(server, 487)
            return
        forwarding.reasons = tuple([("reason", text) for text in request.get_all("reason")])
        if forwarding.client is not None:
            self._sender.cancel(forwarding.client, forwarding.reasons)

    def on_response(self, client: ClientTransaction, response: Response) -> None:
        """Passes a response back (16.7)."""
        forwarding = client.user
        status = response.status
        if not isinstance(forwarding, Forwarding):
            return
        forwarding.is_heard = True
        if status == 100:
            return
        if status in _NOT_HERE and forwarding.is_inward and self._is_sent_on(client, response):
            return
        if status >= 200:
            self._settle(forwarding)
        if status in _NOT_KNOWN and forwarding.unless_known is not None:
            answer = forwarding.unless_known
            self.respond(forwarding.server, answer.status, answer.reason, answer.headers)
            return
        if forwarding.is_inward:
            response.remove_first_value("via")
            if not response.has("via"):
                return
            strip_internal(response)
            self._routes.hide_inside(response)
        else:
            # What we hid from the phone, and it cannot have changed.
            response.remove("via")
            response.copy_lines("via", forwarding.server.request)
            strip_foreign(response)
            self._routes.add_inside(response)
        self._sender.respond(forwarding.server, response)

    def on_failure(self, client: ClientTransaction, cause: str) -> None:
        """Answers for a next hop that did not (16.8, 16.9)."""
        forwarding = client.user
        if not isinstance(forwarding, Forwarding):
            return
        if forwarding.is_inward:
            if cause == "transport" or not forwarding.is_heard:
                self._callmanagers.mark_unreachable(forwarding.tried[-1], self._clock.now())
            if cause == "transport" and self._replace(client, forwarding):
                return
        self._settle(forwarding)
        if client.is_cancelled or forwarding.reasons is not None:
            self.respond(forwarding.server, 487)
            return
        status = _failure_status(client, forwarding, cause)
        if status is not None:
            self.respond(forwarding.server, status)

    def check(self) -> None:
        """Sends on what a call manager was silent about, and what was to wait a moment."""
        now = self._clock.now()
        unheard = self._unheard
        while unheard and unheard[0][0] <= now:
            _, forwarding, client = unheard.popleft()
            if forwarding.client is client and not forwarding.is_heard:
                self._leave(forwarding, client, now)
        if self._paused:
            due = [one for one in self._paused if one[0] <= now]
            self._paused = [one for one in self._paused if one[0] > now]
            for _, forwarding, request, candidate in due:
                if forwarding.is_pending:
                    self._send_inward(request, candidate, forwarding)

    def on_gone(self, instances: Collection[str]) -> None:
        """Sends on what call managers have not answered that are not reported any more."""
        now = self._clock.now()
        for forwarding in list(self._inward):
            client = forwarding.client
            if client is not None and forwarding.tried[-1] in instances:
                self._leave(forwarding, client, now)

    def on_closed(self, way: Hop) -> None:
        """Learns that what led to a hop is gone: a call manager there most probably is, too.

        With a flow it is a connection that led nowhere but to a phone, whatever its address.
        """
        instance = "" if way.flow else self._callmanagers.instance_at(way.host, way.port)
        if instance:
            self._callmanagers.mark_unreachable(instance, self._clock.now())

    def _leave(self, forwarding: Forwarding, client: ClientTransaction, now: float) -> None:
        """Gives up on the present call manager, if there is another one."""
        candidate = self._pursuit.successor(forwarding)
        if candidate is None:
            return
        self._callmanagers.mark_unreachable(forwarding.tried[-1], now)
        self._sender.abandon(client)
        self._send_again(client.request, candidate, forwarding)

    def _settle(self, forwarding: Forwarding) -> None:
        if forwarding.is_pending:
            forwarding.is_pending = False
            # Nothing is left to cancel. Responses still find the way back through the client's
            # transaction; without these two links no cycle is left to the garbage collector.
            forwarding.server.user = forwarding.client = None
            self._inward.pop(forwarding, None)
            self._pending -= 1
            if not self._pending:
                self._idle.set()

    def _send_inward(self, request: Request, target: Candidate, forwarding: Forwarding) -> None:
        forwarding.tried += (target.instance,)
        forwarding.is_heard = False
        flow = forwarding.new_from
        if flow is not None:
            # Written last: the token names the call manager that gets the call.
            token = Token(TokenKind.DIALOG, flow, forwarding.call_id, target.instance)
            self._routes.record(request, token, flow.transport, is_inward=True)
        self._inward[forwarding] = None
        client = self._send(request, target.hop, forwarding)
        if forwarding.client is client:
            self._unheard.append((self._clock.now() + SILENCE_S, forwarding, client))
            if forwarding.reasons is not None:
                self._sender.cancel(client, forwarding.reasons)

    def _send(self, request: Request, hop: Hop, forwarding: Forwarding) -> ClientTransaction:
        server = forwarding.server
        server.user = forwarding
        forwarding.client = None
        if not forwarding.is_pending:
            forwarding.is_pending = True
            forwarding.branch = self._derivation.branch(server.request)
            self._pending += 1
            self._idle.clear()
        # A transport may fail at once, so the link has to stand before the request is sent.
        try:
            client = self._sender.send_request(request, hop, forwarding, branch=forwarding.branch)
        except ValueError:
            # The peer has used a branch again while the old request is still known.
            client = self._sender.send_request(request, hop, forwarding)
        if not client.is_terminated:
            forwarding.client = client
        return client

    def _replace(self, client: ClientTransaction, forwarding: Forwarding) -> bool:
        candidate = self._pursuit.successor(forwarding)
        if candidate is not None:
            self._send_again(client.request, candidate, forwarding)
        return candidate is not None

    def _is_sent_on(self, client: ClientTransaction, response: Response) -> bool:
        """Sends a request where its answer leads; False when it is the answer."""
        forwarding = client.user
        if not isinstance(forwarding, Forwarding) or forwarding.server.is_answered:
            return False
        onward = self._pursuit.after(forwarding, response)
        if onward is None:
            return False
        if response.has(OWNER_HEADER):
            self._metrics.redirects.inc()
        if onward.pause_s:
            forwarding.client = None
            request = self._bared(client.request, forwarding)
            due = self._clock.now() + onward.pause_s
            self._paused.append((due, forwarding, request, onward.target))
        else:
            self._send_again(client.request, onward.target, forwarding)
        return True

    def _send_again(self, sent: Request, target: Candidate, forwarding: Forwarding) -> None:
        self._metrics.retries.inc()
        self._send_inward(self._bared(sent, forwarding), target, forwarding)

    def _bared(self, sent: Request, forwarding: Forwarding) -> Request:
        """Returns a request that was sent without what we wrote for its receiver."""
        request = sent.copy()
        request.remove_first_value("via")
        request.remove(UNREACHABLE_HEADER)
        if forwarding.named and forwarding.tried[-1:] == (forwarding.named,):
            request.set(UNREACHABLE_HEADER, forwarding.named)
        if forwarding.new_from is not None:
            for _ in range(OWN_ROUTES):
                request.remove_first_value("record-route")
        return request


def _failure_status(client: ClientTransaction, forwarding: Forwarding, cause: str) -> int | None:
    """Maps a failed next hop to the status of the answer; None when silence is right."""
    if cause == "timeout":
        # RFC 4320 4.2: a 408 to anything but INVITE comes too late and only does harm.
        return 408 if client.is_invite else None
    if forwarding.is_inward:
        return 503
    return 480 if client.hop.transport == "udp" else 430
