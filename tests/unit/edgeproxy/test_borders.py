"""What may cross the borders, by parsed name."""

import pytest

from parley.edgeproxy.border.headers import (
    assert_call,
    decrement_max_forwards,
    strip_credentials,
    strip_foreign,
    strip_internal,
)
from parley.sip.errors import RemoteProtocolError
from parley.sip.hop import Hop
from parley.sip.message import Request, parse_message

HEAD = (
    "INVITE sip:1002@demo.test SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
    "From: <sip:1001@demo.test>;tag=1\r\n"
    "To: <sip:1002@demo.test>\r\n"
    "Call-ID: c1\r\n"
    "CSeq: 1 INVITE\r\n"
)


def _parse(lines: str) -> Request:
    message = parse_message(f"{HEAD}{lines}\r\nContent-Length: 0\r\n\r\n".encode())
    assert isinstance(message, Request)
    return message


@pytest.mark.parametrize(
    "line",
    [
        "X-Parley-Tenant: other",
        "x-parley-tenant: other",
        "X-PARLEY-CALL : other",
        "X-Parley-Source\t: other",
        "X-Parley-Anything: other",
        "P-Asserted-Identity: <sip:other@demo.test>",
        "p-asserted-identity \t : <sip:other@demo.test>",
        "P-Asserted-Identity:\r\n <sip:other@demo.test>",
        "Remote-Party-ID: <sip:other@demo.test>",
        "Diversion: <sip:other@demo.test>",
        "y: other",
        "Identity: other",
        "History-Info: <sip:other@demo.test>",
    ],
)
def test_what_only_we_may_say_is_taken_however_it_is_spelt(line: str) -> None:
    request = _parse(line)

    strip_foreign(request)

    assert b"other" not in bytes(request)


def test_everything_else_of_a_phone_passes_byte_for_byte() -> None:
    request = _parse("Subject:  as   written\r\nX-Own: 1\r\nPrivacy: none")
    before = bytes(request)

    strip_foreign(request)

    assert bytes(request) == before


def test_nothing_internal_reaches_a_phone() -> None:
    request = _parse("X-Parley-Call: c\r\nX-Parley-New: n\r\nP-Asserted-Identity: <sip:a@b>")

    strip_internal(request)

    assert not request.has("x-parley-call")
    assert not request.has("x-parley-new")
    assert request.has("p-asserted-identity")


@pytest.mark.parametrize("privacy", ["id", "header; id", "ID;critical"])
def test_identity_is_hidden_when_privacy_is_asked_for(privacy: str) -> None:
    request = _parse(f"Privacy: {privacy}\r\nP-Asserted-Identity: <sip:a@b>")

    strip_internal(request)

    assert not request.has("p-asserted-identity")


def test_credentials_go_no_further() -> None:
    request = _parse('Proxy-Authorization: Digest a="b"\r\nAuthorization: Digest a="b"')

    strip_credentials(request)

    assert not request.has("authorization")
    assert not request.has("proxy-authorization")


@pytest.mark.parametrize(("before", "after"), [("70", "69"), ("1", "0"), ("255", "254")])
def test_max_forwards_counts_down(before: str, after: str) -> None:
    request = _parse(f"Max-Forwards: {before}")

    assert decrement_max_forwards(request)
    assert request.get("max-forwards") == after


def test_max_forwards_is_added_when_absent_and_ends_at_zero() -> None:
    request = _parse("Subject: x")

    assert decrement_max_forwards(request)
    assert request.get("max-forwards") == "70"
    assert not decrement_max_forwards(_parse("Max-Forwards: 0"))
    assert not decrement_max_forwards(_parse("Max-Forwards: 00"))


@pytest.mark.parametrize("text", ["-1", "256", "seventy", "", "1000"])
def test_malformed_max_forwards_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decrement_max_forwards(_parse(f"Max-Forwards: {text}"))


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (Hop("udp", "192.0.2.1", 5060, 3), Hop("udp", "192.0.2.1", 5060, 4), True),
        (Hop("udp", "192.0.2.1", 5060, 3), Hop("udp", "192.0.2.1", 5061, 3), False),
        (Hop("udp", "192.0.2.1", 5060, 3), Hop("tcp", "192.0.2.1", 5060, 3), False),
        (Hop("tcp", "192.0.2.1", 5060, 3), Hop("tcp", "192.0.2.1", 5060, 4), False),
    ],
    ids=["another edge's socket", "another port", "another transport", "another connection"],
)
def test_a_call_is_told_by_which_flow_its_phone_spoke(one: Hop, other: Hop, is_same: bool) -> None:
    first, second = _parse(""), _parse("")
    assert_call(first, "call", one, "tenant", "<sip:1001@demo.test>")
    assert_call(second, "call", other, "tenant", "<sip:1001@demo.test>")

    assert (first.get("x-parley-flow") == second.get("x-parley-flow")) is is_same
