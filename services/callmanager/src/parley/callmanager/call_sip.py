"""The SIP side of one call's mailbox: its transactions and repeated answers.

The mailbox goes into what the transactions say is their user, and is not kept here: that would be
a reference cycle for every call.
"""

from typing import Final

from parley.callmanager.actions import CancelRequest, SendAck, SendRequest, SendResponse
from parley.callmanager.call_services import CallServices
from parley.model.ids import CallId
from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.sip.transaction import ClientTransaction, Reliable2xx, ServerTransaction
from parley.sip.transaction_tables import State

_MANY_TRANSACTIONS: Final = 16
_MANY_ASKED: Final = 4


class CallSip:
    """What a call has under way at the node."""

    __slots__ = ("_asked", "_call_id", "_repeats", "_services", "_transactions")

    def __init__(self, call_id: CallId, services: CallServices) -> None:
        self._call_id = call_id
        self._services = services
        self._transactions: dict[int, ClientTransaction] = {}
        self._repeats: list[Reliable2xx] = []
        self._asked: list[ServerTransaction] = []

    def send_request(self, mailbox: object, action: SendRequest) -> None:
        """Starts a client transaction, by another edge when that of the request is gone."""
        hop = self._services.edges.living(action.hop, self._call_id)
        self._start(mailbox, action.key, action.request, hop, action.branch)

    def retry(self, mailbox: object, key: int, failed: ClientTransaction) -> bool:
        """Sends a request by another edge when its connection failed; False when there is none.

        The branch stays, so to the phone both are one transaction; what was cancelled is cancelled
        again, for the CANCEL may have been lost with the edge.
        """
        hop = self._services.edges.another(failed.hop, self._call_id)
        branch = failed.request.via.branch
        if hop is None or branch is None:
            return False
        request = failed.request.copy()
        request.remove_first_value("via")
        again = self._start(mailbox, key, request, hop, branch)
        if again is not None and failed.is_cancelled:
            self._services.node.cancel(again, failed.cancel_headers)
        return True

    def cancel(self, action: CancelRequest) -> None:
        """Cancels an INVITE that is under way."""
        transaction = self._transactions.get(action.key)
        if transaction is not None:
            self._services.node.cancel(transaction, action.headers)

    def send_ack(self, action: SendAck) -> None:
        """Acknowledges a 2xx."""
        hop = self._services.edges.living(action.hop, self._call_id)
        self._services.node.send(action.request, hop)

    def respond(self, action: SendResponse) -> None:
        """Answers a request; a 2xx to INVITE until its ACK."""
        node = self._services.node
        if not action.until_ack:
            node.respond(action.transaction, action.response)
            return
        repeat = node.respond_until_ack(action.transaction, action.response)
        if repeat is not None:
            self._repeats = [repeat]

    def note_asked(self, transaction: ServerTransaction) -> None:
        """The call owes a final response to this transaction."""
        if len(self._asked) >= _MANY_ASKED:
            self._asked = self.unanswered()
        self._asked.append(transaction)

    def unanswered(self) -> list[ServerTransaction]:
        """Transactions that got no final response yet."""
        return [each for each in self._asked if not each.is_answered and not each.is_terminated]

    def answers_to_byes(self) -> list[Response]:
        """The 200s to the BYEs of the phones."""
        answers = [each.response for each in self._asked]
        return [
            answer
            for answer in answers
            if answer is not None and answer.status == 200 and answer.cseq.method == "BYE"
        ]

    def release(self) -> None:
        """Gives everything back."""
        for repeat in self._repeats:
            repeat.stop()
        self._asked.clear()
        self._transactions.clear()

    def _start(
        self, mailbox: object, key: int, request: Request, hop: Hop, branch: str
    ) -> ClientTransaction | None:
        user = (mailbox, key)
        try:
            transaction = self._services.node.send_request(request, hop, user, branch=branch)
        except ValueError:
            # The call was here before, and this request of it is still under way from then;
            # what comes back finds the call by its id (`sip_handlers.py`).
            return None
        if request.method == "INVITE":
            self._keep_for_cancel(key, transaction)
        return transaction

    def _keep_for_cancel(self, key: int, transaction: ClientTransaction) -> None:
        kept = self._transactions
        if len(kept) >= _MANY_TRANSACTIONS:
            over = [old for old, each in kept.items() if each.state is State.TERMINATED]
            for old in over:
                del kept[old]
        kept[key] = transaction
