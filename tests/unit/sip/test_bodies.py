"""Bodies of messages and the parts of multipart ones."""

import pytest

from parley.sip.bodies import MAX_PARTS, Body, read_body, split_parts
from parley.sip.errors import RemoteProtocolError
from parley.sip.message import Request

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"


def body(data: bytes, content_type: str = "multipart/mixed;boundary=b1", **headers: str) -> Body:
    request = Request("INVITE", "sip:1002@demo.test")
    if content_type:
        request.add("content-type", content_type)
    for name, value in headers.items():
        request.add(name.replace("_", "-"), value)
    request.body = data
    return read_body(request)


def parts(data: bytes, content_type: str = "multipart/mixed;boundary=b1") -> list[Body]:
    return split_parts(body(data, content_type))


def test_a_plain_description_is_for_the_session_and_required() -> None:
    read = body(SDP, "Application/SDP ; charset=utf-8")
    assert (read.media_type, read.disposition) == ("application/sdp", "session")
    assert read.is_required
    assert not read.is_encoded
    assert not read.is_multipart


@pytest.mark.parametrize(
    ("written", "disposition", "is_required"),
    [
        ("session", "session", True),
        ("Session;handling=required", "session", True),
        ("render; handling=optional", "render", False),
        ('signal;handling="Optional"', "signal", False),
        ("early-session", "early-session", True),
    ],
)
def test_a_disposition_says_what_a_body_is_for(
    written: str, disposition: str, is_required: bool
) -> None:
    read = body(SDP, "application/sdp", content_disposition=written)
    assert (read.disposition, read.is_required) == (disposition, is_required)


@pytest.mark.parametrize(
    ("encoding", "is_encoded"), [("gzip", True), ("made-up", True), ("Identity", False)]
)
def test_an_encoding_other_than_none_is_told(encoding: str, is_encoded: bool) -> None:
    assert body(SDP, "application/sdp", content_encoding=encoding).is_encoded is is_encoded


def test_parts_are_cut_at_the_boundary_and_what_surrounds_them_is_left_out() -> None:
    first, second, third = parts(
        b"preamble --b1\r\n--b1 \t\r\nContent-Type: application/sdp\r\n\r\n" + SDP + b"\r\n--b1\r\n"
        b"content-type : text/plain\r\nContent-Disposition: render;\r\n\thandling=optional\r\n"
        b"\r\n--b1x\r\n--b1\r\n\r\nuntyped\r\n--b1-- epilogue\r\n--b1\r\n"
    )
    assert (first.media_type, first.data) == ("application/sdp", SDP)
    assert first.disposition == "session"
    assert (second.is_required, second.data) == (False, b"--b1x")
    assert (third.media_type, third.data) == ("text/plain", b"untyped")
    assert third.is_required


def test_bare_line_feeds_and_a_quoted_boundary_are_taken() -> None:
    [part] = parts(
        b"--a b'()+_,-./:=?\nContent-Type: application/sdp\n\nv=0\n--a b'()+_,-./:=?--",
        'multipart/mixed; boundary="a b\'()+_,-./:=?"',
    )
    assert part.data == b"v=0"


def test_a_part_may_be_encoded_for_mail() -> None:
    plain, coded = parts(
        b"--b1\r\nContent-Transfer-Encoding: binary\r\n\r\nx\r\n"
        b"--b1\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n--b1--"
    )
    assert (plain.is_encoded, coded.is_encoded) == (False, True)


def test_a_part_may_be_multipart_itself() -> None:
    [inner] = parts(
        b"--b1\r\nContent-Type: multipart/alternative;boundary=b2\r\n\r\n"
        b"--b2\r\n\r\nx\r\n--b2--\r\n--b1--\r\n"
    )
    assert inner.is_multipart
    assert [part.data for part in split_parts(inner)] == [b"x"]


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"--b1\r\n\r\nx\r\n--b1--", "multipart/mixed"),
        (b"--b1\r\n\r\nx\r\n--b1--", 'multipart/mixed;boundary=""'),
        (b"--b1\r\n\r\nx\r\n--b1--", f"multipart/mixed;boundary={'b' * 71}"),
        (b"--b1\r\n\r\nx\r\n--b1--", "multipart/mixed;boundary=ü"),
        (b"--b1\r\n\r\nx\r\n--b1--", "multi part/mixed;boundary=b1"),
        (b"--b1\r\n\r\nx\r\n--b1\r\n", "multipart/mixed;boundary=b1"),
        (b"x", "multipart/mixed;boundary=b1"),
        (b"--b1\r\nContent-Type: text/plain\r\n--b1--", "multipart/mixed;boundary=b1"),
        (b"--b1\r\nno colon\r\n\r\nx\r\n--b1--", "multipart/mixed;boundary=b1"),
        (b"--b1\r\na b: c\r\n\r\nx\r\n--b1--", "multipart/mixed;boundary=b1"),
        (b"--b1\r\nx:" + b"y" * 5000 + b"\r\n\r\nx\r\n--b1--", "multipart/mixed;boundary=b1"),
        (b"--b1\r\n\r\n" * (MAX_PARTS + 1) + b"\r\n--b1--", "multipart/mixed;boundary=b1"),
    ],
)
def test_what_cannot_be_cut_is_refused(data: bytes, content_type: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        split_parts(body(data, content_type))
    assert caught.value.status == 400
