"""What a call is made from: the INVITE, who is in it and the limits that hold for it."""

from typing import Any, Final

from msgspec import Struct

from parley.callmanager.invite import CallIdentity
from parley.callmanager.journal import Parties
from parley.sip.ids import Ids
from parley.sip.message import Request

FIRST_EPOCH: Final = 1
"""The epoch of a call that was never taken over (`State.claim`)."""


class CallSetup(Struct, frozen=True):
    """The constants of one call.

    Attributes:
        domain: the tenant's domain, in our Contact and in the parties' URIs.
        transaction: server transaction of the INVITE; the core does not look into it.
        media_timeout_s: silence after which the relay tells us; 0 means never.
        max_duration_s: seconds from the answer to a forced end.
    """

    parties: Parties
    domain: str
    product: str
    ids: Ids
    transaction: Any
    request: Request
    identity: CallIdentity
    media_timeout_s: float
    max_duration_s: float
    epoch: int = FIRST_EPOCH
