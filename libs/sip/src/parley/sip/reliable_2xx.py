"""The retransmission of a 2xx to INVITE by the UAS core (RFC 3261 13.3.1.4).

The INVITE transaction of RFC 6026 only passes a 2xx on; that it arrives is the business of the
UAS, whatever the transport, because a later hop may be UDP. The intervals double from T1 to T2
until the ACK comes; after 64*T1 the user is told and ends the dialog.
"""

from parley.sip.message import Request, Response
from parley.sip.server_transaction import ServerTransaction
from parley.sip.timers import Timer, TimerKind, TimerQueue
from parley.sip.transaction_base import TransactionContext, TransactionFailed

AckKey = tuple[str, int, str | None]


def ack_key(message: Request | Response) -> AckKey:
    """Returns what an ACK and the 2xx that it acknowledges have in common."""
    return (message.call_id, message.cseq.number, message.to.tag)


class Reliable2xx:
    """A 2xx that is sent until its ACK comes.

    Attributes:
        transaction: of the INVITE.
        response: the 2xx.
        key: what its ACK is recognised by.
    """

    __slots__ = (
        "_context",
        "_expire",
        "_interval",
        "_registry",
        "_retransmit",
        "key",
        "response",
        "transaction",
    )

    def __init__(
        self,
        context: TransactionContext,
        registry: dict[AckKey, "Reliable2xx"],
        transaction: ServerTransaction,
        response: Response,
    ) -> None:
        self._context = context
        self._registry = registry
        self._retransmit: TimerQueue | None = None
        self._expire: TimerQueue | None = None
        self._interval = context.timers.t1
        self.transaction = transaction
        self.response = response
        self.key = ack_key(response)

    def begin(self, now: float) -> None:
        """Starts waiting for the ACK of the response just sent."""
        context = self._context
        previous = self._registry.get(self.key)
        if previous is not None:
            previous.stop()
        self._registry[self.key] = self
        patience = context.timers.durations(is_reliable=False)[Timer.L]
        self._expire = context.expire.queue(patience)
        self._expire.start(self, now)
        self._restart_retransmit(now)

    def stop(self) -> None:
        """Ends the retransmissions: the ACK came, or the dialog is over."""
        if self._registry.get(self.key) is self:
            del self._registry[self.key]
        if self._retransmit is not None:
            del self._retransmit.entries[self]
            self._retransmit = None
        if self._expire is not None:
            del self._expire.entries[self]
            self._expire = None

    def handle_timer(self, kind: TimerKind, now: float) -> None:
        """Sends the response again, or gives up."""
        if kind is TimerKind.RETRANSMIT:
            self._context.transmits.append((self.response, self.transaction.hop))
            self._interval = min(self._interval * 2, self._context.timers.t2)
            self._restart_retransmit(now)
        else:
            self._expire = None
            self.stop()
            self._context.events.append(TransactionFailed(self.transaction, "timeout"))

    def _restart_retransmit(self, now: float) -> None:
        self._retransmit = self._context.retransmit.queue(self._interval)
        self._retransmit.start(self, now)
