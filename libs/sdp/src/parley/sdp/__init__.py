"""SDP and offer/answer without I/O (RFC 8866, RFC 3264)."""

from parley.sdp.description import MediaDescription, SessionDescription, parse_sdp
from parley.sdp.errors import SdpError
from parley.sdp.obstacles import Obstacle
from parley.sdp.offer_answer import (
    LocalStream,
    RemoteStream,
    answer_matches_offer,
    echo_answer,
    is_echoable,
    is_held,
    is_same_session,
    relayed,
    remote_streams,
    with_origin_after,
)
from parley.sdp.section import Section
from parley.sdp.values import (
    Codec,
    Connection,
    Direction,
    OriginLine,
)

__all__ = [
    "Codec",
    "Connection",
    "Direction",
    "LocalStream",
    "MediaDescription",
    "Obstacle",
    "OriginLine",
    "RemoteStream",
    "SdpError",
    "Section",
    "SessionDescription",
    "answer_matches_offer",
    "echo_answer",
    "is_echoable",
    "is_held",
    "is_same_session",
    "parse_sdp",
    "relayed",
    "remote_streams",
    "with_origin_after",
]
