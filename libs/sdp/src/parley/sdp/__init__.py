"""SDP and offer/answer without I/O (RFC 8866, RFC 3264), as the calls need them.

A description keeps its bytes, so whatever nobody touches leaves byte for byte as it arrived, and
nobody changes it: a relay's view of it is another description. `parley.sipcore` does it in Rust.
"""

from parley.sipcore._core import (
    MAX_SDP_BYTES,
    MAX_SDP_LINE_CHARACTERS,
    MAX_SDP_MEDIA,
    Codec,
    Connection,
    MediaDescription,
    OriginLine,
    RemoteStream,
    Section,
    SessionDescription,
    answer_matches_offer,
    echo_answer,
    is_echoable,
    is_held,
    parse_sdp,
    relayed,
    remote_streams,
)
from parley.sipcore.sdp import Direction, Obstacle, SdpError

__all__ = [
    "MAX_SDP_BYTES",
    "MAX_SDP_LINE_CHARACTERS",
    "MAX_SDP_MEDIA",
    "Codec",
    "Connection",
    "MediaDescription",
    "OriginLine",
    "RemoteStream",
    "Section",
    "SessionDescription",
    "answer_matches_offer",
    "echo_answer",
    "is_echoable",
    "is_held",
    "parse_sdp",
    "relayed",
    "remote_streams",
    "Direction",
    "Obstacle",
    "SdpError",
]
