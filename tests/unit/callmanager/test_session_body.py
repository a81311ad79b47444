"""Which part of a body is the session description, and what is refused."""

from typing import Any

import pytest

from parley.callmanager.party_description import DescriptionRefused, read_description
from parley.callmanager.session_body import session_body
from parley.sip.message import Request

OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0\r\n"
)
SDP_PART = (b"Content-Type: application/sdp", OFFER)
NOTE = (b"Content-Type: text/plain\r\nContent-Disposition: render;handling=optional", b"hello")
ISUP = (
    b"Content-Type: application/ISUP;version=itu-t92+\r\n"
    b'Content-Disposition: signal;handling="optional"',
    b"\x01\x00\r\n--",
)
LOCATION = (b"Content-Type: application/pidf+xml\r\nContent-ID: <x@example.com>", b"<presence/>")
DEMANDED = (b"Content-Type: application/pidf+xml", b"<presence/>")


def multipart(*parts: tuple[bytes, bytes], boundary: bytes = b"b1") -> bytes:
    cut = b"".join(b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary, *part) for part in parts)
    return cut + b"--%s--\r\n" % boundary


def message(data: bytes, content_type: str = "", **headers: str) -> Request:
    request = Request("INVITE", "sip:1002@demo.test")
    request.add("content-type", content_type or "multipart/mixed;boundary=b1")
    for name, value in headers.items():
        request.add(name.replace("_", "-"), value)
    request.body = data
    return request


def refusal(request: Request) -> tuple[int, dict[str, str]]:
    with pytest.raises(DescriptionRefused) as caught:
        read_description(request)
    return caught.value.status, dict(caught.value.headers)


@pytest.mark.parametrize(
    "parts",
    [(SDP_PART, NOTE), (NOTE, SDP_PART), (ISUP, SDP_PART, NOTE), (SDP_PART, LOCATION), (SDP_PART,)],
)
def test_the_description_is_found_and_what_may_be_dropped_is(parts: Any) -> None:
    assert session_body(message(multipart(*parts))) == OFFER


def test_the_description_is_found_in_parts_of_parts() -> None:
    inner = multipart(NOTE, SDP_PART, boundary=b"b2")
    outer = multipart((b"Content-Type: multipart/related;boundary=b2", inner), NOTE)
    assert session_body(message(outer)) == OFFER


def test_the_last_alternative_that_is_understood_counts() -> None:
    better = OFFER.replace(b"4000", b"5000")
    data = multipart(SDP_PART, (b"Content-Type: application/sdp", better), DEMANDED)
    assert session_body(message(data, "multipart/alternative;boundary=b1")) == better


def test_a_body_that_may_be_dropped_is_no_offer() -> None:
    optional = {"content_disposition": "render;handling=optional"}
    assert read_description(message(b"hello", "text/plain", **optional)) is None
    assert read_description(message(multipart(NOTE))) is None
    zipped = {**optional, "content_encoding": "gzip"}
    assert read_description(message(OFFER, "application/sdp", **zipped)) is None


@pytest.mark.parametrize(
    ("data", "content_type", "headers"),
    [
        (b"hello", "text/plain", {}),
        (multipart(SDP_PART, DEMANDED), "", {}),
        (
            multipart(
                SDP_PART, (b"Content-Disposition: x;handling=required\r\n" + LOCATION[0], b"")
            ),
            "",
            {},
        ),
        (multipart(DEMANDED), "multipart/alternative;boundary=b1", {}),
        (OFFER, "application/sdp", {"content_disposition": "early-session"}),
    ],
)
def test_a_demanded_body_that_is_not_understood_is_refused_with_what_is(
    data: bytes, content_type: str, headers: dict[str, str]
) -> None:
    status, more = refusal(message(data, content_type, **headers))
    assert status == 415
    assert more == {"accept": "application/sdp, multipart/mixed, multipart/alternative"}


def test_an_encoded_body_is_refused_with_the_encoding_that_is_taken() -> None:
    zipped = message(OFFER, "application/sdp", content_encoding="gzip")
    assert refusal(zipped) == (415, {"accept-encoding": "identity"})
    part = (b"Content-Type: application/sdp\r\nContent-Encoding: gzip", OFFER)
    assert refusal(message(multipart(part))) == (415, {"accept-encoding": "identity"})


