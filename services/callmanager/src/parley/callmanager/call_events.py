"""What legs tell the call, and through it each other: no leg sees the other's SIP.

A leg turns a SIP message into one of these; the call decides, and has the other leg turn its
meaning into SIP again. Descriptions travel as the party wrote them: rewriting them for the other
leg is the business of that leg (`local_description.py`).
"""

from msgspec import Struct

from parley.callmanager.party_description import PartyDescription


class Try(Struct, frozen=True):
    """The caller wants a call; `offer` is None when it wants ours (RFC 3261 13.2.1)."""

    leg: str
    offer: PartyDescription | None


class Ring(Struct, frozen=True):
    """Progress: 180 to 199, with early media when it carries a description."""

    leg: str
    status: int
    reason: str
    sdp: PartyDescription | None


class Connect(Struct, frozen=True):
    """The callee answered; `sdp` is its answer, or its offer when the INVITE had none."""

    leg: str
    sdp: PartyDescription | None


class Update(Struct, frozen=True):
    """A party wants the session changed: re-INVITE or UPDATE (RFC 3261 14, RFC 3311)."""

    leg: str
    method: str
    offer: PartyDescription | None


class Disconnect(Struct, frozen=True):
    """A party hung up; `reasons` are its Reason values (RFC 3326), passed on to the other."""

    leg: str
    reasons: tuple[str, ...] = ()


class Fail(Struct, frozen=True):
    """What was asked of a party did not happen.

    Attributes:
        status: SIP status; 408 stands for silence, 503 for a transport that failed.
        alternate: the flow is gone (430, transport): another flow to the same phone may do.
        headers: of our response to that party.
        redirected_to: Contact values that it names instead (3xx).
    """

    leg: str
    status: int
    reason: str
    alternate: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    redirected_to: tuple[str, ...] = ()


CallEvent = Try | Ring | Connect | Update | Disconnect | Fail
