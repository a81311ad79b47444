"""No shape of a description costs more than its length: a large one buys no seconds."""

from collections.abc import Callable
from contextlib import suppress
from time import process_time
from typing import Final

import pytest
from tests.sdp_samples import LocalStream

from parley.sdp import (
    MAX_SDP_BYTES,
    OriginLine,
    SdpError,
    SessionDescription,
    answer_matches_offer,
    echo_answer,
    is_held,
    parse_sdp,
    relayed,
    remote_streams,
)

_MAX_RATIO: Final = 3.0
"""Of the costs of the longest description and one of half its length; a square's would be 4."""

_LEAST_ROUNDS, _MOST_ROUNDS = 5, 100
_HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"
_CONNECTION = b"c=IN IP4 192.0.2.1\r\n"
_MEDIA = b"m=audio 4000 RTP/SAVP 96\r\n"
_FORMATS = b"m=audio 4000 RTP/AVP"

Shape = Callable[[int], bytes]


def filled(size: int, head: bytes, line: bytes, tail: bytes = b"") -> bytes:
    """A description of that size, or up to a line less, out of lines that are all the same."""
    return head + line * ((size - len(head) - len(tail)) // len(line)) + tail


def with_formats(size: int, each: bytes, line: bytes) -> bytes:
    """As many formats as lines can use; a line of them may have 4,096 characters."""
    formats = _FORMATS + each * (size // 20 // len(each)) + b"\r\n"
    return filled(size, _HEAD + _CONNECTION + formats, line)


SHAPES: Final[dict[str, Shape]] = {
    "session lines": lambda size: filled(size, _HEAD, b"q=\r\n"),
    "session attributes and media": lambda size: filled(
        size, _HEAD + _CONNECTION, b"a=x\r\n", _MEDIA * 60
    ),
    "media lines": lambda size: filled(size, _HEAD + _CONNECTION + _MEDIA, b"a=x\r\n"),
    "line feeds": lambda size: filled(size, _HEAD, b"\n"),
    "carriage returns": lambda size: filled(size, _HEAD, b"\r"),
    "connections": lambda size: filled(size, _HEAD + _MEDIA, _CONNECTION),
    "many formats": lambda size: with_formats(size, b" 1", b"a=fmtp:1 x\r\n"),
    "formats without a codec": lambda size: with_formats(size, b" x", b"a=rtpmap:x\r\n"),
}
OWN = OriginLine("1", 1, "10.0.0.1")
LOCAL = [LocalStream(index, "10.0.0.2", 20000, 20005) for index in range(16)]
USES: Final[tuple[Callable[[SessionDescription], object], ...]] = (
    remote_streams,
    is_held,
    lambda sdp: answer_matches_offer(sdp, sdp),
    lambda sdp: relayed(sdp, LOCAL, OWN),
    lambda sdp: echo_answer(sdp, LOCAL, OWN),
    lambda sdp: [(media.direction, media.codecs) for media in sdp.media],
)


def cost(data: bytes) -> float:
    """Seconds of CPU for reading and rewriting; what is refused has its cost, too."""
    start = process_time()
    sdp = parse_sdp(data)
    for use in USES:
        with suppress(SdpError):
            use(sdp)
    return process_time() - start


@pytest.mark.parametrize("shape", SHAPES)
def test_a_description_of_twice_the_length_costs_about_twice_as_much(shape: str) -> None:
    whole, half = SHAPES[shape](MAX_SDP_BYTES), SHAPES[shape](MAX_SDP_BYTES // 2)
    assert MAX_SDP_BYTES - 50 < len(whole) <= MAX_SDP_BYTES

    # The least of some rounds is what it costs where nothing else disturbs; a busy machine needs
    # more of them.
    costs = [(cost(whole), cost(half)) for _ in range(_LEAST_ROUNDS)]
    while (ratio := least(costs)) > _MAX_RATIO and len(costs) < _MOST_ROUNDS:
        costs.append((cost(whole), cost(half)))

    assert ratio <= _MAX_RATIO


def least(costs: list[tuple[float, float]]) -> float:
    """The ratio of the least cost of each."""
    return min(whole for whole, _ in costs) / min(half for _, half in costs)
