"""Responses that no call gives: refusals, redirections to other instances, and 200 to OPTIONS."""

from typing import Final

from parley.callmanager.metrics import CallManagerMetrics
from parley.model.errors import DomainError
from parley.sip.ids import Ids
from parley.sip.message import Request, response_to
from parley.sip.transaction import ServerTransaction
from parley.siptransport.node import SipNode

OWNER_HEADER: Final = "x-parley-owner"
UNKNOWN_HEADER: Final = "x-parley-unknown"
RETRY_AFTER_S: Final = "2"
_RETRY_AFTER: Final = (("retry-after", RETRY_AFTER_S),)
_UNKNOWN: Final = (*_RETRY_AFTER, (UNKNOWN_HEADER, "1"))


class Answers:
    """Answers requests on behalf of the instance."""

    def __init__(self, node: SipNode, ids: Ids, metrics: CallManagerMetrics) -> None:
        self._node = node
        self._ids = ids
        self._metrics = metrics

    def give(
        self,
        transaction: ServerTransaction,
        request: Request,
        status: int,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Answers a request."""
        response = response_to(request, status, to_tag=self._ids.token())
        for name, value in headers:
            response.add(name, value)
        self._node.respond(transaction, response)

    def refuse(self, transaction: ServerTransaction, request: Request, error: DomainError) -> None:
        """Refuses as an error of the domain says."""
        self._metrics.refused.inc()
        headers = _RETRY_AFTER if error.sip_status == 503 else ()
        self.give(transaction, request, error.sip_status, headers)

    def redirect(
        self, transaction: ServerTransaction, request: Request, status: int, owner: str
    ) -> None:
        """Sends the edge to the owner of a call, or tells that it is not known who that is."""
        if owner:
            self._metrics.redirected.inc()
            self.give(transaction, request, status, ((OWNER_HEADER, owner),))
        else:
            self.give(transaction, request, status, _UNKNOWN if status == 503 else ())
