"""The media of one call at a relay: commands out, replies in.

At most three commands a normal call: opened with both legs when the call is made, updated with the
answer, closed at the end. The session is closed exactly once if it was ever asked for, also when
the call ends while the relay has not answered yet.
"""

from collections.abc import Iterable, Sequence
from enum import Enum

from parley.model.ids import SessionId
from parley.model.media import (
    LEG_A,
    LEG_B,
    CloseSession,
    LegSpec,
    LocalStream,
    OpenSession,
    Reply,
    SessionMode,
    StreamSpec,
    StreamStats,
    UpdateSession,
)


class MediaPhase(Enum):
    """Where a session stands."""

    NONE = "none"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class MediaSession:
    """One session; the call carries its commands to the relay and brings the replies back.

    Attributes:
        indexes: streams that were asked for so far.
        ports: the relay's own streams by leg, as far as it told them.
        stats: counters of the streams; there after the close.
    """

    __slots__ = ("epoch", "indexes", "phase", "ports", "relay", "session_id", "stats")

    def __init__(self, session_id: SessionId, epoch: int = 1) -> None:
        self.session_id = session_id
        self.epoch = epoch
        self.phase = MediaPhase.NONE
        self.relay = ""
        self.ports: dict[str, list[LocalStream]] = {}
        self.stats: list[StreamStats] = []
        self.indexes: set[int] = set()

    def open(
        self, mode: SessionMode, legs: Sequence[LegSpec], media_timeout_s: float
    ) -> OpenSession:
        """Asks for the session."""
        self.phase = MediaPhase.OPENING
        return OpenSession(self.session_id, self.epoch, mode, self._noted(legs), media_timeout_s)

    def update(self, legs: Sequence[LegSpec]) -> UpdateSession:
        """Changes streams, adds those that are new."""
        return UpdateSession(self.session_id, self.epoch, self._noted(legs), None, self.relay)

    def close(self) -> CloseSession:
        """Ends the session."""
        self.phase = MediaPhase.CLOSING
        return CloseSession(self.session_id, self.epoch, self.relay)

    def receive_opened(self, reply: Reply | None) -> bool:
        """Takes the reply to `open` or `update`; False when the relay refused or is away."""
        if reply is None or not reply.ok:
            return False
        if self.phase is MediaPhase.OPENING:
            self.phase = MediaPhase.OPEN
        self.relay = reply.relay or self.relay
        for leg in reply.legs:
            self._merge(leg.leg, leg.streams)
        return True

    def receive_closed(self, reply: Reply | None) -> None:
        """Takes the reply to `close`; a relay that is away has nothing to count."""
        self.phase = MediaPhase.CLOSED
        if reply is not None:
            self.stats = reply.stats

    def abandon(self) -> None:
        """The session never came to be."""
        self.phase = MediaPhase.CLOSED

    def lacks(self, indexes: Iterable[int]) -> bool:
        """Some of these streams have no ports yet."""
        return not self.indexes.issuperset(indexes)

    def streams(self, leg: str) -> list[LocalStream]:
        """The relay's streams towards a leg."""
        return self.ports.get(leg, [])

    def _noted(self, legs: Sequence[LegSpec]) -> list[LegSpec]:
        for leg in legs:
            self.indexes.update(spec.index for spec in leg.streams)
        return list(legs)

    def _merge(self, leg: str, streams: Sequence[LocalStream]) -> None:
        merged = {stream.index: stream for stream in self.ports.get(leg, ())}
        merged.update((stream.index, stream) for stream in streams)
        self.ports[leg] = [merged[index] for index in sorted(merged)]


def unanswered(streams: Sequence[StreamSpec]) -> list[StreamSpec]:
    """Specs for the leg whose party has not spoken yet: as many streams, nothing known of them."""
    return [StreamSpec(spec.index, active=False, clock_rate=spec.clock_rate) for spec in streams]


def other_leg(media_leg: str) -> str:
    """The media leg across."""
    return LEG_B if media_leg == LEG_A else LEG_A
