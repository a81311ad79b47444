"""Server transactions (RFC 3261 17.2, RFC 6026): one request of a peer and our responses."""

from typing import ClassVar

import msgspec

from parley.sip.hop import Hop
from parley.sip.message import Request, Response, response_to
from parley.sip.stateless import is_proportionate
from parley.sip.transaction_base import (
    EffectFunction,
    Plan,
    Transaction,
    TransactionContext,
)
from parley.sip.transaction_key import Key
from parley.sip.transaction_tables import Effect, Input, State


class ServerTransaction(Transaction):
    """A request we received.

    Attributes:
        request: as received; a husk once a request other than INVITE has its final response.
        response: the last response sent, which answers retransmissions; None before the first.
        is_cut_off: the connection that it came by is closed.
    """

    __slots__ = ("is_cut_off", "response")

    def __init__(
        self, context: TransactionContext, plan: Plan, request: Request, hop: Hop, key: Key
    ) -> None:
        super().__init__(context, plan, request, hop, key)
        self.response: Response | None = None
        self.is_cut_off = False

    @property
    def is_answered(self) -> bool:
        """Whether a final response was sent."""
        return self.response is not None and self.response.status >= 200

    def is_left_for(self, source: Hop | None) -> bool:
        """Whether its connection is closed and its peer repeats it by another one.

        18.2.2 has us open a connection to the address that it came from. One from there is as
        good, and reaches whom we could not connect to.
        """
        return self.is_cut_off and source is not None and source.host == self.hop.host

    def begin_adopted(self, now: float) -> None:
        """Begins with a request that another instance received, which said 100 long ago."""
        self.begin(now)
        if self.is_invite:
            # What a retransmission gets until the user speaks.
            self.response = response_to(self.request, 100)
        if self._retransmit is not None:
            del self._retransmit.entries[self]
            self._retransmit = None

    def move(self, hop: Hop) -> None:
        """Sends the responses by another hop of the same transport from now on."""
        self.is_cut_off = False
        if self._plan.is_reliable and not self.is_terminated:
            self._leave_flow()
            self.hop = hop
            self._join_flow()
        else:
            self.hop = hop

    def send_response(self, response: Response, now: float) -> None:
        """Sends a response; one that comes after a final is dropped (17.2.1, 17.2.2)."""
        status = response.status
        if status >= 300:
            self.step(Input.FAILURE, response, now)
        elif status >= 200:
            self.step(Input.SUCCESS, response, now)
        else:
            self.step(Input.PROVISIONAL, response, now)

    def _transmit(self, response: Response, now: float) -> None:
        self.response = response
        response.listener = self.request.listener
        if response.status >= 200 and not self.is_invite:
            # What remains to be done for half a minute (timer J) is to repeat the response: most
            # of the memory of a busy registrar would be requests that nobody reads again.
            self.request = self.request.husk()
        if self._retransmit is not None and response.status < 200:
            # The user spoke: no automatic 100 any more.
            del self._retransmit.entries[self]
            self._retransmit = None
        self._context.transmits.append((response, self.hop))

    def respond_once(self, response: Response) -> None:
        """Sends a final response, if the request was long enough for it, and ends (8.2.7).

        A request that is repeated is a new one then.
        """
        said = self.response
        if self.state is State.TERMINATED or (said is not None and said.status >= 200):
            return
        self.response = response
        self._stop_timers()
        self._forget()
        spent = 0 if said is None else len(bytes(said))
        if is_proportionate(response, self.request, self.hop, spent):
            self._context.transmits.append((response, self.hop))

    def repeat_response(self) -> None:
        """Sends the last response once more, if there is one."""
        if self.response is not None:
            self._context.transmits.append((self.response, self.hop))

    def _transmit_again(self, message: Request | Response, now: float) -> None:
        self.repeat_response()

    def _repeat_timer(self, message: Request | Response, now: float) -> None:
        # Timer G (17.2.1): doubles up to T2.
        self._restart_retransmit(min(self._interval * 2, self._context.timers.t2), now)

    def _send_trying(self, message: Request | Response, now: float) -> None:
        self._transmit(response_to(self.request, 100), now)

    def _deliver_ack(self, ack: Request, now: float) -> None:
        self._context.events.append(AckReceived(ack))

    EFFECTS: ClassVar[dict[Effect, EffectFunction]] = {
        Effect.DELIVER: _deliver_ack,
        Effect.TRANSMIT: _transmit,
        Effect.TRANSMIT_AGAIN: _transmit_again,
        Effect.REPEAT_TIMER: _repeat_timer,
        Effect.SEND_TRYING: _send_trying,
        Effect.REPORT_TIMEOUT: Transaction._report_timeout,
        Effect.REPORT_TRANSPORT: Transaction._report_transport,
    }


class RequestReceived(msgspec.Struct, frozen=True):
    """A new request, to be answered through its transaction."""

    transaction: ServerTransaction
    request: Request


class CancelReceived(msgspec.Struct, frozen=True):
    """The INVITE of `transaction` should be given up; the CANCEL itself is answered already."""

    transaction: ServerTransaction
    request: Request


class AckReceived(msgspec.Struct, frozen=True):
    """An ACK to a 2xx: no transaction of its own, never answered (RFC 3261 17)."""

    request: Request


def is_ack_of(ack: Request, transaction: ServerTransaction) -> bool:
    """Whether an ACK that matched by key belongs to the INVITE; the key alone decides for RFC 3261.

    A client of RFC 2543 is recognised by the To tag of the response (17.2.3).
    """
    if ack.has_unique_branch:
        return True
    response = transaction.response
    return response is not None and response.to.tag == ack.to.tag
