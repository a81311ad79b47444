"""One call's media: what the signalling said so far, as a scene for the engine."""

import math
from collections.abc import Iterable
from typing import Final

from parley.mediaengine import Engine, InvalidScene, StreamReport
from parley.mediarelay.net_policy import NetPolicy
from parley.model.media import (
    Address,
    LegPorts,
    LegSpec,
    LocalStream,
    SessionMode,
    StreamSpec,
    StreamStats,
)
from parley.model.scene import Endpoint, Scene, Source, Stream, Transport

MAX_LEGS: Final = 2
"""That the commands of a session may name."""

_Legs = dict[str, dict[int, Stream]]


class Session:
    """One session at the engine.

    Attributes:
        epoch: the newest that commanded it.
    """

    def __init__(
        self, session_id: str, mode: SessionMode, engine: Engine, ip: str, policy: NetPolicy
    ) -> None:
        self.session_id = session_id
        self.mode = mode
        self.epoch = 0
        self._engine = engine
        self._ip = ip
        self._policy = policy
        self._media_timeout_s = 0.0
        self._revision = 0
        self._legs: _Legs = {}
        self._ports: list[LegPorts] = []

    def apply(self, epoch: int, legs: list[LegSpec], media_timeout_s: float | None) -> None:
        """Opens the streams that are new and changes those that are named, all or none.

        Raises:
            AddressRefused: media may not be sent where it is wanted.
            EngineError: the engine refused.
        """
        wanted = self._with(legs)
        if media_timeout_s is None:
            media_timeout_s = self._media_timeout_s
        scene = self._scene(wanted, media_timeout_s)
        revision = self._revision + 1
        opened = self._engine.apply(self.session_id, epoch, revision, scene.encode())
        self.epoch, self._revision = epoch, revision
        self._legs, self._media_timeout_s = wanted, media_timeout_s
        self._ports = self._told(opened)

    def close(self) -> list[StreamStats]:
        """Ends it; returns its last counters."""
        return [_stats(report) for report in self._engine.close(self.session_id)]

    def ports(self) -> list[LegPorts]:
        """Our addresses, leg by leg."""
        return self._ports

    def is_silent_for(self, seconds: float) -> bool:
        """Whether nothing has come from any phone for so long."""
        ages = (report.last_packet_age_s for report in self._engine.report(self.session_id))
        return min((math.inf if age is None else age for age in ages), default=math.inf) >= seconds

    def _with(self, legs: list[LegSpec]) -> _Legs:
        """What is known once these legs were heard."""
        wanted = {leg: dict(streams) for leg, streams in self._legs.items()}
        for leg in legs:
            known = wanted.setdefault(leg.leg, {})
            for spec in leg.streams:
                before = known.get(spec.index)
                known[spec.index] = self._stream(spec, before)
        if len(wanted) > MAX_LEGS:
            raise InvalidScene(f"a session has at most {MAX_LEGS} legs, not {len(wanted)}")
        return wanted

    def _stream(self, spec: StreamSpec, before: Stream | None) -> Stream:
        transport = Transport(
            remote=self._target(spec.remote, spec),
            remote_rtcp=self._target(spec.remote_rtcp, spec),
            learn_from=self._policy.sources(spec.learn_from),
            described=0 if before is None else before.transport.described + 1,
        )
        is_active = spec.active and spec.remote is not None
        return Stream(spec.index, transport, is_active, spec.clock_rate)

    def _target(self, address: Address | None, spec: StreamSpec) -> Address | None:
        """Where the stream's phone is, as far as the policy lets media go there."""
        return None if address is None else self._policy.target(address, spec.learn_from)

    def _scene(self, legs: _Legs, media_timeout_s: float) -> Scene:
        endpoints = {leg: Endpoint(list(streams.values())) for leg, streams in legs.items()}
        if self.mode is SessionMode.ECHO:
            hears = {leg: [Source(leg)] for leg in legs}
        else:
            hears = {leg: [Source(other) for other in legs if other != leg] for leg in legs}
        return Scene(endpoints, hears, media_timeout_s)

    def _told(self, opened: Iterable[tuple[str, int, int]]) -> list[LegPorts]:
        found: dict[str, list[LocalStream]] = {leg: [] for leg in self._legs}
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
        send_failed=report.send_failed,
        last_packet_age_s=report.last_packet_age_s,
    )
