"""The media of one call at a relay: commands out, replies in.

At most three commands a normal call: opened with both legs when the call is made, updated with the
answer, closed at the end. The session is closed exactly once if it was ever asked for, also when
the call ends while the relay has not answered yet. What the relay was told is kept, so that a lost
session can be opened again elsewhere (`rehoming.py`).
"""

from collections.abc import Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Final

from msgspec.structs import replace

from parley.callmanager.party_description import PartyDescription
from parley.model.ids import SessionId
from parley.model.media import (
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
from parley.sdp import RemoteStream, answer_matches_offer


class MediaPhase(StrEnum):
    """Where a session stands."""

    NONE = "none"
    OPENING = "opening"
    OPEN = "open"
    LOST = "lost"
    REOPENING = "reopening"
    CLOSING = "closing"
    CLOSED = "closed"


_INDEX: Final = attrgetter("index")
_OPENING: Final = frozenset((MediaPhase.OPENING, MediaPhase.REOPENING))


class MediaSession:
    """One session; the call carries its commands to the relay and brings the replies back.

    Attributes:
        indexes: streams that were asked for so far.
        ports: the relay's own streams by leg, as far as it told them.
        stats: counters of the streams; there after the close. Those of a relay that died are not.
        old_relay: where the session also is while the call moves away from there.
        mode, media_timeout_s, specs: what the relay was told, streams by leg and index.
    """

    __slots__ = (
        "epoch",
        "indexes",
        "media_timeout_s",
        "mode",
        "old_relay",
        "phase",
        "ports",
        "relay",
        "session_id",
        "specs",
        "stats",
    )

    def __init__(self, session_id: SessionId, epoch: int) -> None:
        self.session_id = session_id
        self.epoch = epoch
        self.phase = MediaPhase.NONE
        self.relay = self.old_relay = ""
        self.ports: dict[str, list[LocalStream]] = {}
        self.stats: list[StreamStats] = []
        self.indexes: set[int] = set()
        self.mode = SessionMode.BRIDGE
        self.media_timeout_s = 0.0
        self.specs: dict[str, dict[int, StreamSpec]] = {}

    def open(
        self, mode: SessionMode, legs: Sequence[LegSpec], media_timeout_s: float
    ) -> OpenSession:
        """Asks for the session."""
        self.phase = MediaPhase.OPENING
        self.mode, self.media_timeout_s = mode, media_timeout_s
        return OpenSession(self.session_id, self.epoch, mode, self._noted(legs), media_timeout_s)

    def update(self, legs: Sequence[LegSpec]) -> UpdateSession:
        """Changes streams, adds those that are new."""
        return UpdateSession(self.session_id, self.epoch, self._noted(legs), None, self.relay)

    def reopen(self) -> OpenSession:
        """Asks for the session as it is, at another relay."""
        legs = [LegSpec(leg, list(specs.values())) for leg, specs in self.specs.items()]
        return OpenSession(self.session_id, self.epoch, self.mode, legs, self.media_timeout_s)

    def close(self) -> CloseSession:
        """Ends the session."""
        self.phase = MediaPhase.CLOSING
        return CloseSession(self.session_id, self.epoch, self.relay)

    def close_at(self, relay: str) -> CloseSession:
        """Ends what is left of the session at a relay that it moved away from."""
        return CloseSession(self.session_id, self.epoch, relay)

    def receive_opened(self, reply: Reply | None) -> bool:
        """Takes the reply to `open` or `update`; False when the relay refused or is away."""
        if reply is None or not reply.ok:
            return False
        if self.phase in _OPENING:
            self.phase = MediaPhase.OPEN
        self.relay = reply.relay or self.relay
        for leg in reply.legs:
            if leg.leg not in self.ports:
                self.ports[leg.leg] = sorted(leg.streams, key=_INDEX)
            elif leg.streams != self.ports[leg.leg]:
                self._merge(leg.leg, leg.streams)
        return True

    def receive_closed(self, reply: Reply | None) -> None:
        """Takes the reply to `close`; a relay that is away has nothing to count."""
        self.phase = MediaPhase.CLOSED
        self.count(reply)

    def count(self, reply: Reply | None) -> None:
        """Adds a closed session's counters; a call that moved has more than one."""
        if reply is None or not reply.stats:
            return
        known = {(stats.leg, stats.index): stats for stats in self.stats}
        for stats in reply.stats:
            before = known.get((stats.leg, stats.index))
            known[stats.leg, stats.index] = stats if before is None else _sum(before, stats)
        self.stats = list(known.values())

    def abandon(self) -> None:
        """The session never came to be."""
        self.phase = MediaPhase.CLOSED

    def reaches(self, streams: Sequence[RemoteStream]) -> bool:
        """Whether the relay has an address of the family that each of these streams needs."""
        own = next((local.ip for each in self.ports.values() for local in each), "")
        return not own or all((":" in each.ip) == (":" in own) for each in streams if each.ip)

    def takes_answer(self, offer: PartyDescription | None, answer: PartyDescription) -> bool:
        """Whether an answer leads where the relay can send, and answers what was offered.

        Args:
            offer: None when the description is an offer itself.
            answer: what a party sent.
        """
        if not self.reaches(answer.streams):
            return False
        return offer is None or answer_matches_offer(offer.sdp, answer.sdp)

    def streams(self, leg: str) -> list[LocalStream]:
        """The relay's streams towards a leg."""
        return self.ports.get(leg, [])

    def note(self, leg: LegSpec) -> None:
        """Keeps what a relay is told of a leg."""
        specs = self.specs.setdefault(leg.leg, {})
        for spec in leg.streams:
            specs[spec.index] = spec
            self.indexes.add(spec.index)

    def is_news(self, leg: str, spec: StreamSpec) -> bool:
        """Whether the relay was told otherwise of this stream."""
        return self.specs.get(leg, {}).get(spec.index) != spec

    def _noted(self, legs: Sequence[LegSpec]) -> list[LegSpec]:
        for leg in legs:
            self.note(leg)
        return list(legs)

    def _merge(self, leg: str, streams: Sequence[LocalStream]) -> None:
        merged = {stream.index: stream for stream in self.ports[leg]}
        merged.update((stream.index, stream) for stream in streams)
        self.ports[leg] = sorted(merged.values(), key=_INDEX)


def _sum(one: StreamStats, two: StreamStats) -> StreamStats:
    """Counters of a stream at two relays, one after the other; the later one's jitter."""
    return replace(
        two,
        packets_received=one.packets_received + two.packets_received,
        bytes_received=one.bytes_received + two.bytes_received,
        packets_sent=one.packets_sent + two.packets_sent,
        bytes_sent=one.bytes_sent + two.bytes_sent,
        lost=one.lost + two.lost,
        rtcp_received=one.rtcp_received + two.rtcp_received,
        rejected=one.rejected + two.rejected,
        bad_auth=one.bad_auth + two.bad_auth,
        send_failed=one.send_failed + two.send_failed,
    )


def unanswered(streams: Sequence[StreamSpec]) -> list[StreamSpec]:
    """Specs for the leg whose party has not spoken yet: as many streams, nothing known of them."""
    return [StreamSpec(spec.index, active=False, clock_rate=spec.clock_rate) for spec in streams]
