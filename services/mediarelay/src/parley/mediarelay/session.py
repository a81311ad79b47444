"""One call's media: endpoints of the engine, kept in step with what the signalling says."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from parley.mediaengine import EndpointSpec, EndpointStats, Engine, EngineError
from parley.mediarelay.net_policy import NetPolicy
from parley.model.media import (
    MAX_CLOCK_RATE,
    MAX_STREAMS_PER_LEG,
    Address,
    LegPorts,
    LegSpec,
    LocalStream,
    SessionMode,
    StreamSpec,
    StreamStats,
)

_MAX_LEGS = 2
_MAX_TIMEOUT_S = 86_400.0


class InvalidCommand(Exception):
    """A command asks for what makes no sense; one sentence."""


Wanted = dict[tuple[str, int], tuple[StreamSpec, EndpointSpec]]
"""Streams by leg and index, and what the engine is to be told of them, the time-out apart."""


@dataclass(slots=True)
class Stream:
    """One leg's side of one m-line, and the endpoint that carries it.

    Attributes:
        spec, told, timeout_s: as the engine has taken them; `told` is without the time-out.
    """

    endpoint: int
    rtp_port: int
    spec: StreamSpec
    told: EndpointSpec
    timeout_s: float = 0.0
    has_timed_out: bool = False


class OpenEndpoints:
    """What all sessions of a relay have open.

    Attributes:
        sessions: by the number of their endpoint.
        ports: of them all, RTCP's too.
    """

    def __init__(self) -> None:
        self.sessions: dict[int, Session] = {}
        self.ports: set[int] = set()

    def add(self, stream: Stream, session: "Session") -> None:
        """A stream of the session was opened."""
        self.sessions[stream.endpoint] = session
        self.ports.update((stream.rtp_port, stream.rtp_port + 1))

    def remove(self, stream: Stream) -> None:
        """A stream is about to be closed."""
        self.sessions.pop(stream.endpoint, None)
        self.ports.difference_update((stream.rtp_port, stream.rtp_port + 1))

    def clear(self) -> None:
        """All are closed."""
        self.sessions.clear()
        self.ports.clear()


class Session:
    """The endpoints of one session.

    Attributes:
        epoch: the newest that commanded it.
    """

    def __init__(
        self,
        session_id: str,
        mode: SessionMode,
        engine: Engine,
        ip: str,
        endpoints: OpenEndpoints,
        policy: NetPolicy,
    ) -> None:
        self.session_id = session_id
        self.mode = mode
        self.epoch = 0
        self._engine = engine
        self._ip = ip
        self._endpoints = endpoints
        self._policy = policy
        self._media_timeout_s = 0.0
        self._legs: dict[str, dict[int, Stream]] = {}
        self._silent: set[str] = set()

    def apply(self, legs: list[LegSpec], media_timeout_s: float | None) -> None:
        """Opens the streams that are new and updates those that are named.

        What can be refused is looked at before anything changes. Should the engine fail between
        two updates, the streams that it took are changed and the others as before; a repeat goes
        on there.

        Raises:
            InvalidCommand: a value makes no sense.
            AddressRefused: media cannot, or may not, be sent where it is wanted.
            EngineError: the engine refused.
        """
        wanted = self._check(legs, media_timeout_s)
        opened = self._open_new(legs, wanted)
        if media_timeout_s is None:
            media_timeout_s = self._media_timeout_s
        self._tell(wanted, wanted.keys() - opened, media_timeout_s)
        self._media_timeout_s = media_timeout_s

    def close(self) -> list[StreamStats]:
        """Closes every endpoint; returns their last counters."""
        streams = self._walk()
        self._legs.clear()
        return [_stream_stats(leg, index, self._release(stream)) for leg, index, stream in streams]

    def _release(self, stream: Stream) -> EndpointStats:
        self._endpoints.remove(stream)
        return self._engine.close(stream.endpoint)

    def ports(self) -> list[LegPorts]:
        """Our addresses, leg by leg."""
        return [
            LegPorts(leg, [self._local(index, stream) for index, stream in streams.items()])
            for leg, streams in self._legs.items()
        ]

    def timed_out_leg(self, endpoint: int) -> str | None:
        """Notes that an endpoint is silent; names its leg if that is silent as a whole.

        The silence of such a leg counts anew, so that it is told again as long as it lasts.
        """
        for leg, streams in self._legs.items():
            for stream in streams.values():
                if stream.endpoint == endpoint:
                    stream.has_timed_out = True
                    if not self._is_leg_silent(streams.values()):
                        return None
                    self._silent.add(leg)
                    self._count_anew(streams.values())
                    return leg
        return None

    def is_other_heard(self, leg: str) -> bool:
        """Whether something comes from another leg than this one."""
        return any(
            stream.timeout_s and (name not in self._silent or self._age(stream) < stream.timeout_s)
            for name, _, stream in self._walk()
            if name != leg
        )

    def is_silent_for(self, seconds: float) -> bool:
        """Whether nothing has come from any phone for so long."""
        return all(self._age(stream) >= seconds for _, _, stream in self._walk())

    def _check(self, legs: list[LegSpec], media_timeout_s: float | None) -> Wanted:
        """Whether it all makes sense."""
        names = set(self._legs)
        wanted: Wanted = {}
        for leg in legs:
            names.add(leg.leg)
            self._check_leg(leg, wanted)
        if len(names) > _MAX_LEGS:
            raise InvalidCommand(f"a session has at most {_MAX_LEGS} legs, not {len(names)}")
        if media_timeout_s is not None and not 0 <= media_timeout_s <= _MAX_TIMEOUT_S:
            raise InvalidCommand(f"a media time-out cannot be {media_timeout_s} s")
        return wanted

    def _check_leg(self, leg: LegSpec, wanted: Wanted) -> None:
        if not leg.leg:
            raise InvalidCommand("a leg must have a name")
        if len(leg.streams) > MAX_STREAMS_PER_LEG:
            raise InvalidCommand(f"a leg has at most {MAX_STREAMS_PER_LEG} streams")
        for spec in leg.streams:
            if not 0 <= spec.index < MAX_STREAMS_PER_LEG:
                raise InvalidCommand(f"stream index {spec.index} is out of bounds")
            if not 0 < spec.clock_rate <= MAX_CLOCK_RATE:
                raise InvalidCommand(f"clock rate {spec.clock_rate} is out of bounds")
            try:
                wanted[leg.leg, spec.index] = spec, self._endpoint_spec(spec)
            except EngineError as error:
                raise InvalidCommand(str(error)) from error

    def _open_new(self, legs: list[LegSpec], wanted: Wanted) -> set[tuple[str, int]]:
        """Opens the streams that are new and names them; closes them again when one fails."""
        opened: set[tuple[str, int]] = set()
        before = list(self._legs)
        try:
            for leg in legs:
                streams = self._legs.setdefault(leg.leg, {})
                for spec in leg.streams:
                    key = leg.leg, spec.index
                    if spec.index not in streams:
                        streams[spec.index] = self._open(leg.leg, *wanted[key])
                        opened.add(key)
            if opened:
                self._check_ports(legs)
        except BaseException:
            for name, index in opened:
                self._release(self._legs[name].pop(index))
            self._legs = {leg: self._legs[leg] for leg in before}
            raise
        return opened

    def _open(self, leg: str, spec: StreamSpec, told: EndpointSpec) -> Stream:
        peer = self._peer(leg, spec.index)
        near = peer.endpoint if peer else None
        endpoint, rtp_port = self._engine.open(told, near)
        stream = Stream(endpoint, rtp_port, spec, told)
        self._endpoints.add(stream, self)
        try:
            if self.mode is SessionMode.ECHO:
                self._engine.echo(endpoint)
            elif peer:
                self._engine.bridge(endpoint, peer.endpoint)
        except BaseException:
            self._release(stream)
            raise
        return stream

    def _tell(self, wanted: Wanted, named: set[tuple[str, int]], media_timeout_s: float) -> None:
        """Tells the engine of what was named, and of what now times out or no longer does."""
        streams = self._walk()
        # By endpoint; a time-out depends on the peer, too.
        after = {
            stream.endpoint: wanted.get((leg, index), (stream.spec, stream.told))
            for leg, index, stream in streams
        }
        for leg, index, stream in streams:
            spec, told = after[stream.endpoint]
            peer = self._peer(leg, index)
            is_expected = self._is_expected(spec, None if peer is None else after[peer.endpoint][0])
            timeout_s = media_timeout_s if is_expected else 0.0
            if timeout_s != stream.timeout_s or (leg, index) in named:
                self._engine.update(stream.endpoint, told.with_timeout(timeout_s))
                stream.spec, stream.told, stream.timeout_s = spec, told, timeout_s
                stream.has_timed_out = False
                self._silent.discard(leg)

    def _is_expected(self, spec: StreamSpec, peer: StreamSpec | None) -> bool:
        """A phone need not speak before there is somebody to hear it."""
        if not spec.active or spec.remote is None:
            return False
        return self.mode is not SessionMode.BRIDGE or (peer is not None and peer.remote is not None)

    def _is_leg_silent(self, streams: Iterable[Stream]) -> bool:
        """One that timed out may have come back since; the engine tells only of silence."""
        return all(
            stream.has_timed_out and self._age(stream) >= stream.timeout_s
            for stream in streams
            if stream.timeout_s
        )

    def _count_anew(self, streams: Iterable[Stream]) -> None:
        for stream in streams:
            if stream.timeout_s:
                stream.has_timed_out = False
                self._engine.update(stream.endpoint, stream.told.with_timeout(stream.timeout_s))

    def _age(self, stream: Stream) -> float:
        age = self._engine.stats(stream.endpoint).last_packet_age_s
        return math.inf if age is None else age

    def _peer(self, leg: str, index: int) -> Stream | None:
        for name, streams in self._legs.items():
            if name != leg:
                return streams.get(index)
        return None

    def _endpoint_spec(self, spec: StreamSpec) -> EndpointSpec:
        """Where the stream is, as far as the policy lets media go there."""
        return EndpointSpec(
            self._target(spec.remote, spec),
            self._target(spec.remote_rtcp, spec),
            self._policy.sources(spec.learn_from),
            clock_rate=spec.clock_rate,
        )

    def _check_ports(self, legs: list[LegSpec]) -> None:
        """Looks again whether phones named ports of ours: they may have been free until now."""
        for leg in legs:
            for spec in leg.streams:
                self._target(spec.remote, spec)
                self._target(spec.remote_rtcp, spec)

    def _target(self, address: Address | None, spec: StreamSpec) -> tuple[str, int] | None:
        if address is None:
            return None
        target = self._policy.target(address, spec.learn_from, self._endpoints.ports)
        return None if target is None else (target.ip, target.port)

    def _local(self, index: int, stream: Stream) -> LocalStream:
        return LocalStream(index, self._ip, stream.rtp_port, stream.rtp_port + 1)

    def _walk(self) -> list[tuple[str, int, Stream]]:
        return [
            (leg, index, stream)
            for leg, streams in self._legs.items()
            for index, stream in streams.items()
        ]


def _stream_stats(leg: str, index: int, stats: EndpointStats) -> StreamStats:
    return StreamStats(
        leg=leg,
        index=index,
        packets_received=stats.packets_received,
        bytes_received=stats.bytes_received,
        packets_sent=stats.packets_sent,
        bytes_sent=stats.bytes_sent,
        lost=stats.lost,
        jitter_ms=stats.jitter_ms,
        rtcp_received=stats.rtcp_received,
        rejected=stats.rejected,
        send_failed=stats.send_failed,
        last_packet_age_s=stats.last_packet_age_s,
    )
