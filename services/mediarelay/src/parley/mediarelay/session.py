"""One call's media, as the relay knows it: its newest scene, and where its phones are to send."""

import math
from collections.abc import Iterable

from parley.mediaengine import Engine, StreamReport
from parley.mediarelay.net_policy import NetPolicy
from parley.mediarelay.two_party import TwoParty
from parley.model.media import LegPorts, LocalStream, StreamStats
from parley.model.scene import Scene


class Session:
    """One session at the engine.

    Attributes:
        epoch, revision, scene: the newest that was taken.
        ports: our addresses, leg by leg.
        two_party: what made the scene, if it was told piece by piece.
    """

    def __init__(self, session_id: str, engine: Engine, ip: str, policy: NetPolicy) -> None:
        self.session_id = session_id
        self.epoch = self.revision = 0
        self.scene = Scene()
        self.ports: list[LegPorts] = []
        self.two_party: TwoParty | None = None
        self._engine = engine
        self._ip = ip
        self._policy = policy

    def apply(self, epoch: int, revision: int, scene: Scene) -> None:
        """Brings the session into the state of a scene: all of it, or nothing.

        Raises:
            AddressRefused: media may not be sent where it is wanted.
            EngineError: the engine refused.
        """
        told = self._policy.admit(scene).encode()
        opened = self._engine.apply(self.session_id, epoch, revision, told)
        self.epoch, self.revision, self.scene = epoch, revision, scene
        self.ports = self._told(opened)

    def close(self) -> list[StreamStats]:
        """Ends it; returns its last counters."""
        return [_stats(report) for report in self._engine.close(self.session_id)]

    def is_silent_for(self, seconds: float) -> bool:
        """Whether nothing has come from any phone for so long."""
        ages = (report.last_packet_age_s for report in self._engine.report(self.session_id))
        return min((math.inf if age is None else age for age in ages), default=math.inf) >= seconds

    def _told(self, opened: Iterable[tuple[str, int, int]]) -> list[LegPorts]:
        found: dict[str, list[LocalStream]] = {leg: [] for leg in self.scene.endpoints}
        for leg, index, port in opened:
            found[leg].append(LocalStream(index, self._ip, port, port + 1))
        return [LegPorts(leg, streams) for leg, streams in found.items()]


def _stats(report: StreamReport) -> StreamStats:
    return StreamStats(
        leg=report.leg,
        index=report.index,
        packets_received=report.packets_received,
        bytes_received=report.bytes_received,
        packets_sent=report.packets_sent,
        bytes_sent=report.bytes_sent,
        lost=report.lost,
        jitter_ms=report.jitter_ms,
        rtcp_received=report.rtcp_received,
        rejected=report.rejected,
        bad_auth=report.bad_auth,
        send_failed=report.send_failed,
        last_packet_age_s=report.last_packet_age_s,
    )
