"""Reading session descriptions."""

import pytest

from parley.sdp import (
    MAX_SDP_BYTES,
    MAX_SDP_LINE_CHARACTERS,
    MAX_SDP_MEDIA,
    Direction,
    OriginLine,
    SdpError,
    parse_sdp,
)

PHONE = b"\r\n".join(
    [
        b"v=0",
        b"o=alice 2890844526 3 IN IP4 192.0.2.1",
        b"s=a \xff call",
        b"c=IN IP4 192.0.2.1",
        b"t=0 0",
        b"a=sendonly",
        b"a=fingerprint:SHA-256 ab:cd",
        b"m=audio 49170 RTP/AVP 8 0 101 97 200x",
        b"a=rtpmap:101 telephone-event/8000",
        b"a=fmtp:101 0-15",
        b"a=rtpmap:97 opus/48000/2",
        b"a=ptime:20",
        b"a=rtcp:53020 IN IP4 192.0.2.9",
        b"a=rtcp-mux",
        b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc|2^20",
        b"a=candidate:1 1 udp 2130706431 192.0.2.1 49170 typ host generation 0",
        b"m=video 0 RTP/AVP 31",
        b"c=IN IP6 2001:db8::1",
        b"a=recvonly",
        b"",
    ]
)


def small(*lines: str, line_end: str = "\r\n") -> bytes:
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    return line_end.join([*head, *lines, ""]).encode()


def test_untouched_description_leaves_byte_for_byte() -> None:
    assert bytes(parse_sdp(PHONE)) == PHONE


@pytest.mark.parametrize(
    "data",
    [
        small("m=audio 1 RTP/AVP 0", line_end="\n"),
        small("m=audio 1 RTP/AVP 0").rstrip(),
        small("m=audio 1 RTP/AVP 0") + b"\r\n\n",
        b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\ns=-\r\nm=audio 1 RTP/AVP 0\n",
    ],
    ids=["line feeds", "no last line end", "empty lines at the end", "mixed line ends"],
)
def test_unusual_line_ends_round_trip(data: bytes) -> None:
    sdp = parse_sdp(data)
    assert bytes(sdp) == data
    assert sdp.media[0].formats == ["0"]
    assert sdp.origin.ip == "127.0.0.1"


def test_session_values_are_typed() -> None:
    sdp = parse_sdp(PHONE)
    assert sdp.origin == OriginLine("2890844526", 3, "192.0.2.1", "alice", "IP4")
    assert sdp.connection is not None
    assert sdp.connection.address == "192.0.2.1"
    assert sdp.direction is Direction.SENDONLY


def test_media_values_are_typed() -> None:
    audio = parse_sdp(PHONE).media[0]
    assert (audio.kind, audio.port, audio.port_count, audio.proto) == ("audio", 49170, 1, "RTP/AVP")
    assert [(c.payload_type, c.name, c.clock_rate, c.channels) for c in audio.codecs] == [
        (8, "PCMA", 8000, 1),
        (0, "PCMU", 8000, 1),
        (101, "telephone-event", 8000, 1),
        (97, "opus", 48000, 2),
    ]
    assert audio.codecs[2].fmtp == "0-15"
    assert audio.rtcp_port == 53020
    assert str(audio.rtcp_connection) == "IN IP4 192.0.2.9"
    assert audio.has_keys
    assert audio.attributes[0] == ("rtpmap", "101 telephone-event/8000")


def test_media_inherits_from_the_session_and_overrides_it() -> None:
    audio, video = parse_sdp(PHONE).media
    assert audio.direction is Direction.SENDONLY
    assert audio.connection is not None
    assert audio.connection.address == "192.0.2.1"
    assert video.direction is Direction.RECVONLY
    assert video.connection is not None
    assert video.connection.address == "2001:db8::1"
    assert not video.is_active


