"""CANCELs that an edge sends for an INVITE which another edge brought.

Their branch is that of the INVITE, for edges derive branches and keep none to themselves, while
sent-by is the edge's own; so the transaction layer does not match them (RFC 3261 17.2.3), and here
they are matched by what both edges write alike.
"""

from collections.abc import Iterable, Mapping

from parley.callmanager.absent import Admitted
from parley.callmanager.calls import Calls
from parley.callmanager.edges import Edges
from parley.callmanager.sip_profile import SOURCE_HEADER
from parley.model.ids import CallId
from parley.sip.message import Request
from parley.sip.transaction import ServerTransaction, sent_by_hop


def find_cancelled(
    calls: Calls, admitting: Mapping[CallId, Admitted], cancel: Request
) -> ServerTransaction | None:
    """Finds the INVITE or re-INVITE without final response that a CANCEL is about, if it is here.

    The branch proves that an edge derived it for this very INVITE. A phone's CANCEL proves nothing
    itself (22.1), so it must come at least from the address that the INVITE came from.
    """
    for asked in _candidates(calls, admitting, cancel):
        if asked.is_invite and _are_one(asked.request, cancel):
            return asked
    return None


def _candidates(
    calls: Calls, admitting: Mapping[CallId, Admitted], cancel: Request
) -> Iterable[ServerTransaction]:
    address = calls.find_dialog(cancel)
    if address is not None:
        return address.mailbox.unanswered()
    call_id = calls.made_by(cancel)
    if call_id is None:
        return ()
    mailbox, pending = calls.get(call_id), admitting.get(call_id)
    if mailbox is not None:
        return mailbox.unanswered()
    return () if pending is None else (pending.transaction,)


def move_way_back(edges: Edges, target: ServerTransaction, cancel: ServerTransaction) -> None:
    """Lets the 487 go by the edge that brought the CANCEL when the other one is about to end.

    One that lives has the phone's transaction and needs the response for it; one whose connection
    broke is replaced when the response meets that (`edges.py`).

    Raises:
        RemoteProtocolError: the Via of the INVITE cannot be used.
    """
    same_kind = target.hop.transport == cancel.hop.transport
    if same_kind and edges.is_leaving(sent_by_hop(target.request.via)):
        target.move(cancel.hop)


def _are_one(invite: Request, cancel: Request) -> bool:
    return (
        invite.via.branch == cancel.via.branch
        and invite.call_id == cancel.call_id
        and invite.from_.tag == cancel.from_.tag
        and invite.cseq.number == cancel.cseq.number
        and invite.get(SOURCE_HEADER) == cancel.get(SOURCE_HEADER)
    )
