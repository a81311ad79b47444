"""What comes in from edges: finds the call of a message, or makes one of an INVITE.

A message for a call that is not here goes to `takeover.py` and comes back when the call is.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from parley.backing.errors import BackingError
from parley.backing.state.base import Owned, run_now
from parley.callmanager.absent import AbsentCalls, Admitted
from parley.callmanager.admission import Admission, Asked
from parley.callmanager.answers import Answers
from parley.callmanager.call import Call
from parley.callmanager.call_services import CallServices
from parley.callmanager.callee_leg import FLOW_FAILED
from parley.callmanager.calls import MERGED, Calls, LegAddress
from parley.callmanager.errors import Draining, LoopDetected, TooManyCalls
from parley.callmanager.mailbox import Mailbox
from parley.callmanager.peers import PROBE_HEADER, STATE_HEADER, Peers, ProbeUser
from parley.callmanager.repeated_invites import is_come_again
from parley.callmanager.routing import Decision, Refuse
from parley.callmanager.sip_profile import (
    ACCEPT,
    ALLOW,
    CALL_HEADER,
    REPEATED_HEADER,
    SUPPORTED_METHODS,
)
from parley.callmanager.stray_cancels import find_cancelled, move_way_back
from parley.callmanager.takeover import Takeovers
from parley.model.errors import DomainError
from parley.model.ids import CallId
from parley.model.media import MediaEvent
from parley.sip.errors import RemoteProtocolError
from parley.sip.hop import Hop
from parley.sip.ids import Ids
from parley.sip.message import Request, Response
from parley.sip.transaction import ClientTransaction, ServerTransaction

_CALL_ID_BYTES: Final = 12
_UNCHECKED: Final = frozenset(("ACK", "CANCEL"))

_logger = structlog.stdlib.get_logger(__name__)


class CallManagerHandler:
    """`SipHandler` of the call manager's node.

    Attributes:
        is_draining: new calls are refused, so that edges pick another instance.
    """

    def __init__(self, ids: Ids, max_calls: int) -> None:
        self._ids = ids
        self._max_calls = max_calls
        self._services: CallServices
        self._admission: Admission
        self._calls: Calls
        self._answers: Answers
        self._absent: AbsentCalls
        self._admitting: dict[CallId, Admitted] = {}
        self.is_draining = False

    def attach(
        self,
        services: CallServices,
        calls: Calls,
        admission: Admission,
        takeovers: Takeovers,
        peers: Peers,
    ) -> None:
        """Gives it what it works with; before the node listens."""
        self._services = services
        self._admission = admission
        self._calls = calls
        self._answers = Answers(services.node, self._ids, services.metrics)
        self._absent = AbsentCalls(
            services, calls, takeovers, peers, self._answers, self.on_request, self.on_ack
        )

    # --- SipHandler ------------------------------------------------------------------------

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Takes a request: in a dialog, for a new call, or about ourselves."""
        try:
            self._dispatch(transaction, request)
        except RemoteProtocolError as error:
            self._answers.give(transaction, request, error.status)
        except DomainError as error:
            self._answers.refuse(transaction, request, error)

    def on_cancel(self, transaction: ServerTransaction, request: Request) -> None:
        """Takes the CANCEL of an INVITE or re-INVITE."""
        user = transaction.user
        if isinstance(user, Mailbox):
            user.post(user.call.receive_cancel, transaction, request)
        elif isinstance(user, Admitted):
            user.cancel = request

    def on_ack(self, request: Request) -> None:
        """Takes the ACK to a 2xx."""
        address = self._calls.find(request)
        if address is None:
            self._absent.bring_ack(request)
        else:
            address.mailbox.post(address.mailbox.call.receive_ack, address.leg, request)

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        """Takes a response to a call's request, or to a probe."""
        user = transaction.user
        if isinstance(user, tuple):
            mailbox, key = user
            if mailbox.is_over:
                self._absent.receive_late(mailbox.call_id, key, response)
            elif not self._is_sent_elsewhere(mailbox, key, transaction, response):
                mailbox.post(mailbox.call.receive_response, key, response)
        elif isinstance(user, ProbeUser):
            user.receive(response)

    def _is_sent_elsewhere(
        self, mailbox: Mailbox, key: int, transaction: ClientTransaction, response: Response
    ) -> bool:
        """An edge that leaves has given its phones over UDP to the others: another one is asked."""
        if response.status != FLOW_FAILED or not self._services.edges.is_leaving(transaction.hop):
            return False
        return mailbox.retry(key, transaction)

    def on_stray_response(self, response: Response) -> None:
        """A response of no transaction: of a call that is over, or that has to be brought here."""
        self._absent.receive_stray(response)

    def on_failure(self, transaction: ClientTransaction | ServerTransaction, cause: str) -> None:
        """Takes what came to nothing."""
        user = transaction.user
        if isinstance(user, ProbeUser):
            user.fail()
        elif isinstance(user, tuple):
            mailbox, key = user
            is_retried = (
                cause == "transport"
                and isinstance(transaction, ClientTransaction)
                and mailbox.retry(key, transaction)
            )
            if not is_retried:
                mailbox.post(mailbox.call.receive_failure, key, cause)
        elif isinstance(user, Mailbox):
            user.post(user.call.receive_server_failure, transaction, cause)

    def on_flow_closed(self, flow: Hop, way: Hop) -> None:
        """An edge's connection is gone: its phones may come again by another one."""
        self._services.edges.note_closed(flow)

    def on_media_event(self, event: MediaEvent) -> None:
        """Takes what a relay says by itself; a session's id is its call's."""
        mailbox = self._calls.get(CallId(event.session_id))
        if mailbox is not None:
            mailbox.post(mailbox.call.receive_media_event, event)

    # --- requests --------------------------------------------------------------------------

    def _dispatch(self, transaction: ServerTransaction, request: Request) -> None:
        required = request.values("require")
        if required and request.method not in _UNCHECKED:
            # RFC 3261 8.2.2.3: we support no extension that a peer could require.
            headers = tuple(("unsupported", option) for option in required)
            self._answers.give(transaction, request, 420, headers)
        elif request.method == "CANCEL":
            self._receive_stray_cancel(transaction, request)
        elif request.to.tag is not None:
            self._receive_in_dialog(transaction, request)
        elif request.method == "INVITE":
            self._receive_invite(transaction, request)
        else:
            self._receive_other(transaction, request)

    def _receive_in_dialog(self, transaction: ServerTransaction, request: Request) -> None:
        address = self._calls.find(request)
        if address is None:
            self._absent.bring_request(transaction, request)
        else:
            self._post_request(address, transaction, request)

    def _post_request(
        self, address: LegAddress, transaction: ServerTransaction, request: Request
    ) -> None:
        mailbox = address.mailbox
        mailbox.note_asked(transaction)
        if request.method == "INVITE":
            pending, transaction.user = transaction.user, mailbox
            mailbox.post(mailbox.call.receive_request, address.leg, transaction, request)
            self._cancel_if_asked(mailbox, transaction, pending)
        else:
            mailbox.post(mailbox.call.receive_request, address.leg, transaction, request)

    def _receive_stray_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        """Takes a CANCEL by another edge than the INVITE's."""
        target = find_cancelled(self._calls, self._admitting, cancel)
        if target is None:
            self._answers.give(transaction, cancel, 481)
            return
        move_way_back(self._services.edges, target, transaction)
        self._answers.give(transaction, cancel, 200)
        self.on_cancel(target, cancel)

    def _receive_other(self, transaction: ServerTransaction, request: Request) -> None:
        if request.method == "OPTIONS" and request.has(PROBE_HEADER):
            state = self._services.keeper.answer.value
            self._answers.give(transaction, request, 200, ((STATE_HEADER, state),))
        elif request.method == "OPTIONS":
            if self.is_draining:
                raise Draining
            asked = self._admission.read(request)
            answering = self._answer_options(transaction, asked)
            if asked.is_immediate:
                run_now(answering)
            else:
                self._services.tasks.spawn(answering, name="answer to OPTIONS")
        elif request.method in SUPPORTED_METHODS:
            # BYE, INFO, UPDATE and their kin exist within a dialog only.
            self._answers.give(transaction, request, 481)
        else:
            self._answers.give(transaction, request, 405, (("allow", ALLOW),))

    async def _answer_options(self, transaction: ServerTransaction, asked: Asked) -> None:
        """Answers as an INVITE would be (RFC 3261 11.2)."""
        request = asked.request
        try:
            decision = await self._admission.decide(asked)
        except DomainError as error:
            self._answers.refuse(transaction, request, error)
            return
        status = decision.status if isinstance(decision, Refuse) else 200
        self._answers.give(transaction, request, status, (("allow", ALLOW), ("accept", ACCEPT)))

    # --- new calls -------------------------------------------------------------------------

    def _receive_invite(self, transaction: ServerTransaction, request: Request) -> None:
        call_id = CallId(request.get(CALL_HEADER) or self._ids.token(_CALL_ID_BYTES))
        if self._is_repeated(call_id, transaction, request):
            return
        refusal = self._calls.refusal_of(call_id)
        if refusal is not None:
            self._answers.give(transaction, request, refusal)
            return
        if request.has(REPEATED_HEADER):
            # What proves the caller was given at another edge: enough for a call that there is.
            self._absent.bring_request(transaction, request)
            return
        if self.is_draining or self._services.keeper.is_isolated:
            raise Draining
        if len(self._calls) >= self._max_calls:
            raise TooManyCalls
        if request.max_forwards == 0:
            raise LoopDetected("too many hops", sip_status=483)
        asked = self._admission.read(request)
        if not self._calls.begin(call_id, request):
            raise LoopDetected("merged request")
        pending = transaction.user = self._admitting[call_id] = Admitted(transaction)
        admitting = self._admit(call_id, transaction, asked, pending)
        if asked.is_immediate:
            run_now(admitting)
        else:
            self._services.tasks.spawn(admitting, name="admission of a call")

    def _is_repeated(
        self, call_id: CallId, transaction: ServerTransaction, request: Request
    ) -> bool:
        """Takes an INVITE that came before by another way: the same id is the same call."""
        mailbox = self._calls.get(call_id)
        edges = self._services.edges
        if mailbox is not None:
            caller = mailbox.call.parts.caller
            if caller.is_settled or not is_come_again(caller.request, request, edges):
                self._answers.give(transaction, request, MERGED)
                return True
            pending, transaction.user = transaction.user, mailbox
            mailbox.note_asked(transaction)
            mailbox.post(mailbox.call.receive_repeated_invite, transaction, request)
            self._cancel_if_asked(mailbox, transaction, pending)
            return True
        first = self._admitting.get(call_id)
        if first is None:
            return False
        if not is_come_again(first.transaction.request, request, edges):
            self._answers.give(transaction, request, MERGED)
            return True
        transaction.user = first
        first.copies.append((transaction, request))
        return True

    async def _admit(
        self,
        call_id: CallId,
        transaction: ServerTransaction,
        asked: Asked,
        pending: Admitted,
    ) -> None:
        request = asked.request
        try:
            admitted, owned = await self._decide(call_id, transaction, asked)
        except DomainError as error:
            self._not_admitted(call_id, request)
            self._answers.refuse(transaction, request, error)
            return
        except RemoteProtocolError as error:
            self._not_admitted(call_id, request)
            self._answers.give(transaction, request, error.status)
            return
        except BaseException:
            self._not_admitted(call_id, request)
            self._answers.give(transaction, request, 500)
            raise
        if self._calls.get(call_id) is not None:
            # It was taken over while we decided.
            for each in ((transaction, request), *self._stop_admitting(call_id, request)):
                self._is_repeated(call_id, *each)
            return
        if owned is not None:
            for each in ((transaction, request), *self._stop_admitting(call_id, request)):
                self._absent.bring_request(*each)
            return
        call, decision = admitted
        mailbox = Mailbox(call, self._services)
        transaction.user = mailbox
        del self._admitting[call_id]
        self._calls.add(call_id, mailbox)
        mailbox.note_asked(transaction)
        mailbox.post(call.start, decision)
        self._cancel_if_asked(mailbox, transaction, pending)
        for copy in pending.copies:
            self._is_repeated(call_id, *copy)

    async def _decide(
        self, call_id: CallId, transaction: ServerTransaction, asked: Asked
    ) -> tuple[tuple[Call, Decision], Owned | None]:
        """Admits, and looks whether the call is in state already, in one round trip."""
        admitting = self._admission.admit(call_id, transaction, asked)
        looking = self._owner_of(call_id)
        if asked.is_immediate:
            return await admitting, await looking
        admitted, owned = await asyncio.gather(admitting, looking)
        return admitted, owned

    async def _owner_of(self, call_id: CallId) -> Owned | None:
        try:
            return await self._services.store.owner_of(call_id)
        except (BackingError, TimeoutError):
            return None

    def _not_admitted(self, call_id: CallId, request: Request) -> None:
        for transaction, copy in self._stop_admitting(call_id, request):
            self._answers.give(transaction, copy, MERGED)

    def _stop_admitting(
        self, call_id: CallId, request: Request
    ) -> Sequence[tuple[ServerTransaction, Request]]:
        self._calls.remove(call_id, request)
        pending = self._admitting.pop(call_id, None)
        return () if pending is None else pending.copies

    def _cancel_if_asked(
        self, mailbox: Mailbox, transaction: ServerTransaction, pending: object
    ) -> None:
        if isinstance(pending, Admitted) and pending.cancel is not None:
            mailbox.post(mailbox.call.receive_cancel, transaction, pending.cancel)
