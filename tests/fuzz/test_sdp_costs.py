"""No shape of a description costs more than its length: a large one buys no seconds."""

from contextlib import suppress
from dataclasses import dataclass
from time import process_time

import pytest

from parley.sdp import (
    MAX_SDP_BYTES,
    OriginLine,
    SdpError,
    answer_matches_offer,
    echo_answer,
    is_held,
    parse_sdp,
    relayed,
    remote_streams,
)

_MAX_S = 0.1
"""Of CPU: several times what any of them takes, and less than a square of these lengths does."""

_HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"
_CONNECTION = b"c=IN IP4 192.0.2.1\r\n"
_MEDIA = b"m=audio 4000 RTP/SAVP 96\r\n"
_FORMATS = b"m=audio 4000 RTP/AVP " + b" ".join(b"%d" % number for number in range(1000))
OWN = OriginLine("1", 1, "10.0.0.1")


def filled(head: bytes, line: bytes) -> bytes:
    return head + line * ((MAX_SDP_BYTES - len(head)) // len(line))


SHAPES = {
    "session lines": filled(_HEAD, b"q=\r\n"),
    "session attributes and media": filled(_HEAD + _CONNECTION, b"a=x\r\n")[:-2000]
    + b"x\r\n"
    + _MEDIA * 60,
    "media lines": filled(_HEAD + _CONNECTION + _MEDIA, b"a=x\r\n"),
    "line feeds": filled(_HEAD, b"\n"),
    "carriage returns": filled(_HEAD, b"\r"),
    "connections": filled(_HEAD + _MEDIA, _CONNECTION),
    "many formats": filled(_HEAD + _CONNECTION + _FORMATS + b"\r\n", b"a=fmtp:1 x\r\n"),
    "formats without a codec": filled(
        _HEAD + _CONNECTION + b"m=audio 4000 RTP/AVP" + b" x" * 2000 + b"\r\n", b"a=rtpmap:x\r\n"
    ),
}


@dataclass(frozen=True)
class Local:
    index: int
    ip: str = "10.0.0.2"
    rtp_port: int = 20000
    rtcp_port: int = 20005


LOCAL = [Local(index) for index in range(16)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_large_description_is_read_and_rewritten_in_no_time(shape: str) -> None:
    data = SHAPES[shape]
    assert len(data) > MAX_SDP_BYTES - 2000
    start = process_time()
    with suppress(SdpError):
        sdp = parse_sdp(data)
        for use in (remote_streams, is_held, lambda sdp: answer_matches_offer(sdp, sdp)):
            with suppress(SdpError):
                use(sdp)
        with suppress(SdpError):
            relayed(sdp, LOCAL, OWN)
        echo_answer(sdp, LOCAL, OWN)
    assert process_time() - start < _MAX_S