def test_nesting_is_followed_so_far_and_no_further() -> None:
    data, content_type = multipart(SDP_PART, boundary=b"x"), b"multipart/mixed;boundary=x"
    for boundary in (b"x1", b"x2"):
        data = multipart((b"Content-Type: " + content_type, data), boundary=boundary)
        content_type = b"multipart/mixed;boundary=" + boundary
    assert session_body(message(data, content_type.decode())) == OFFER
    data = multipart((b"Content-Type: " + content_type, data))
    assert refusal(message(data))[0] == 415


@pytest.mark.parametrize("kind", ["mixed", "alternative"])
def test_the_parts_of_a_body_are_counted_in_all(kind: str) -> None:
    inner = multipart(*[NOTE] * 11, boundary=b"inner")
    part = (b"Content-Type: multipart/%s;boundary=inner" % kind.encode(), inner)
    content_type = f"multipart/{kind};boundary=b1"

    assert session_body(message(multipart(SDP_PART, part, part), content_type)) == OFFER
    assert refusal(message(multipart(SDP_PART, part, part, part), content_type))[0] == 400


def test_a_body_that_is_not_what_it_says_is_malformed() -> None:
    assert refusal(message(b"nonsense"))[0] == 400
    assert refusal(message(OFFER, "application/sdp;=")) == (400, {})
    assert refusal(message(multipart((b"Content-Type: application/sdp", b"nonsense"))))[0] == 400


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (b"IP4 192.0.2.1\r\nt=", b"IP4 phone.example.com\r\nt=", "301"),
        (b"IP4 192.0.2.1\r\nt=", b"IP4 233.252.0.1/127\r\nt=", "330"),
        (b"RTP/AVP", b"UDP/TLS/RTP/SAVPF", "302"),
        (b"audio 4000 RTP/AVP 0", b"image 4000 udptl t38", "302"),
    ],
)
def test_an_offer_of_which_nothing_can_be_relayed_is_not_acceptable_here(
    old: bytes, new: bytes, warning: str
) -> None:
    status, headers = refusal(message(OFFER.replace(old, new), "application/sdp"))
    assert status == 488
    assert headers["warning"].startswith(f"{warning} parley ")


def test_streams_beyond_what_a_relay_takes_are_left_out() -> None:
    many = OFFER + b"m=video 5000 RTP/AVP 31\r\n" * 40
    description = read_description(message(many, "application/sdp"))
    assert description is not None
    assert [spec.index for spec in description.specs((), None)] == list(range(16))


@pytest.mark.parametrize(
    "attribute", [b"a=rtcp:0\r\n", b"a=rtpmap:0 PCMU/0\r\n", b"a=rtpmap:96 x/99999999\r\n"]
)
def test_odd_numbers_are_no_business_of_the_relay(attribute: bytes) -> None:
    offer = OFFER.replace(b"RTP/AVP 0", b"RTP/AVP 96" if b"96" in attribute else b"RTP/AVP 0")
    description = read_description(message(offer + attribute, "application/sdp"))
    assert description is not None
    [spec] = description.specs((), None)
    assert (spec.remote_rtcp, spec.clock_rate) == (None, 8000)


def test_an_answer_in_a_multipart_body_is_an_answer(play: Any) -> None:
    stage = play()
    kind = "multipart/mixed;boundary=b1"
    stage.answer(stage.requests("INVITE")[0], 200, multipart(NOTE, SDP_PART), content_type=kind)
    assert stage.statuses == [200]
    assert stage.to_caller[-1].content_type == "application/sdp"
    assert b"m=audio 20000 " in stage.to_caller[-1].body


@pytest.mark.parametrize(
    "headers",
    [{"content_encoding": "gzip"}, {"content_type": "text/plain"}, {"content_disposition": "x"}],
)
def test_an_answer_in_an_unknown_form_is_a_bad_one(play: Any, headers: dict[str, str]) -> None:
    stage = play()
    stage.answer(stage.requests("INVITE")[0], 200, OFFER, **headers)
    assert stage.statuses == [488]
    assert stage.records[0].termination.reason == "bad-answer"


def test_a_change_in_an_unknown_encoding_is_refused(talking: Any) -> None:
    request = talking.from_caller("INVITE", OFFER)
    request.add("content-encoding", "gzip")
    [response] = talking.responses_to(talking.ask("a", request))
    assert (response.status, response.get("accept-encoding")) == (415, "identity")
