"""What the parts of a call work on together: its legs, media, journal and outputs."""

from enum import StrEnum
from typing import Final

from parley.callmanager.callee_leg import CalleeLeg
from parley.callmanager.caller_leg import CallerLeg
from parley.callmanager.ending import Ending
from parley.callmanager.forking import Fork
from parley.callmanager.journal import Journal
from parley.callmanager.leg import Leg
from parley.callmanager.media_session import MediaSession
from parley.callmanager.outputs import Outputs
from parley.model.call import EndedBy


class CallState(StrEnum):
    """How far a call is."""

    OPENING = "opening"
    TRYING = "trying"
    RINGING = "ringing"
    ANSWERING = "answering"
    ANSWERED = "answered"
    ENDING = "ending"
    ENDED = "ended"


UNANSWERED_BY_ALL: Final = frozenset((CallState.TRYING, CallState.RINGING))
OVER: Final = frozenset((CallState.ENDING, CallState.ENDED))


class CallParts:
    """One call's parts.

    Attributes:
        state: of the call; set by `Call` and `Establishment` only.
        fork: the callee's phones; None when the call is answered by ourselves.
        callee: the phone that answered.
        ending: why the call ends, once it does.
        now: when the last input came.
    """

    __slots__ = (
        "callee",
        "caller",
        "ending",
        "fork",
        "journal",
        "media",
        "now",
        "out",
        "state",
    )

    def __init__(
        self, out: Outputs, journal: Journal, media: MediaSession, caller: CallerLeg
    ) -> None:
        self.now = journal.started_at
        self.ending: Ending | None = None
        self.state = CallState.OPENING
        self.out = out
        self.journal = journal
        self.media = media
        self.caller = caller
        self.fork: Fork | None = None
        self.callee: CalleeLeg | None = None

    def legs(self) -> list[Leg]:
        """All legs, the caller's first."""
        return [self.caller] if self.fork is None else [self.caller, *self.fork.branches.values()]

    def leg(self, leg_id: str) -> Leg | None:
        """The leg of this id."""
        if leg_id == self.caller.id:
            return self.caller
        return None if self.fork is None else self.fork.branches.get(leg_id)

    def is_party(self, leg: Leg) -> bool:
        """Whether the leg is in the call: the caller's, or that of the phone which answered."""
        return leg is self.caller or leg is self.callee

    def side_of(self, leg: Leg) -> EndedBy:
        """Who of the two has this leg."""
        return EndedBy.CALLER if leg is self.caller else EndedBy.CALLEE

    def opposite(self, leg: Leg) -> Leg | None:
        """The other leg of the answered call; None when there is none."""
        if leg is self.caller:
            return self.callee
        return self.caller if leg is self.callee else None
