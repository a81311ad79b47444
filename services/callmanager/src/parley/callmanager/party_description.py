"""One party's session description, checked as it comes in and read once."""

from collections.abc import Collection, Sequence
from typing import Final

from parley.callmanager.session_body import DescriptionRefused as DescriptionRefused
from parley.callmanager.session_body import session_body
from parley.callmanager.sip_profile import warning_of
from parley.model.media import MAX_CLOCK_RATE, MAX_STREAMS_PER_LEG, Address, StreamSpec
from parley.sdp import (
    RemoteStream,
    SdpError,
    SessionDescription,
    is_held,
    parse_sdp,
    remote_streams,
)
from parley.sip.message import Message

_TELEPHONE_RATE: Final = 8000


class PartyDescription:
    """A description as a party wrote it, with where it wants its media."""

    __slots__ = ("body", "sdp", "streams")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.sdp: SessionDescription = parse_sdp(body)
        self.streams: list[RemoteStream] = remote_streams(self.sdp)

    @property
    def is_held(self) -> bool:
        """The party wants no media for now."""
        return is_held(self.sdp)

    def specs(
        self,
        learn_from: Sequence[str],
        peer: "PartyDescription | None",
        opened: Collection[int] = (),
        *,
        is_echo: bool = False,
    ) -> list[StreamSpec]:
        """What a relay must know of this party's streams.

        Args:
            learn_from: signalling addresses from which media may come besides those written here.
            peer: the other party's description. A stream is active, so that its silence is a
                time-out, only where both send and listen: without a peer (and without echo)
                nobody listens yet, and a call on hold is silent by intention, for the phone that
                holds may have no music to send.
            opened: streams that have ports already; a refused one that has none needs none.
            is_echo: the other party is the echo, which always listens.
        """
        return [
            _spec(stream, learn_from, is_echo or _talks(peer, stream.index))
            for stream in self.streams[:MAX_STREAMS_PER_LEG]
            if stream.active or stream.index in opened
        ]


def read_description(message: Message) -> PartyDescription | None:
    """Reads a message's session description; None when it has none.

    Raises:
        DescriptionRefused: 415 for another type of body, 400 for one that cannot be read, 488 for
            one without any stream, or of whose streams none can be relayed.
    """
    body = session_body(message)
    if body is None:
        return None
    try:
        description = PartyDescription(body)
    except SdpError as error:
        raise DescriptionRefused(400, str(error)) from error
    streams = description.streams
    if not streams:
        raise DescriptionRefused(488, "the description has no media section")
    obstacles = [stream.obstacle for stream in streams if stream.obstacle is not None]
    if obstacles and not any(stream.active for stream in streams):
        raise DescriptionRefused(488, "no stream can be relayed", (warning_of(obstacles[0]),))
    return description


def _spec(stream: RemoteStream, learn_from: Sequence[str], is_heard: bool) -> StreamSpec:
    if not stream.active:
        return StreamSpec(stream.index, active=False)
    ip, port = stream.ip, stream.rtp_port
    rtcp = None
    rtcp_ip, rtcp_port = stream.rtcp_ip, stream.rtcp_port
    if rtcp_ip and rtcp_port and (rtcp_ip, rtcp_port) != (ip, port + 1):
        rtcp = Address(rtcp_ip, rtcp_port)
    sources = [source for source in learn_from if source and source != ip]
    rate = stream.clock_rate
    return StreamSpec(
        stream.index,
        Address(ip, port) if ip else None,
        rtcp,
        [ip, *sources] if ip else sources,
        is_heard and stream.is_two_way,
        rate if 0 < rate <= MAX_CLOCK_RATE else _TELEPHONE_RATE,
    )


def _talks(peer: PartyDescription | None, index: int) -> bool:
    if peer is None or index >= len(peer.streams):
        return False
    return peer.streams[index].active and peer.streams[index].is_two_way
