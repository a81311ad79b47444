"""Offer and answer through the relay."""

import pytest
from tests.sdp_samples import LocalStream

from parley.sdp import (
    Direction,
    Obstacle,
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

OWN = OriginLine("77", 1, "10.0.0.1", "parley")


def described(*lines: str, address: str = "192.0.2.1") -> SessionDescription:
    head = ["v=0", "o=bob 1 1 IN IP4 192.0.2.1", "s=-", f"c=IN IP4 {address}", "t=3 4"]
    return parse_sdp("\r\n".join([*head, *lines, ""]).encode())


def _has_active_media(sdp: SessionDescription) -> bool:
    return any(media.is_active for media in sdp.media)


OFFER = described(
    "a=ice-lite",
    "a=group:BUNDLE 0 1",
    "a=group:LS 0 1",
    "m=audio 4000 RTP/AVP 8 101",
    "c=IN IP4 192.0.2.2",
    "a=rtpmap:101 telephone-event/8000",
    "a=rtcp:4005",
    "a=rtcp-mux",
    "a=rtcp-fb:* nack",
    "a=candidate:1 1 udp 1 192.0.2.1 4000 typ host",
    "a=ice-ufrag:x",
    "a=remote-candidates:1 192.0.2.3 1",
    "a=sendonly",
    "m=video 0 RTP/AVP 31",
    "m=message 2855 TCP/MSRP *",
    "m=audio 5000 RTP/SAVP 0",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc",
)


def test_relayed_description_names_only_the_relay() -> None:
    streams = [LocalStream(0, "10.0.0.1", 20000, 20001), LocalStream(3, "10.0.0.2", 20004, 20009)]
    out = bytes(relayed(OFFER, streams, OWN)).decode().split("\r\n")
    assert out == [
        "v=0",
        "o=parley 77 1 IN IP4 10.0.0.1",
        "s=-",
        "c=IN IP4 10.0.0.1",
        "t=3 4",
        "a=group:LS 0 1",
        "m=audio 20000 RTP/AVP 8 101",
        "a=rtpmap:101 telephone-event/8000",
        "a=rtcp-fb:* nack",
        "a=sendonly",
        "m=video 0 RTP/AVP 31",
        "m=message 0 TCP/MSRP *",
        "m=audio 20004 RTP/SAVP 0",
        "c=IN IP4 10.0.0.2",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc",
        "a=rtcp:20009",
        "",
    ]


def test_relaying_leaves_the_original_alone() -> None:
    before = bytes(OFFER)
    relayed(OFFER, [], OWN)
    assert bytes(OFFER) == before


def test_stream_without_a_relay_port_is_refused() -> None:
    out = relayed(described("m=audio 4000 RTP/AVP 8"), [], OWN)
    assert out.media[0].port == 0
    assert not _has_active_media(out)


def test_relay_address_may_be_of_the_other_family() -> None:
    out = relayed(described("m=audio 4000 RTP/AVP 8"), [LocalStream(0, "2001:db8::9", 2, 3)], OWN)
    assert out.session.value("c") == "IN IP6 2001:db8::9"


def test_null_address_hold_is_relayed_as_sendonly() -> None:
    offer = described("m=audio 4000 RTP/AVP 8", "a=sendrecv", address="0.0.0.0")
    assert is_held(offer)
    out = relayed(offer, [LocalStream(0, "10.0.0.1", 20000, 20001)], OWN)
    assert out.media[0].direction is Direction.SENDONLY
    assert is_held(out)


def test_null_address_of_an_ice_offer_is_not_hold() -> None:
    assert not is_held(described("m=audio 9 RTP/AVP 8", "a=ice-ufrag:x", address="0.0.0.0"))


@pytest.mark.parametrize(
    ("lines", "held"),
    [
        (["m=audio 1 RTP/AVP 0"], False),
        (["m=audio 1 RTP/AVP 0", "a=sendrecv"], False),
        (["m=audio 1 RTP/AVP 0", "a=recvonly"], False),
        (["m=audio 1 RTP/AVP 0", "a=sendonly"], True),
        (["m=audio 1 RTP/AVP 0", "a=inactive"], True),
        (["a=inactive", "m=audio 1 RTP/AVP 0"], True),
        (["m=audio 1 RTP/AVP 0", "a=sendonly", "m=video 0 RTP/AVP 31"], True),
        (["m=audio 1 RTP/AVP 0", "a=sendonly", "m=video 7 RTP/AVP 31"], False),
        (["m=audio 0 RTP/AVP 0", "a=sendonly"], False),
        ([], False),
    ],
)
def test_hold_is_when_no_live_stream_is_wanted(lines: list[str], held: bool) -> None:
    assert is_held(described(*lines)) is held


def test_remote_streams_tell_where_media_is_wanted() -> None:
    audio, video, message, secured = remote_streams(OFFER)
    assert (audio.index, audio.kind, audio.active, audio.obstacle) == (0, "audio", True, None)
    assert (audio.ip, audio.rtp_port) == ("192.0.2.2", 4000)
    assert (audio.rtcp_ip, audio.rtcp_port) == ("192.0.2.2", 4005)
    assert audio.direction is Direction.SENDONLY
    assert not audio.is_two_way
    assert (video.active, message.active) == (False, False)
    assert (secured.ip, secured.rtp_port, secured.rtcp_port) == ("192.0.2.1", 5000, 5001)


def test_rtcp_attribute_moves_rtcp() -> None:
    offer = described("m=audio 4000 RTP/AVP 8", "a=rtcp:9 IN IP4 192.0.2.8")
    stream = remote_streams(offer)[0]
    assert (stream.rtp_port, stream.rtcp_ip, stream.rtcp_port) == (4000, "192.0.2.8", 9)


def test_held_stream_has_no_address() -> None:
    stream = remote_streams(described("m=audio 4000 RTP/AVP 8", address="0.0.0.0"))[0]
    assert (stream.active, stream.ip, stream.direction) == (True, "", Direction.SENDONLY)


def test_live_stream_needs_an_address() -> None:
    with pytest.raises(SdpError) as caught:
        remote_streams(parse_sdp(b"v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 1 RTP/AVP 0\r\n"))
    assert str(caught.value) == "A media section has no connection line."


@pytest.mark.parametrize(
    ("lines", "obstacle"),
    [
        (["m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=fingerprint:sha-256 AA"], Obstacle.TRANSPORT),
        (["m=audio 9 UDP/TLS/RTP/SAVP 0", "a=crypto:1 A inline:a"], Obstacle.TRANSPORT),
        (["m=audio 9 RTP/SAVPF 0", "a=fingerprint:sha-256 AA"], Obstacle.TRANSPORT),
        (["m=audio 9 RTP/SAVP 0"], Obstacle.TRANSPORT),
        (["m=image 9 udptl t38"], Obstacle.TRANSPORT),
        (["m=message 9 TCP/MSRP *"], Obstacle.TRANSPORT),
        (["m=audio 9 RTP/AVP 0", "a=rtcp-mux", "a=rtcp-mux-only"], Obstacle.TRANSPORT),
        (["m=audio 9 RTP/AVP 0", "c=IN IP4 0.0.0.0", "a=ice-ufrag:x"], Obstacle.TRANSPORT),
        (["m=audio 9 RTP/AVP 0", "c=IN IP4 phone.example.com"], Obstacle.ADDRESS),
        (["m=audio 9 RTP/AVP 0", "c=IN IP6 phone.example.com"], Obstacle.ADDRESS),
        (["m=audio 9 RTP/AVP 0", "c=IN IP4 233.252.0.1/127"], Obstacle.MULTICAST),
        (["m=audio 9 RTP/AVP 0", "c=IN IP4 233.252.0.1"], Obstacle.MULTICAST),
        (["m=audio 9 RTP/AVP 0", "c=IN IP6 ff15::101/3"], Obstacle.MULTICAST),
        (["m=audio 9 RTP/AVP 0", "c=IN IP6 ::ffff:224.0.0.1"], Obstacle.MULTICAST),
        (["m=audio 9 RTP/AVP 0", "c=IN IP4 255.255.255.255"], Obstacle.MULTICAST),
        (["m=audio 9 RTP/AVP 0", "c=IN IP4 0.0.0.1"], Obstacle.MULTICAST),
        (["m=audio 9 RTP/AVP 0", "c=PSTN E164 +15550100"], Obstacle.NETWORK),
    ],
)
def test_what_the_relay_cannot_carry_gets_port_0(lines: list[str], obstacle: Obstacle) -> None:
    offer = described(*lines)
    [stream] = remote_streams(offer)
    assert (stream.active, stream.obstacle) == (False, obstacle)
    out = relayed(offer, [LocalStream(0, "10.0.0.1", 20000, 20001)], OWN)
    assert out.media[0].port == 0
    assert not _has_active_media(echo_answer(offer, [LocalStream(0, "10.0.0.1", 2, 3)], OWN))


@pytest.mark.parametrize(
    "lines",
    [
        ["m=audio 9 RTP/AVP 0"],
        ["m=audio 9 rtp/avpf 0", "a=rtcp-mux", "a=ice-ufrag:x"],
        ["m=audio 9 RTP/SAVP 0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc"],
        ["m=audio 9 RTP/SAVPF 0", "a=key-mgmt:mikey abc"],
        ["a=key-mgmt:mikey abc", "m=audio 9 RTP/SAVPF 0"],
        ["m=audio 9 RTP/AVP 0", "c=IN IP6 2001:db8::1"],
        ["m=audio 4000 RTP/AVP 0", "c=IN IP4 0.0.0.0", "a=ice-ufrag:x"],
    ],
)
def test_what_the_relay_forwards_unseen_passes(lines: list[str]) -> None:
    [stream] = remote_streams(described(*lines))
    assert (stream.active, stream.obstacle) == (True, None)


@pytest.mark.parametrize("host", ["phone.example.com", "233.252.0.1"])
def test_rtcp_that_cannot_be_sent_where_it_is_wanted_goes_to_the_address_of_rtp(host: str) -> None:
    [stream] = remote_streams(described("m=audio 4000 RTP/AVP 8", f"a=rtcp:9 IN IP4 {host}"))
    assert (stream.rtcp_ip, stream.rtcp_port) == ("192.0.2.1", 9)


def test_ports_are_shared_with_nobody_so_rtcp_keeps_its_own() -> None:
    [stream] = remote_streams(described("m=audio 4000 RTP/AVP 8", "a=rtcp-mux"))
    assert stream.rtcp_port == 4001


def test_nothing_that_dtls_needs_is_promised() -> None:
    offer = described(
        "a=fingerprint:sha-256 AA:BB",
        "a=setup:actpass",
        "a=tls-id:1",
        "a=tcap:1 UDP/TLS/RTP/SAVP",
        "m=audio 4000 RTP/AVP 8",
        "a=setup:actpass",
        "a=fingerprint:sha-1 AA",
        "a=tcap:2 RTP/SAVP",
        "a=altc:1 IP6 2001:db8::1 4000",
        "a=source-filter:incl IN IP4 * 192.0.2.1",
    )
    out = bytes(relayed(offer, [LocalStream(0, "10.0.0.1", 20000, 20001)], OWN)).decode()
    assert out.split("\r\n")[4:] == ["t=3 4", "m=audio 20000 RTP/AVP 8", "a=tcap:2 RTP/SAVP", ""]


def test_who_wrote_a_description_is_not_told() -> None:
    offer = parse_sdp(
        b"v=0\r\no=ann 1 1 IN IP4 192.0.2.1\r\ns=Ann of the bank\r\ni=urgent\r\n"
        b"u=http://trap.example\r\ne=ann@example.com\r\np=+1 555 0100\r\n"
        b"c=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
    )
    assert bytes(relayed(offer, [LocalStream(0, "10.0.0.1", 20000, 20001)], OWN)).split(
        b"\r\n"
    ) == [
        b"v=0",
        b"o=parley 77 1 IN IP4 10.0.0.1",
        b"s=-",
        b"c=IN IP4 10.0.0.1",
        b"t=0 0",
        b"m=audio 20000 RTP/AVP 8",
        b"",
    ]


@pytest.mark.parametrize(
    "second",
    [
        ("m=audio 2 UDP/TLS/RTP/SAVP 0",),
        ("m=audio 2 RTP/AVP 0", "c=IN IP4 224.2.1.1/127"),
        ("m=audio 2 RTP/AVP 0", "c=IN IP4 phone.example"),
    ],
)
def test_a_stream_that_was_offered_with_port_0_is_not_revived(second: tuple[str, ...]) -> None:
    offer = described("m=audio 1 RTP/AVP 0", *second)
    assert not answer_matches_offer(offer, described("m=audio 1 RTP/AVP 0", second[0]))


def test_echo_answers_plain_audio_and_refuses_the_rest() -> None:
    streams = [LocalStream(0, "10.0.0.1", 20000, 20001), LocalStream(3, "10.0.0.1", 20002, 20003)]
    answer = echo_answer(OFFER, streams, OWN)
    assert answer_matches_offer(OFFER, answer)
    assert bytes(answer).decode().split("\r\n") == [
        "v=0",
        "o=parley 77 1 IN IP4 10.0.0.1",
        "s=-",
        "c=IN IP4 10.0.0.1",
        "t=3 4",
        "m=audio 20000 RTP/AVP 8 101",
        "a=rtpmap:101 telephone-event/8000",
        "a=recvonly",
        "m=video 0 RTP/AVP 31",
        "m=message 0 TCP/MSRP *",
        "m=audio 0 RTP/SAVP 0",
        "",
    ]
    assert _has_active_media(parse_sdp(bytes(answer)))


@pytest.mark.parametrize(
    ("direction", "mirrored"),
    [
        (Direction.SENDRECV, Direction.SENDRECV),
        (Direction.SENDONLY, Direction.RECVONLY),
        (Direction.RECVONLY, Direction.SENDONLY),
        (Direction.INACTIVE, Direction.INACTIVE),
    ],
)
def test_echo_mirrors_the_direction(direction: Direction, mirrored: Direction) -> None:
    offer = described("m=audio 4000 RTP/AVP 8", f"a={direction}")
    answer = echo_answer(offer, [LocalStream(0, "10.0.0.1", 20000, 20007)], OWN)
    assert answer.media[0].direction is mirrored
    assert answer.media[0].rtcp_port == 20007


def test_echo_of_nothing_it_can_return_has_no_live_media() -> None:
    offer = described("m=audio 4000 RTP/SAVP 8", "m=video 4002 RTP/AVP 31")
    streams = [LocalStream(0, "10.0.0.1", 1, 2), LocalStream(1, "10.0.0.1", 3, 4)]
    assert not _has_active_media(echo_answer(offer, streams, OWN))


@pytest.mark.parametrize(
    ("lines", "matches"),
    [
        (["m=audio 1 RTP/AVP 0", "m=video 0 RTP/AVP 31"], True),
        (["m=audio 0 RTP/AVP 0", "m=video 0 RTP/AVP 31"], True),
        (["m=audio 1 RTP/AVP 0"], False),
        (["m=audio 1 RTP/AVP 0", "m=video 0 RTP/AVP 31", "m=audio 0 RTP/AVP 0"], False),
        (["m=video 1 RTP/AVP 31", "m=audio 0 RTP/AVP 0"], False),
        (["m=audio 1 RTP/AVP 0", "m=video 9 RTP/AVP 31"], False),
    ],
)
def test_answer_must_follow_the_offer(lines: list[str], matches: bool) -> None:
    offer = described("m=audio 1 RTP/AVP 0", "m=video 0 RTP/AVP 31")
    assert answer_matches_offer(offer, described(*lines)) is matches


@pytest.mark.parametrize(
    ("lines", "rate"),
    [
        (["m=audio 1 RTP/AVP 0"], 8000),
        (["m=audio 1 RTP/AVP 96 0", "a=rtpmap:96 opus/48000/2"], 48000),
        (["m=audio 1 RTP/AVP 96 0"], 8000),
        (["m=audio 1 RTP/AVP 96", "a=rtpmap:96 opus"], 8000),
        (["m=video 1 RTP/AVP 31"], 90000),
    ],
)
def test_clock_is_that_of_the_first_format(lines: list[str], rate: int) -> None:
    assert remote_streams(described(*lines))[0].clock_rate == rate


def test_lines_are_set_where_the_grammar_wants_them() -> None:
    offer = parse_sdp(
        b"v=0\r\no=- 1 1 IN IP4 h\r\nt=0 0\r\n"
        b"m=audio 1 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.2\r\na=mid:1\r\n"
        b"m=audio 3 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\na=mid:2\r\n"
    )
    streams = [LocalStream(0, "10.0.0.1", 20000, 20001), LocalStream(1, "10.0.0.2", 20002, 20003)]
    out = bytes(relayed(offer, streams, OWN)).decode().split("\r\n")
    assert [line[:1] for line in out] == [*"vosctmamca", ""]


def test_line_feeds_alone_stay() -> None:
    offer = parse_sdp(
        b"v=0\no=- 1 1 IN IP4 h\ns=-\nc=IN IP4 192.0.2.1\nm=audio 1 RTP/AVP 0\na=rtcp-mux\n"
    )
    out = bytes(relayed(offer, [LocalStream(0, "10.0.0.1", 20000, 20001)], OWN))
    assert out.endswith(b"\nc=IN IP4 10.0.0.1\nm=audio 20000 RTP/AVP 0\n")
    assert b"\r" not in out


def test_where_a_refused_stream_would_be_is_nobodys_business() -> None:
    offer = described("m=audio 4000 RTP/AVP 0", "m=video 0 RTP/AVP 31", "c=bad")
    assert [stream.active for stream in remote_streams(offer)] == [True, False]
    sent_on = relayed(offer, [LocalStream(0, "10.0.0.1", 6000, 6001)], OWN)
    assert [media.port for media in sent_on.media] == [6000, 0]


@pytest.mark.parametrize("address", ["::", "::0", "0:0:0:0:0:0:0:0"])
def test_every_way_to_write_the_null_address_is_hold(address: str) -> None:
    held = described("m=audio 4000 RTP/AVP 0", f"c=IN IP6 {address}")
    assert is_held(held)
    assert remote_streams(held)[0].direction is Direction.SENDONLY


@pytest.mark.parametrize(
    ("formats", "lines", "rate"),
    [
        ("96 97", ["a=rtpmap:96 opus/48000/2", "a=rtpmap:97 broken"], 48_000),
        ("11 96", ["a=rtpmap:96 opus/48000/2"], 44_100),
        ("0", ["a=rtpmap:0 PCMU/16000"], 16_000),
        ("96 0", ["a=rtpmap:96 broken"], 8_000),
        ("96 0", [], 8_000),
    ],
)
def test_the_clock_is_that_of_the_first_format(formats: str, lines: list[str], rate: int) -> None:
    (stream,) = remote_streams(described(f"m=audio 4000 RTP/AVP {formats}", *lines))
    assert stream.clock_rate == rate


def test_another_origin_stands_once_and_in_the_session() -> None:
    odd = described(
        "o=- 2 2 IN IP4 192.0.2.9", "m=audio 4000 RTP/AVP 0", "o=- 3 3 IN IP4 192.0.2.9"
    )
    lines = bytes(odd.with_origin(OWN)).split(b"\r\n")
    assert [line for line in lines if line.startswith(b"o=")] == [
        b"o=parley 77 1 IN IP4 10.0.0.1",
        b"o=- 3 3 IN IP4 192.0.2.9",
    ]


def test_the_echo_names_each_address_that_it_listens_at() -> None:
    offer = described("m=audio 4000 RTP/AVP 0", "m=audio 4002 RTP/AVP 0")
    locals_ = [LocalStream(0, "10.0.0.1", 6000, 6001), LocalStream(1, "2001:db8::9", 6002, 6003)]
    streams = remote_streams(echo_answer(offer, locals_, OWN))
    assert [stream.ip for stream in streams] == ["10.0.0.1", "2001:db8::9"]
