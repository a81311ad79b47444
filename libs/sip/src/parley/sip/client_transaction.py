"""Client transactions (RFC 3261 17.1, RFC 6026): one request of ours and its responses.

The table of the machine decides; this class sends, delivers and doubles intervals. CANCEL waits
for the first provisional response (9.1); after it the INVITE gets 64*T1 for its final response.
"""

from collections.abc import Callable, Iterable
from typing import ClassVar

import msgspec

from parley.sip.derived_requests import ack_for
from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.sip.timers import Timer
from parley.sip.transaction_base import (
    EffectFunction,
    Plan,
    Transaction,
    TransactionContext,
    Transmit,
)
from parley.sip.transaction_key import Key
from parley.sip.transaction_tables import Effect, Input, State

CancelHeaders = tuple[tuple[str, str], ...]
CancelSender = Callable[["ClientTransaction", CancelHeaders, float], None]

_TIMER_C_HEADERS: CancelHeaders = (("reason", 'SIP;cause=408;text="Request Timeout"'),)


class ClientTransaction(Transaction):
    """A request we sent.

    Attributes:
        is_cancelled: whether a CANCEL was asked for (it may still wait for a provisional).
        is_internal: made by the layer itself (a CANCEL): its end is nobody's event.
    """

    __slots__ = ("_ack", "_cancel_headers", "_is_cancel_sent", "_send_cancel", "is_internal")

    def __init__(
        self,
        context: TransactionContext,
        plan: Plan,
        request: Request,
        hop: Hop,
        key: Key,
        send_cancel: CancelSender,
    ) -> None:
        super().__init__(context, plan, request, hop, key)
        self.is_internal = False
        self._ack: Transmit | None = None
        self._cancel_headers: CancelHeaders | None = None
        self._is_cancel_sent = False
        self._send_cancel = send_cancel

    @property
    def is_cancelled(self) -> bool:
        """Whether a CANCEL was asked for, sent or not."""
        return self._cancel_headers is not None

    @property
    def cancel_headers(self) -> CancelHeaders:
        """What the CANCEL says beside its own headers; empty when none was asked for."""
        return self._cancel_headers or ()

    def receive_response(self, response: Response, now: float) -> None:
        """Feeds a response that matched by branch and method."""
        status = response.status
        if status >= 300:
            self.step(Input.FAILURE, response, now)
        elif status >= 200:
            self.step(Input.SUCCESS, response, now)
        else:
            self.step(Input.PROVISIONAL, response, now)

    def cancel(self, headers: Iterable[tuple[str, str]], now: float) -> None:
        """Gives an INVITE up; without effect on other methods and after a final response."""
        if not self.is_invite or self._cancel_headers is not None:
            return
        self._cancel_headers = tuple(headers)
        if self.state is State.PROCEEDING:
            self._cancel_now(now)

    def abandon(self) -> None:
        """Ends at once: nothing is sent any more and no event comes."""
        if not self.is_terminated:
            self._stop_timers()
            self._forget()

    def _expiry_input(self) -> Input:
        if self.state is State.PROCEEDING and self.is_invite and not self._is_cancel_sent:
            return Input.SILENCE
        return Input.EXPIRE

    def _cancel_now(self, now: float) -> None:
        if self._is_cancel_sent:
            return
        self._is_cancel_sent = True
        patience = self._context.timers.durations(is_reliable=True)[Timer.CANCELLED]
        self._restart_expire(patience, now)
        self._send_cancel(self, self._cancel_headers or (), now)

    def _note_provisional(self, response: Response, now: float) -> None:
        if self._cancel_headers is not None:
            self._cancel_now(now)
        elif response.status > 100:
            self._restart_expire(self._context.timers.c, now)

    def _give_up_ringing(self, message: Request | Response, now: float) -> None:
        self.cancel(_TIMER_C_HEADERS, now)

    def _deliver(self, response: Response, now: float) -> None:
        if not self.is_internal:
            self._context.events.append(ResponseReceived(self, response))

    def _acknowledge(self, response: Response, now: float) -> None:
        # Every retransmission of the response gets the same ACK (17.1.1.2).
        if self._ack is None:
            self._ack = (ack_for(self.request, response), self.hop)
        self._context.transmits.append(self._ack)

    def _transmit_again(self, message: Request | Response, now: float) -> None:
        self._context.transmits.append((self.request, self.hop))

    def _repeat_timer(self, message: Request | Response, now: float) -> None:
        interval = self._interval * 2
        if not self.is_invite:
            # Timer E (17.1.2.2): T2 at most, and T2 at once after a provisional.
            longest = self._context.timers.t2
            interval = longest if self.state is State.PROCEEDING else min(interval, longest)
        self._restart_retransmit(interval, now)

    def _report_timeout(self, message: Request | Response, now: float) -> None:
        if not self.is_internal:
            self._report("timeout")

    def _report_transport(self, message: Request | Response, now: float) -> None:
        if not self.is_internal:
            self._report("transport")

    EFFECTS: ClassVar[dict[Effect, EffectFunction]] = {
        Effect.DELIVER: _deliver,
        Effect.NOTE_PROVISIONAL: _note_provisional,
        Effect.SEND_ACK: _acknowledge,
        Effect.SEND_CANCEL: _give_up_ringing,
        Effect.TRANSMIT_AGAIN: _transmit_again,
        Effect.REPEAT_TIMER: _repeat_timer,
        Effect.REPORT_TIMEOUT: _report_timeout,
        Effect.REPORT_TRANSPORT: _report_transport,
    }


class ResponseReceived(msgspec.Struct, frozen=True):
    """A response to one of our requests; for an INVITE every 2xx, retransmitted ones too."""

    transaction: ClientTransaction
    response: Response
