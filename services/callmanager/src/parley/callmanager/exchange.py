"""One change of an answered session on its way from one party to the other and back."""

from enum import Enum
from typing import Any

from parley.callmanager.leg import Leg
from parley.callmanager.party_description import PartyDescription
from parley.sip.message import Request


class Phase(Enum):
    """How far an exchange is."""

    PREPARING = "preparing"
    SENT = "sent"
    ANSWERING = "answering"
    AWAITING_ACK = "awaiting-ack"
    ACK_ANSWERING = "ack-answering"


class Exchange:
    """One re-INVITE or UPDATE under way from `origin` to `target`.

    Attributes:
        offer: None when the target is to make it, in its 2xx; `answer` is the other description.
        cseq: of the request to the target, for its ACK.
    """

    __slots__ = (
        "_earlier",
        "answer",
        "cseq",
        "key",
        "offer",
        "origin",
        "phase",
        "request",
        "target",
        "transaction",
    )

    def __init__(
        self,
        origin: Leg,
        target: Leg,
        transaction: Any,
        request: Request,
        offer: PartyDescription | None,
    ) -> None:
        self.origin = origin
        self.target = target
        self.transaction = transaction
        self.request = request
        self.offer = offer
        self.answer: PartyDescription | None = None
        self.phase = Phase.PREPARING
        self.key = 0
        self.cseq = 0
        self._earlier: tuple[Any, ...] = ()

    def come_again(self, transaction: Any, request: Request) -> None:
        """The origin's request came by another way: answered there from now on."""
        if transaction is not self.transaction:
            self._earlier = (*self._earlier, self.transaction)
            self.transaction, self.request = transaction, request

    def is_asked_by(self, transaction: Any) -> bool:
        """Whether the origin's request came in this transaction, now or earlier."""
        return transaction is self.transaction or transaction in self._earlier

    @property
    def is_invite(self) -> bool:
        """A re-INVITE, whose 2xx is acknowledged."""
        return self.request.method == "INVITE"

    @property
    def is_unanswered(self) -> bool:
        """The origin waits for our final response."""
        return self.phase in (Phase.PREPARING, Phase.SENT, Phase.ANSWERING)

    @property
    def owes_ack(self) -> bool:
        """The target's 2xx has not been acknowledged."""
        return self.is_invite and self.phase not in (Phase.PREPARING, Phase.SENT)
