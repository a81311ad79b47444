"""Offer and answer through a relay (RFC 3264), seen by the party in the middle.

The relay rewrites where media goes: `o=`, `c=`, ports, `a=rtcp`. It drops what would make the
phones look past it (ICE and other addresses), what it does not carry (DTLS), port sharing that its
port pairs do not do (rtcp-mux, BUNDLE), and what a description tells of its writer besides (`s=`,
`i=`, `u=`, `e=`, `p=`). A stream that it cannot carry at all has an `Obstacle` and gets port 0
(RFC 3264 6). Codecs, directions, SDES keys and everything unknown pass through untouched.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from parley.sdp.description import MediaDescription, SessionDescription
from parley.sdp.errors import SdpError
from parley.sdp.obstacles import Obstacle, address_obstacle, obstacle_of
from parley.sdp.section import Section, attribute_name
from parley.sdp.values import Direction, OriginLine, address_type_of

# Whole lines, by attribute name; one match per line costs a quarter of splitting it.
_DROPPED_LINE: Final = re.compile(
    r"a=(?:group:BUNDLE\b|(?:candidate|end-of-candidates|remote-candidates|ice-[^:\r]*"
    r"|rtcp|rtcp-mux|rtcp-mux-only|bundle-only|altc|source-filter"
    r"|fingerprint|setup|tls-id|identity)(?:[:\r]|$)"
    r"|tcap:.*(?:TLS|UDPTL|TCP))"
).match
# Who wrote the description and where to learn more: for nobody that a phone calls (RFC 3323 4.1.2).
_DROPPED_SESSION_LINES: Final = frozenset("iuep")
_ECHOED: Final = frozenset(("rtpmap", "fmtp", "ptime", "maxptime", "mid"))


class LocalStream(Protocol):
    """Where the relay listens for one stream of one leg."""

    @property
    def index(self) -> int:
        """Place of the media section, from 0."""

    @property
    def ip(self) -> str:
        """Address to write into the description."""

    @property
    def rtp_port(self) -> int:
        """Port of RTP."""

    @property
    def rtcp_port(self) -> int:
        """Port of RTCP."""


@dataclass(frozen=True, slots=True)
class RemoteStream:
    """Where one party wants its media, as its description says.

    Attributes:
        index: place of the media section, from 0.
        kind: `audio`, `video`, ...
        active: there is something to relay: port not 0 and no obstacle.
        ip: address for RTP; empty when not active or held by a null address.
        direction: as the party sees it, a null address counted as hold.
        obstacle: why a live stream cannot be relayed.
    """

    index: int
    kind: str
    active: bool
    ip: str
    rtp_port: int
    rtcp_ip: str
    rtcp_port: int
    direction: Direction
    obstacle: Obstacle | None = None


def remote_streams(sdp: SessionDescription) -> list[RemoteStream]:
    """Reads where each stream's media is wanted, one item per media section.

    Raises:
        SdpError: an active stream has no address.
    """
    return [_remote_stream(index, media) for index, media in enumerate(sdp.media)]


def relayed(
    sdp: SessionDescription, streams: Sequence[LocalStream], session: OriginLine
) -> SessionDescription:
    """The description to send on to the other party, its media through the relay.

    Args:
        sdp: an offer or an answer of one party; left as it is.
        streams: where the relay listens for the other party; a section without one gets port 0.
        session: the `o=` line of our side of the other party's dialog.
    """
    local = {stream.index: stream for stream in streams}
    out = sdp.copy()
    out.set_origin(session)
    ip = streams[0].ip if streams else session.ip
    out.session.set_value("c", f"IN {address_type_of(ip)} {ip}")
    out.session.set_value("s", "-")
    out.session.lines = [
        line
        for line in out.session.lines
        if line[0] not in _DROPPED_SESSION_LINES and not _DROPPED_LINE(line)
    ]
    for index, (media, original) in enumerate(zip(out.media, sdp.media, strict=True)):
        _relay_media(media, original, local.get(index), ip)
    return out


def echo_answer(
    offer: SessionDescription, streams: Sequence[LocalStream], session: OriginLine
) -> SessionDescription:
    """Answers an offer as the echo does: plain audio with all its formats, nothing else.

    Sections without a stream in `streams`, or that the echo cannot return, get port 0; an answer
    without active media means 488.
    """
    local = {stream.index: stream for stream in streams}
    ip = streams[0].ip if streams else session.ip
    own = Section(["v=0", f"o={session}", "s=-", f"c=IN {address_type_of(ip)} {ip}"])
    # RFC 3264 6: the answer's time line equals the offer's.
    own.lines.append(f"t={offer.session.value('t') or '0 0'}")
    answer = SessionDescription(own, [])
    for index, media in enumerate(offer.media):
        answer.media.append(_echo_media(media, local.get(index), own))
    return answer


def is_echoable(media: MediaDescription) -> bool:
    """The echo can return this stream: live audio in a profile without keys, for it holds none."""
    return media.kind == "audio" and media.is_plain and _is_carried(media)


def answer_matches_offer(offer: SessionDescription, answer: SessionDescription) -> bool:
    """Same number and order of sections, none revived that was offered with port 0 (RFC 3264 6)."""
    if len(offer.media) != len(answer.media):
        return False
    return all(
        asked.kind == said.kind and (not said.is_active or _is_carried(asked))
        for asked, said in zip(offer.media, answer.media, strict=True)
    )


def _is_carried(media: MediaDescription) -> bool:
    return media.is_active and obstacle_of(media, media.connection) is None


def is_held(sdp: SessionDescription) -> bool:
    """The writer wants no media at all: every live stream is held."""
    live = [media for media in sdp.media if media.is_active]
    return bool(live) and all(media.is_held for media in live)


def is_same_session(previous: SessionDescription, current: SessionDescription) -> bool:
    """Nothing but the `o=` line differs, so its version must not grow (RFC 3264 8)."""
    return _lines_but_origin(previous) == _lines_but_origin(current)


def with_origin_after(previous: SessionDescription, current: SessionDescription) -> OriginLine:
    """The `o=` line to send `current` with after `previous` on one dialog."""
    origin = previous.origin
    return origin if is_same_session(previous, current) else origin.grown()


def _remote_stream(index: int, media: MediaDescription) -> RemoteStream:
    if not media.is_active:
        return _without_media(index, media, None)
    connection = media.connection
    obstacle = obstacle_of(media, connection)
    if obstacle is not None:
        return _without_media(index, media, obstacle)
    if connection is None:
        raise SdpError("A media section has no connection line.")
    rtcp = media.rtcp_connection
    if rtcp is None or (not rtcp.is_null and address_obstacle(rtcp) is not None):
        rtcp = connection
    ip = "" if connection.is_null else connection.address
    rtcp_ip = "" if rtcp.is_null else rtcp.address
    direction = media.direction_at(connection)
    return RemoteStream(
        index, media.kind, True, ip, media.port, rtcp_ip, media.rtcp_port, direction
    )


def _without_media(index: int, media: MediaDescription, obstacle: Obstacle | None) -> RemoteStream:
    return RemoteStream(index, media.kind, False, "", 0, "", 0, Direction.INACTIVE, obstacle)


def _relay_media(
    media: MediaDescription, original: MediaDescription, local: LocalStream | None, session_ip: str
) -> None:
    media.remove("c")
    _drop_attributes(media)
    connection = original.connection
    if local is None or not original.is_active or obstacle_of(original, connection) is not None:
        media.set_port(0)
        return
    media.set_port(local.rtp_port)
    if local.ip != session_ip:
        media.set_value("c", f"IN {address_type_of(local.ip)} {local.ip}")
    if local.rtcp_port != local.rtp_port + 1:
        media.add_attribute("rtcp", str(local.rtcp_port))
    direction = original.direction_at(connection)
    if direction is not original.direction:
        media.set_direction(direction)


def _drop_attributes(section: Section) -> None:
    section.lines = [line for line in section.lines if not _DROPPED_LINE(line)]


def _echo_media(
    media: MediaDescription, local: LocalStream | None, session: Section
) -> MediaDescription:
    lines = [line.rstrip("\r") for line in media.lines if attribute_name(line) in _ECHOED]
    answer = MediaDescription([media.lines[0].rstrip("\r"), *lines], session)
    if local is None or not is_echoable(media):
        answer.set_port(0)
        return answer
    answer.set_port(local.rtp_port)
    if local.rtcp_port != local.rtp_port + 1:
        answer.add_attribute("rtcp", str(local.rtcp_port))
    answer.set_direction(media.effective_direction.mirrored)
    return answer


def _lines_but_origin(sdp: SessionDescription) -> list[str]:
    return [line.rstrip("\r") for line in sdp.lines() if line[0] != "o"]
