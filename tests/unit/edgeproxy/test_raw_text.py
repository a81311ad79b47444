"""No byte that is not UTF-8 gets inside."""

import pytest

from parley.edgeproxy.border.raw_text import make_response_text, make_text
from parley.sip.errors import RemoteProtocolError
from parley.sip.message import Request, Response, parse_message

INVITE = (
    b"INVITE sip:1002@demo.test SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP a.test;branch=z9hG4bK1\r\n"
    b'From: "Ann" <sip:1001@demo.test>;tag=1\r\n'
    b"To: <sip:1002@demo.test>\r\n"
    b"Call-ID: one\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Contact: <sip:1001@a.test>\r\n"
    b"Subject: first\r\n"
    b"Subject: second\r\n"
    b"Route: <sip:r.test;lr>\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def parsed(old: bytes, new: bytes) -> Request:
    assert old in INVITE
    message = parse_message(INVITE.replace(old, new, 1))
    assert isinstance(message, Request)
    return message


@pytest.mark.parametrize("name", [b"Ann", "Änn".encode(), "日本".encode()])
def test_text_stays_byte_for_byte(name: bytes) -> None:
    message = parsed(b"Ann", name)
    before = bytes(message)
    make_text(message)
    assert bytes(message) == before


def test_a_display_name_of_a_latin_1_phone_becomes_utf_8() -> None:
    message = parsed(b"Ann", "Änn".encode("latin-1"))
    make_text(message)
    assert message.from_.display_name == "Änn"
    assert message.from_.tag == "1"
    bytes(message).decode()


def test_lines_of_one_name_keep_their_order() -> None:
    message = parsed(b"second", b"\xfc")
    make_text(message)
    assert message.get_all("subject") == ["first", "ü"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"sip:1002@demo.test SIP", b"sip:10%ff02@demo.test SIP"),
        (b"Call-ID: one", b"Call-ID: \xff"),
        (b"sip:r.test", b"sip:\xff@r.test"),
    ],
)
def test_what_must_be_exact_is_refused(old: bytes, new: bytes) -> None:
    message = parsed(old, new)
    with pytest.raises(RemoteProtocolError) as refusal:
        make_text(message)
    assert refusal.value.status == 400


@pytest.mark.parametrize("old", [b"1001@a.test", b"first", b"Ann", b"1001@demo"])
def test_everything_else_becomes_text(old: bytes) -> None:
    message = parsed(old, b"\xfe" + old)
    make_text(message)
    bytes(message).decode()


def test_a_response_is_never_refused() -> None:
    data = INVITE.replace(b"INVITE sip:1002@demo.test SIP/2.0", b"SIP/2.0 486 Busy")
    for old in (b"Call-ID: one", b"Ann", b"1001@a.test", b"sip:r.test"):
        message = parse_message(data.replace(old, old + b"\xff"))
        assert isinstance(message, Response)
        make_response_text(message)
        bytes(message).decode()
