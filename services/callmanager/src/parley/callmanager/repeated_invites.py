"""INVITEs with the id of a call that is here: the phone's own, come again, or somebody's copy.

The id says that Call-ID, From tag, CSeq and credentials are those of the call. Who overheard the
INVITE can write all of that, and every other line too, and its newest transaction is the one that
is answered. So it has to come from where the first came from, by the flow that the edge names.
Once the edge of the first is gone its phone comes by another flow, and with another Via where
it takes that for another server (RFC 3263 4.3); its address and Contact stay.
"""

from typing import Final

from parley.callmanager.edges import Edges
from parley.callmanager.sip_profile import FLOW_HEADER, SOURCE_HEADER
from parley.sip.message import Request

_OF_THE_PHONE: Final = (SOURCE_HEADER, "contact")


def is_come_again(first: Request, request: Request, edges: Edges) -> bool:
    """Says whether a request is the INVITE `first`, come again from its own sender."""
    if any(first.get_all(name) != request.get_all(name) for name in _OF_THE_PHONE):
        return False
    return edges.is_lost(first) or _is_same_way(first, request)


def _is_same_way(first: Request, request: Request) -> bool:
    """Whether answers go to the same place beyond the edge, whose own Via is the topmost."""
    # An INVITE in a snapshot of the version before says nothing of its flow.
    return first.get(FLOW_HEADER) in (None, request.get(FLOW_HEADER)) and (
        first.values("via")[1:] == request.values("via")[1:]
    )
