"""Messages for calls that are not here: on their way to `takeover.py` and back."""

from collections.abc import Callable, Sequence

from parley.callmanager.answers import Answers
from parley.callmanager.branches import read_branch
from parley.callmanager.call_services import CallServices, Input
from parley.callmanager.calls import Calls
from parley.callmanager.peers import Peers
from parley.callmanager.sip_profile import CALL_HEADER, UNREACHABLE_HEADER
from parley.callmanager.takeover import Takeovers
from parley.callmanager.visitors import AckVisitor, RequestVisitor, ResponseVisitor
from parley.model.ids import CallId
from parley.sip.message import Request, Response
from parley.sip.transaction import ServerTransaction


class Admitted:
    """An INVITE's transaction before its call is here.

    Attributes:
        transaction: that of the INVITE.
        cancel: the CANCEL that came meanwhile.
        copies: the same INVITE by other ways, while its call is being admitted.
    """

    __slots__ = ("cancel", "copies", "transaction")

    def __init__(self, transaction: ServerTransaction) -> None:
        self.transaction = transaction
        self.cancel: Request | None = None
        self.copies: list[tuple[ServerTransaction, Request]] = []


class AbsentCalls:
    """Brings calls to their messages, or the messages to the owners of the calls.

    Args:
        on_request: takes a request whose call is here now.
        on_ack: takes an ACK whose call is here now.
    """

    def __init__(  # noqa: PLR0913 - wiring
        self,
        services: CallServices,
        calls: Calls,
        takeovers: Takeovers,
        peers: Peers,
        answers: Answers,
        on_request: Callable[[ServerTransaction, Request], None],
        on_ack: Callable[[Request], None],
    ) -> None:
        self._services = services
        self._calls = calls
        self._takeovers = takeovers
        self._peers = peers
        self._answers = answers
        self._on_request = on_request
        self._on_ack = on_ack
        services.on_unread = self._on_unread
        services.on_unanswered = self._on_unanswered

    def is_searched(self, call_id: CallId | None) -> bool:
        """Whether to look for a call; not for one that is here but does not know the message."""
        calls = self._calls
        return call_id is not None and calls.get(call_id) is None and not calls.has_ended(call_id)

    def bring_request(
        self, transaction: ServerTransaction, request: Request, call_id: CallId | None = None
    ) -> None:
        """Finds the call of a request, by the edge's header unless it is given, or refuses it.

        The BYE that ended a call here comes again when its answer was lost, or was late and the
        edge had asked elsewhere meanwhile: it gets the same answer.
        """
        call_id = call_id or call_named(request)
        if call_id is None or not self.is_searched(call_id):
            is_repeated = call_id is not None and self._calls.has_taken_bye(call_id, request)
            self._answers.give(transaction, request, 200 if is_repeated else 481)
            return
        if request.method == "INVITE" and not isinstance(transaction.user, Admitted):
            transaction.user = Admitted(transaction)
        visitor = RequestVisitor(transaction, request, self._on_request, self._answers.redirect)
        self._takeovers.bring(call_id, visitor, request.get(UNREACHABLE_HEADER) or "")

    def bring_ack(self, ack: Request, call_id: CallId | None = None) -> None:
        """Finds the call of an ACK, by the edge's header unless it is given, or drops it."""
        call_id = call_id or call_named(ack)
        if call_id is None or not self.is_searched(call_id):
            self.count_stray()
            return
        visitor = AckVisitor(ack, self._on_ack, self._services.node, self._peers, self.count_stray)
        self._takeovers.bring(call_id, visitor)

    def bring_response(self, call_id: CallId | None, response: Response) -> None:
        """Finds the call of a response, else drops it."""
        if call_id is None or not self.is_searched(call_id):
            self.count_stray()
            return
        visitor = ResponseVisitor(
            response, self.receive_stray, self._services.node, self._peers, self.count_stray
        )
        self._takeovers.bring(call_id, visitor)

    def receive_stray(self, response: Response) -> None:
        """A response of no transaction: of a call that is over, or not here, or was not always.

        A call that is here takes it by its key, and looks whether it answers that request: one
        of its predecessor may have been cancelled here and never sent.
        """
        branch = read_branch(response.via.branch or "")
        if branch is None:
            self.count_stray()
        else:
            self.receive_late(branch.call_id, branch.key, response)

    def receive_late(self, call_id: CallId, key: int, response: Response) -> None:
        """A response to a request of a mailbox that is gone: dropped, handed over, or ended."""
        mailbox = self._calls.get(call_id)
        if mailbox is not None:
            mailbox.post(mailbox.call.receive_response, key, response)
        else:
            self.bring_response(call_id, response)

    def count_stray(self) -> None:
        """A message of no call."""
        self._services.metrics.stray.inc()

    def _on_unread(self, call_id: CallId, inputs: Sequence[Input]) -> None:
        for _, function, arguments in inputs:
            kind = function.__name__
            if kind == "receive_ack":
                self.bring_ack(arguments[-1], call_id)
            elif kind == "receive_response":
                self.bring_response(call_id, arguments[-1])

    def _on_unanswered(self, call_id: CallId, transactions: Sequence[ServerTransaction]) -> None:
        for transaction in transactions:
            self.bring_request(transaction, transaction.request, call_id)


def call_named(request: Request) -> CallId | None:
    """The call that an edge named in a request."""
    call_id = request.get(CALL_HEADER)
    return CallId(call_id) if call_id else None
