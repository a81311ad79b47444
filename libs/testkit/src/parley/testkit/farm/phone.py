"""A phone of the farm: registers, calls, answers, and does in a dialog what phones do.

Each has its own socket and its own `SipNode`, so that an address shared by several edges spreads
the phones as it would spread real ones.
"""

import asyncio
import time
from typing import Any, Final

from parley.service.clock import SystemClock
from parley.service.ids import RandomIds
from parley.service.tasks import TaskOwner
from parley.sip.dialog import Dialog
from parley.sip.digest import authorization, choose_challenge
from parley.sip.hop import Hop
from parley.sip.message import Request, Response, response_to
from parley.sip.transaction import ClientTransaction, FailureCause, ServerTransaction
from parley.siptransport.node import SipNode
from parley.testkit.farm.call import CallFailed, FarmCall, set_sdp
from parley.testkit.farm.manners import Step
from parley.testkit.farm.rtp import MediaClock, Stream
from parley.testkit.phones.line import Line

_CHALLENGES: Final = {
    401: ("www-authenticate", "authorization"),
    407: ("proxy-authenticate", "proxy-authorization"),
}
_CLOCK: Final = SystemClock()
_TIMEOUT_S: Final = 33.0


class FarmPhone:
    """One extension on one socket; implements `SipHandler`.

    Attributes:
        line: whose phone it is.
        contact: Contact value.
        calls: dialogs by Call-ID that are not over.
        ring_s: how long it rings before it answers; None never answers.
        incoming: what came in, newest last.
        outgoing: calls it made, newest last.
        withheld: steps that its calls do not take until they are told to (`FarmCall.held`).
        flows_lost: connections to the edge that ended.
    """

    def __init__(
        self, line: Line, server: str, media: MediaClock, tasks: TaskOwner, transport: str = "udp"
    ) -> None:
        host, _, port = server.rpartition(":")
        self.line = line
        self.host = "127.0.0.1"
        self.contact = ""
        self.calls: dict[str, FarmCall] = {}
        self.ring_s: float | None = 0.0
        self.has_media = False
        self.incoming: list[FarmCall] = []
        self.outgoing: list[FarmCall] = []
        self.withheld: set[Step] = set()
        self.flows_lost = 0
        self._hop = Hop(transport, host, int(port))
        self._media = media
        self._tasks = tasks
        self._ids = RandomIds()
        self._node = SipNode(_CLOCK, self._ids, self)
        self._registration = f"{self._ids.token()}@farm"
        self._cseq = 0

    @property
    def uri(self) -> str:
        """Its address of record."""
        return f"sip:{self.line.number}@{self.line.domain}"

    async def start(self) -> None:
        """Opens its socket."""
        bound = await self._node.listen(Hop(self._hop.transport, self.host, 0))
        suffix = "" if self._hop.transport == "udp" else f";transport={self._hop.transport}"
        self.contact = f"<sip:{self.line.number}@{bound.host}:{bound.port}{suffix}>"

    async def aclose(self) -> None:
        """Closes its socket; calls end without a word, as when the power fails."""
        for call in list(self.calls.values()):
            call.end()
        await self._node.aclose()

    # --- registering and calling -----------------------------------------------------------

    async def register(self, expires_s: int = 120, timeout_s: float = _TIMEOUT_S) -> float:
        """Registers; returns the seconds that it took.

        Raises:
            CallFailed: it was refused or not answered.
        """
        began = time.perf_counter()
        request = self._request("REGISTER", f"sip:{self.line.domain}", self.uri)
        request.set("call-id", self._registration)
        request.add("expires", str(expires_s))
        response = await self._transact_authorized(request, timeout_s)
        if response.status != 200:
            pause = (response.get("retry-after") or "0").split(";")[0].split("(")[0].strip()
            raise CallFailed("REGISTER", response.status, float(pause))
        return time.perf_counter() - began

    async def call(
        self, number: str, timeout_s: float = _TIMEOUT_S, *, has_offer: bool = True
    ) -> FarmCall:
        """Calls a number and returns when it has answered.

        Args:
            number: whom to call.
            timeout_s: for the final response.
            has_offer: False lets the other side offer; the ACK holds our answer then.

        Raises:
            CallFailed: it did not.
        """
        uri = f"sip:{number}@{self.line.domain}"
        request = self._request("INVITE", uri, uri)
        call = FarmCall(self, request.call_id, self._stream())
        if has_offer:
            set_sdp(request, call.description())
        self.calls[call.sip_call_id] = call
        self.outgoing.append(call)
        try:
            response = await self._transact_authorized(request, timeout_s, call)
            if response.status != 200:
                raise CallFailed("INVITE", response.status)
            call.dialog = Dialog.uac(request, response)
            call.tag = request.from_.tag or ""
            call.hear(response.body)
        except BaseException:
            call.end()
            raise
        call.answered = time.perf_counter()
        call.acknowledge(response.cseq.number, b"" if has_offer else call.description())
        call.is_confirmed.set()
        return call

    def _request(self, method: str, uri: str, to: str) -> Request:
        self._cseq += 1
        request = Request(method, uri)
        request.add("max-forwards", "70")
        request.add("from", f"<{self.uri}>;tag={self._ids.token(4)}")
        request.add("to", f"<{to}>")
        request.add("call-id", f"{self._ids.token()}@farm")
        request.add("cseq", f"{self._cseq} {method}")
        request.add("contact", self.contact)
        return request

    async def _transact_authorized(
        self, request: Request, timeout_s: float, call: FarmCall | None = None
    ) -> Response:
        response = await self.transact(request.copy(), timeout_s, call)
        # A second challenge that is stale: another edge than the one that gave the nonce.
        for is_first in (True, False):
            names = _CHALLENGES.get(response.status)
            if names is None:
                return response
            challenge = choose_challenge(response.get_all(names[0]))
            assert challenge is not None, f"{response.status} without a challenge we know"
            if not (is_first or challenge.is_stale):
                return response
            self._cseq += 1
            request.set("cseq", f"{self._cseq} {request.method}")
            cnonce = self._ids.token()
            value = authorization(challenge, request, self.line.number, self.line.password, cnonce)
            request.set(names[1], value)
            response = await self.transact(request.copy(), timeout_s, call)
        return response

    # --- for calls -------------------------------------------------------------------------

    async def transact(
        self, request: Request, timeout_s: float, call: FarmCall | None = None
    ) -> Response:
        """Sends a request; returns its final response, 408 or 503 of our own if there is none.

        Args:
            request: without our Via.
            timeout_s: for the final response.
            call: the call that it makes, which keeps the transaction for a CANCEL.
        """
        waiting: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        transaction = self._node.send_request(request, self._hop, waiting)
        if call is not None:
            call.inviting = transaction
        try:
            async with asyncio.timeout(timeout_s):
                return await waiting
        except TimeoutError:
            return response_to(request, 408)

    def cancel(self, transaction: ClientTransaction) -> None:
        """Gives an INVITE up."""
        self._node.cancel(transaction)

    def send_ack(self, ack: Request) -> None:
        """Sends the ACK to a 2xx."""
        self._node.send(ack.copy(), self._hop)

    def respond(
        self, transaction: ServerTransaction, response: Response, *, until_ack: bool = False
    ) -> None:
        """Answers a request."""
        if until_ack:
            self._node.respond_until_ack(transaction, response)
        else:
            self._node.respond(transaction, response)

    def release(self, call: FarmCall) -> None:
        """A call is over."""
        self.calls.pop(call.sip_call_id, None)
        if call.stream is not None:
            self._media.remove(call.stream)

    def _stream(self) -> Stream | None:
        if not self.has_media:
            return None
        stream = Stream(self.host)
        self._media.add(stream)
        return stream

    # --- SipHandler ------------------------------------------------------------------------

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Answers calls and requests within them."""
        call = self.calls.get(request.call_id)
        if call is not None and call.dialog is not None and request.to.tag is not None:
            call.receive(transaction, request)
        elif request.method == "INVITE" and request.to.tag is None and call is None:
            self._take(transaction, request)
        elif request.method == "OPTIONS":
            self._node.respond(transaction, response_to(request, 200))
        elif request.method == "INVITE" and request.to.tag is None and call is not None:
            call.anomalies.append("an INVITE that made a second dialog")
            self._node.respond(transaction, response_to(request, 482))
        else:
            self._node.respond(transaction, response_to(request, 481))

    def _take(self, transaction: ServerTransaction, request: Request) -> None:
        call = FarmCall(self, request.call_id, self._stream())
        call.tag = self._ids.token(4)
        call.dialog = Dialog.uas(request, call.tag, self.contact)
        call.hear(request.body)
        self.calls[call.sip_call_id] = call
        self.incoming.append(call)
        transaction.user = call
        call.held.reach(Step.RING, lambda: self._ring(transaction, request, call))

    def _ring(self, transaction: ServerTransaction, request: Request, call: FarmCall) -> None:
        ringing = self._response(request, 180, call)
        self._node.respond(transaction, ringing)

        def answer() -> None:
            call.held.reach(Step.ANSWER, lambda: self._answer(transaction, request, call))

        if self.ring_s is not None:
            asyncio.get_running_loop().call_later(self.ring_s, answer)

    def _answer(self, transaction: ServerTransaction, request: Request, call: FarmCall) -> None:
        if call.ended is not None or call.dialog is None:
            return
        call.dialog.confirm()
        call.answered = time.perf_counter()
        response = self._response(request, 200, call)
        set_sdp(response, call.description())
        self._node.respond_until_ack(transaction, response)

    def _response(self, request: Request, status: int, call: FarmCall) -> Response:
        response = response_to(request, status, to_tag=call.tag)
        response.copy_lines("record-route", request)
        response.add("contact", self.contact)
        return response

    def on_cancel(self, transaction: ServerTransaction, request: Request) -> None:
        """A caller gave up."""
        call = transaction.user
        if isinstance(call, FarmCall) and call.answered is None:
            call.held.reach(Step.CANCEL, lambda: self._give_up(transaction, call))

    def _give_up(self, transaction: ServerTransaction, call: FarmCall) -> None:
        self._node.respond(transaction, self._response(transaction.request, 487, call))
        call.end(by_peer=True)

    def on_ack(self, request: Request) -> None:
        """A 2xx of ours has arrived."""
        call = self.calls.get(request.call_id)
        if call is not None:
            # When our 2xx held an offer its answer comes here.
            call.hear(request.body)
            call.is_confirmed.set()

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        """Wakes up who waits; a 2xx that comes again gets its ACK again."""
        waiting: Any = transaction.user
        if response.status < 200:
            ringing = self.calls.get(response.call_id)
            if ringing is not None and response.status > 100:
                ringing.rang.set()
            return
        if not waiting.done():
            waiting.set_result(response)
        elif response.cseq.method == "INVITE" and response.status < 300:
            call = self.calls.get(response.call_id)
            if call is not None and call.ack is not None:
                self.send_ack(call.ack)

    def on_stray_response(self, response: Response) -> None:
        """Nobody waits for it."""

    def on_failure(
        self, transaction: ClientTransaction | ServerTransaction, cause: FailureCause
    ) -> None:
        """No answer, or no way."""
        waiting = transaction.user
        if isinstance(waiting, asyncio.Future) and not waiting.done():
            status = 408 if cause == "timeout" else 503
            waiting.set_result(response_to(transaction.request, status))

    def on_flow_closed(self, flow: Hop, way: Hop) -> None:
        """The edge's connection is gone."""
        self.flows_lost += 1
