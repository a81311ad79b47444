"""What `OpenSession` and `UpdateSession` have said of two parties, as a scene."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from parley.model.media import LegSpec, SessionMode, StreamSpec
from parley.model.scene import Endpoint, Scene, Source, Stream, Transport

MAX_LEGS: Final = 2


class TooManyLegs(Exception):
    """More parties than two; one sentence."""


class TwoParty(Struct, frozen=True):
    """What is known of a session so far.

    Attributes:
        legs: streams by leg and index.
    """

    mode: SessionMode
    legs: Mapping[str, Mapping[int, Stream]] = {}
    media_timeout_s: float = 0.0

    def hear(self, legs: list[LegSpec], media_timeout_s: float | None) -> "TwoParty":
        """What is known after a command that names these legs; the others stay as they are.

        Raises:
            TooManyLegs: there would be more than two.
        """
        known = {leg: dict(streams) for leg, streams in self.legs.items()}
        for leg in legs:
            streams = known.setdefault(leg.leg, {})
            for spec in leg.streams:
                streams[spec.index] = _stream(spec, streams.get(spec.index))
        if len(known) > MAX_LEGS:
            raise TooManyLegs(f"a session has at most {MAX_LEGS} legs, not {len(known)}")
        timeout_s = self.media_timeout_s if media_timeout_s is None else media_timeout_s
        return TwoParty(self.mode, known, timeout_s)

    def scene(self) -> Scene:
        """The scene of a call between them, or of an echo."""
        endpoints = {leg: Endpoint(list(streams.values())) for leg, streams in self.legs.items()}
        is_echo = self.mode is SessionMode.ECHO
        hears = {
            leg: [Source(other) for other in self.legs if (other == leg) is is_echo]
            for leg in self.legs
        }
        return Scene(endpoints, hears, self.media_timeout_s)


def _stream(spec: StreamSpec, before: Stream | None) -> Stream:
    """A stream is named when its phone has described itself."""
    transport = Transport(
        spec.remote,
        spec.remote_rtcp,
        tuple(spec.learn_from),
        0 if before is None else before.transport.described + 1,
        spec.sdes,
    )
    is_active = spec.active and spec.remote is not None
    return Stream(spec.index, transport, is_active, spec.clock_rate)