def test_rtcp_port_defaults_to_the_next_one() -> None:
    media = parse_sdp(small("m=audio 4000/2 RTP/AVP 0")).media[0]
    assert (media.port_count, media.rtcp_port) == (2, 4001)
    assert media.rtcp_connection is None


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "The session description is empty."),
        (b"\r\n\r\n", "The session description is empty."),
        (b"v=1\r\n", "A session description must start with the line v=0."),
        (b"v=0\r\ns=-\r\n", "The origin line must have six fields."),
        (b"v=0\r\no=- 1 1 IN IP4\r\n", "The origin line must have six fields."),
        (b"v=0\r\no=- 1 x IN IP4 a\r\n", "The origin line's version must be a number."),
        (
            b"v=0\r\no=- 1 " + b"9" * 21 + b" IN IP4 a",
            "The origin line's version must be a number.",
        ),
        (small("", "t=0 0"), "Line 6 must be a small letter, an equals sign and a value."),
        (small("A=b"), "Line 6 must be a small letter, an equals sign and a value."),
        (small("a:b"), "Line 6 must be a small letter, an equals sign and a value."),
        (small("a=x\ry\r"), "Line 6 must not hold a carriage return."),
        (small("a=\0"), "A session description must not hold a NUL byte."),
        (
            small("m=audio 1 RTP/AVP"),
            "A media line must have a kind, a port, a protocol and a format.",
        ),
        (small("m=audio x RTP/AVP 0"), "A media line's port must be a number up to 65535."),
        (small("m=audio 65536 RTP/AVP 0"), "A media line's port must be a number up to 65535."),
        (small("m=audio 1/x RTP/AVP 0"), "A media line's port must be a number up to 65535."),
        (
            small("a=" + "x" * MAX_SDP_LINE_CHARACTERS),
            f"Line 6 must not exceed {MAX_SDP_LINE_CHARACTERS} characters.",
        ),
        (
            small(*["m=audio 1 RTP/AVP 0"] * (MAX_SDP_MEDIA + 1)),
            f"A session description must not exceed {MAX_SDP_MEDIA} media lines.",
        ),
        (b"v=0" * MAX_SDP_BYTES, f"A session description must not exceed {MAX_SDP_BYTES} bytes."),
    ],
)
def test_unusable_description_is_refused_with_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(SdpError) as caught:
        parse_sdp(data)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("a=rtcp:x", "rtcp_port"),
        ("a=rtcp: ", "rtcp_port"),
        ("a=rtpmap:0 PCMU", "codecs"),
        ("c=IN IP4", "connection"),
    ],
)
def test_bad_value_is_told_when_it_is_read(line: str, name: str) -> None:
    media = parse_sdp(small("m=audio 1 RTP/AVP 0", line)).media[0]
    with pytest.raises(SdpError, match=r"^[A-Z].*\.$"):
        getattr(media, name)


def test_networks_other_than_the_internet_are_legal() -> None:
    sdp = parse_sdp(b"v=0\r\no=- 1 1 PSTN E164 +15550100\r\nc=PSTN E164 +15550100\r\n")
    assert sdp.connection is not None
    assert not sdp.connection.is_internet
    assert str(sdp.connection) == "PSTN E164 +15550100"


def test_unknown_lines_and_attributes_are_kept() -> None:
    data = small("a=x-strange", "q=what", "m=audio 1 RTP/AVP 0", "a=x-new:1 2", "a=x-new:3")
    sdp = parse_sdp(data)
    assert bytes(sdp) == data
    assert sdp.session.attribute("x-strange") == ""
    assert sdp.session.attribute("x-strang") is None
    assert sdp.media[0].attribute_values("x-new") == ["1 2", "3"]


def test_another_origin_makes_another_description() -> None:
    sdp = parse_sdp(PHONE)
    grown = sdp.with_origin(sdp.origin.grown())
    assert bytes(grown) == PHONE.replace(b"2890844526 3 IN", b"2890844526 4 IN")
    assert bytes(sdp) == PHONE


def test_first_of_repeated_lines_counts() -> None:
    sdp = parse_sdp(
        small("m=audio 1 RTP/AVP 0", "c=IN IP4 224.1.1.1/127", "c=IN IP4 224.1.1.2/127")
    )
    connection = sdp.media[0].connection
    assert connection is not None
    assert (connection.address, connection.suffix) == ("224.1.1.1", "/127")
    assert sdp.media[0].values("c") == ["IN IP4 224.1.1.1/127", "IN IP4 224.1.1.2/127"]
