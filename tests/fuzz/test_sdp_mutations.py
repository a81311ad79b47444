"""Mutated descriptions: a typed value or `SdpError`, nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sdp_samples import RICH, LocalStream

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

OWN = OriginLine("1", 1, "10.0.0.1")
LAZY = ["connection", "rtcp_port", "rtcp_connection", "codecs"]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(RICH)
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
    streams = [LocalStream(index, "10.0.0.1", 20000, 20001) for index in range(4)]
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
