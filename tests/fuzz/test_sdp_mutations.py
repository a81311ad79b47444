"""Mutated descriptions: a typed value or `SdpError`, nothing else."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from parley.sdp import (
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

SEED = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"a=group:BUNDLE a\r\n"
    b"m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    b"a=ptime:20\r\na=rtcp:4001 IN IP4 192.0.2.1\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc\r\n"
    b"a=fingerprint:sha-256 AA:BB\r\na=candidate:1 1 udp 1 192.0.2.1 4000 typ host\r\n"
    b"a=sendrecv\r\n"
    b"m=video 5000 RTP/SAVPF 96\r\nc=IN IP6 2001:db8::1\r\na=rtpmap:96 VP8/90000\r\na=inactive\r\n"
    b"m=image 6000 udptl t38\r\nc=IN IP4 phone.example.com\r\n"
    b"m=audio 7000 RTP/AVP 0\r\nc=IN IP4 233.252.0.1/127\r\n"
)
OWN = OriginLine("1", 1, "10.0.0.1")
LAZY = ["connection", "rtcp_port", "rtcp_connection", "codecs"]


@dataclass(frozen=True)
class Local:
    index: int
    ip: str
    rtp_port: int
    rtcp_port: int


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(SEED)
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, len(data)))
        removed = draw(st.integers(0, 12))
        data[place : place + removed] = draw(
            st.one_of(
                st.binary(max_size=8), st.sampled_from([b"\r\n", b"=", b":", b" ", b"m=", b""])
            )
        )
    return bytes(data)


def read_everything(sdp: SessionDescription) -> None:
    for media in sdp.media:
        for name in [*LAZY, "direction", "is_held", "attributes"]:
            try:
                getattr(media, name)
            except SdpError as error:
                assert str(error).endswith(".")
    try:
        remote_streams(sdp)
        assert is_held(sdp) in (True, False)
    except SdpError as error:
        assert str(error).endswith(".")


def rewrite(sdp: SessionDescription) -> None:
    streams = [Local(index, "10.0.0.1", 20000, 20001) for index in range(4)]
    try:
        out = relayed(sdp, streams, OWN)
        answer = echo_answer(sdp, streams, OWN)
        remote = remote_streams(sdp)
    except SdpError as error:
        assert str(error).endswith(".")
        return
    for wanted, *told in zip(remote, out.media, answer.media, strict=True):
        assert wanted.active or not any(media.is_active for media in told)
    assert len(parse_sdp(bytes(out)).media) == len(sdp.media)
    assert answer_matches_offer(sdp, parse_sdp(bytes(answer)))


@settings(max_examples=1500, deadline=None)
@given(mutated())
def test_mutated_description_is_read_or_refused(data: bytes) -> None:
    try:
        sdp = parse_sdp(data)
    except SdpError as error:
        assert str(error).endswith(".")
        return
    assert bytes(sdp) == data
    read_everything(sdp)
    rewrite(sdp)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_refused(data: bytes) -> None:
    try:
        assert bytes(parse_sdp(data)) == data
    except SdpError as error:
        assert str(error).endswith(".")
