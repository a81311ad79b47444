"""Media time-out of one party, while the other talks: it is muted, listening, or gone.

Its phone is asked in the dialog (OPTIONS, RFC 3261 11); only one that does not answer, or does not
know the call any more, ends it. The relay tells of the silence again as long as it lasts, so a
phone that vanishes later is found as well.
"""

from typing import Final

from parley.callmanager.ending import MEDIA_TIMEOUT, PHONE_LOST, Ending
from parley.callmanager.leg import Leg
from parley.callmanager.outputs import Purpose
from parley.callmanager.parts import CallParts, CallState
from parley.callmanager.sip_profile import ACCEPT
from parley.model.media import LEG_A, MediaTimedOut

_GONE: Final = frozenset((408, 430, 481))
"""No answer, no flow to it, no such dialog (RFC 3261 12.2.1.2)."""


class Silence:
    """What is done about a call's silent legs.

    Attributes:
        asked: phones that have not answered yet, by the key of our request. No part of a snapshot:
            a successor hears of the silence from the relay, and asks anew.
    """

    __slots__ = ("_parts", "asked")

    def __init__(self, parts: CallParts) -> None:
        self._parts = parts
        self.asked: dict[int, Leg] = {}

    def receive_event(self, event: MediaTimedOut) -> Ending | None:
        """Nobody is heard: the end. One is not: its phone is asked."""
        leg = self._leg(event.leg)
        if not event.is_other_heard or leg is None:
            return MEDIA_TIMEOUT
        is_idle = leg.is_up and leg.unacked is None
        is_asked = leg in self.asked.values()
        if is_idle and not is_asked and self._parts.state is CallState.ANSWERED:
            request = leg.new_request("OPTIONS")
            request.add("accept", ACCEPT)
            self.asked[leg.send(request, Purpose.SILENCE)] = leg
        return None

    def receive_response(self, key: int, status: int) -> Ending | None:
        """The phone answers; that it refuses to be asked is an answer too.

        408: it said nothing, where it was; it may have moved meanwhile, and said so. 503: an edge
        is gone rather than the phone.
        """
        if status < 200:
            return None
        leg = self.asked.pop(key, None)
        is_gone = leg is not None and status in _GONE and not leg.has_spoken_since(key)
        return PHONE_LOST if is_gone else None

    def _leg(self, media_leg: str) -> Leg | None:
        return self._parts.caller if media_leg == LEG_A else self._parts.callee
