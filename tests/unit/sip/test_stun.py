"""STUN on a SIP port: one kind of request, one answer, silence for the rest."""

import struct
from ipaddress import ip_address

import pytest

from parley.sip.stun import answer_binding, is_stun

ID = bytes(range(12))
MAGIC = b"\x21\x12\xa4\x42"


def _request(attributes: bytes = b"", kind: int = 1, length: int | None = None) -> bytes:
    size = len(attributes) if length is None else length
    return struct.pack("!HH", kind, size) + MAGIC + ID + attributes


def _mapped(answer: bytes) -> tuple[str, int]:
    kind, length, family, port = struct.unpack_from("!HHxBH", answer, 20)
    assert (kind, length) == (0x0020, 8 if family == 1 else 20)
    packed = bytes(a ^ b for a, b in zip(answer[28:], MAGIC + ID, strict=False))
    return str(ip_address(packed)), port ^ 0x2112


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8:1234:5678:11:2233:4455:6677"])
def test_a_binding_request_is_told_where_it_came_from(host: str) -> None:
    answer = answer_binding(_request(), host, 32853)
    assert answer is not None
    assert answer[:2] == b"\x01\x01"
    assert answer[4:20] == MAGIC + ID
    assert struct.unpack_from("!H", answer, 2)[0] == len(answer) - 20
    assert _mapped(answer) == (host, 32853)
    assert len(answer) <= 3 * len(_request())


def test_the_answer_is_that_of_the_test_vectors() -> None:
    transaction = bytes.fromhex("b7e7a701bc34d686fa87dfae")  # RFC 5769 2.2
    request = struct.pack("!HH", 1, 0) + MAGIC + transaction
    answer = answer_binding(request, "192.0.2.1", 32853)
    assert answer is not None
    assert answer[20:] == bytes.fromhex("002000080001a147e112a643")


def test_optional_attributes_and_credentials_are_ignored() -> None:
    software = struct.pack("!HH", 0x8022, 5) + b"phone\0\0\0"
    username = struct.pack("!HH", 0x0006, 4) + b"user"
    answer = answer_binding(_request(software + username), "192.0.2.1", 5060)
    assert answer is not None
    assert answer[:2] == b"\x01\x01"


def test_what_must_be_understood_and_is_not_is_named() -> None:
    change = struct.pack("!HHI", 0x0003, 4, 6)
    answer = answer_binding(_request(change), "192.0.2.1", 5060)
    assert answer is not None
    assert answer[:2] == b"\x01\x11"
    assert answer[20:] == bytes.fromhex("0009000400000414000a000200030000")
    many = answer_binding(_request(b"\x7f\xff\x00\x00" * 100), "192.0.2.1", 5060)
    assert many is not None
    assert len(many) <= 3 * 20


DROPPED = {
    "empty": b"",
    "too short": _request()[:19],
    "indication": _request(kind=0x0011),
    "success": _request(kind=0x0101),
    "another method": _request(kind=0x0003),
    "no magic cookie": _request().replace(MAGIC, b"\0\0\0\0"),
    "length beyond the end": _request(length=4),
    "length before the end": _request(b"\x80\x22\x00\x00", length=0),
    "attribute beyond the end": _request(b"\x80\x22\x00\x10"),
    "attribute that breaks off": _request(b"\x80\x22"),
    "very long": _request(b"\x80\x22\x00\x00" * 200),
}


@pytest.mark.parametrize("data", DROPPED.values(), ids=DROPPED.keys())
def test_everything_else_is_dropped(data: bytes) -> None:
    assert answer_binding(data, "192.0.2.1", 5060) is None


def test_sip_and_keep_alives_are_no_stun() -> None:
    for data in (b"OPTIONS sip:a SIP/2.0\r\n", b"\0\0\0\0", b"\r\n\r\n" * 9, b"SIP/2.0 200 OK\r\n"):
        assert not is_stun(data)
    assert is_stun(_request())
