"""Single malformed datagrams: each its right error, or silence."""

from collections.abc import Callable

import pytest

from parley.testkit.phones.raw_phone import RawPhone

_SILENCE_S = 0.25
# What may be said to a message cut short: nothing, a complaint, a challenge, or what it asks for.
_TO_TRUNCATED = frozenset((200, 400, 407, 416, 505, 513))

Edit = Callable[[bytes], bytes]


def replaced(old: bytes, new: bytes) -> Edit:
    def edit(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new, 1)

    return edit


def without(header: bytes) -> Edit:
    def edit(data: bytes) -> bytes:
        return b"\r\n".join(line for line in data.split(b"\r\n") if not line.startswith(header))

    return edit


def with_header(line: bytes) -> Edit:
    return replaced(b"Max-Forwards: 70", b"Max-Forwards: 70\r\n" + line)


def answer_to(phone: RawPhone, data: bytes, timeout_s: float = 5.0) -> int | str | None:
    phone.send(data)
    return phone.hear(timeout_s)


LENGTH = b"Content-Length: "
ERRORS: dict[str, tuple[int, Edit]] = {
    "length beyond the end": (400, replaced(LENGTH, LENGTH + b"9")),
    "negative length": (400, replaced(LENGTH, LENGTH + b"-")),
    "length that is no number": (400, replaced(LENGTH, LENGTH + b"x")),
    "two lengths": (400, with_header(b"Content-Length: 3")),
    "huge length": (400, replaced(LENGTH, LENGTH + b"9" * 400)),
    "CSeq of another method": (400, replaced(b" INVITE\r\nContact", b" BYE\r\nContact")),
    "CSeq number too large": (400, replaced(b"CSeq: ", b"CSeq: 99999999999")),
    "two From": (400, with_header(b"From: <sip:a@b.test>;tag=1")),
    "two Call-ID": (400, with_header(b"Call-ID: another")),
    "From without its end": (400, replaced(b"From: <", b'From: "<')),
    "URI without a scheme": (400, replaced(b"INVITE sip:", b"INVITE :")),
    "URI with spaces": (400, replaced(b"INVITE sip:", b"INVITE  sip:")),
    "foreign URI scheme": (416, replaced(b"INVITE sip:", b"INVITE http:")),
    "Max-Forwards that is no number": (400, replaced(b"Forwards: 70", b"Forwards: x")),
    "later version": (505, replaced(b" SIP/2.0\r\nVia", b" SIP/3.0\r\nVia")),
    "header line without colon": (400, with_header(b"what is this")),
    "no From": (400, without(b"From")),
    "no To": (400, without(b"To")),
    "no Call-ID": (400, without(b"Call-ID")),
    "no CSeq": (400, without(b"CSeq")),
    "Via that cannot be read": (400, replaced(b";rport", b";;,,")),
    "later version in line and Via": (505, lambda data: data.replace(b"SIP/2.0", b"SIP/3.0")),
    "thousands of headers": (513, with_header(b"X: y\r\n" * 9000 + b"Z: 1")),
}


@pytest.mark.parametrize("case", ERRORS)
def test_each_mistake_gets_its_status(stranger: RawPhone, case: str) -> None:
    status, edit = ERRORS[case]
    invite = bytes(stranger.request("INVITE", "1002", stranger.description()))
    assert answer_to(stranger, edit(invite)) == status
    assert stranger.is_alive()


SILENT: dict[str, bytes] = {
    "zeros": b"\0" * 100,
    "line ends": b"\r\n" * 50,
    "other protocols": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "STUN indication": b"\x00\x11\x00\x00\x21\x12\xa4\x42" + b"\x07" * 12,
    "response without headers": b"SIP/2.0 200 OK\r\n\r\n",
    "response of status 1000": b"SIP/2.0 1000 Much\r\nVia: SIP/2.0/UDP a\r\n\r\n",
    "request line alone": b"OPTIONS sip:demo.localhost SIP/2.0",
    "no Via": b"OPTIONS sip:demo.localhost SIP/2.0\r\nFrom: <sip:a@b>\r\n\r\n",
    "all bytes": bytes(range(256)) * 200,
    "an INVITE without any Via": (
        b"INVITE sip:1002@demo.localhost SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n"
        b"Call-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"
    ),
}


@pytest.mark.parametrize("case", SILENT)
def test_what_cannot_be_answered_is_dropped(stranger: RawPhone, case: str) -> None:
    assert answer_to(stranger, SILENT[case], _SILENCE_S) is None
    assert stranger.is_alive()


def test_malformed_ack_and_responses_are_never_answered(stranger: RawPhone) -> None:
    ack = bytes(stranger.request("ACK", "1002"))
    for edit in (without(b"From:"), replaced(LENGTH, LENGTH + b"9"), without(b"CSeq:")):
        stranger.send(edit(ack))
        stranger.send(edit(b"SIP/2.0 200 OK" + ack[ack.index(b"\r\n") :]))
    assert stranger.hear(_SILENCE_S) is None
    assert stranger.is_alive()


HUGE: dict[str, Edit] = {
    "one header of 60 kB": with_header(b"X-Big: " + b"a" * 60_000),
    "a name of 60 kB": with_header(b"a" * 60_000 + b": 1"),
    "folded a thousand times": with_header(b"Subject: a" + b"\r\n b" * 10_000),
    "commas": with_header(b"Contact: " + b"," * 60_000),
    "quotes": with_header(b"Contact: " + b'"' * 59_999),
    "backslashes": with_header(b'Contact: "' + b"\\" * 59_999),
    "angles": with_header(b"Route: " + b"<" * 60_000),
    "routes": with_header(b"Route: " + b"<sip:a;lr>," * 5_000 + b"<sip:b;lr>"),
    "parameters": with_header(b"Contact: <sip:a@b>" + b";p=1" * 14_000),
    "comments": with_header(b"User-Agent: " + b"(" * 60_000),
    "escapes": replaced(b" sip:", b" sip:" + b"%41" * 19_000),
    "a method of 60 kB": replaced(b" sip:", b"O" * 60_000 + b" sip:"),
    "a tag of 60 kB": replaced(b";tag=", b";tag=" + b"t" * 60_000),
    "a branch of 60 kB": replaced(b"z9hG4bK", b"z9hG4bK" + b"b" * 60_000),
    "a Call-ID of 60 kB": replaced(b"Call-ID: ", b"Call-ID: " + b"c" * 60_000),
    "credentials": with_header(b"Authorization: Digest " + b'a="b",' * 9_000),
    "spaces": with_header(b"Subject:" + b" \t" * 30_000),
}


@pytest.mark.parametrize("case", HUGE)
def test_huge_parts_are_dealt_with_at_once(stranger: RawPhone, case: str) -> None:
    for method in ("OPTIONS", "REGISTER", "INVITE", "BYE"):
        stranger.send(HUGE[case](bytes(stranger.request(method, "1002"))))
    # One more request tells that no backtracking holds the loop.
    assert stranger.transact(stranger.request("OPTIONS"), timeout_s=1.5).status == 200


def test_every_length_of_a_truncated_message_is_survived(
    stranger: RawPhone, bystander: RawPhone
) -> None:
    samples = (
        bytes(stranger.request("INVITE", "1002", stranger.description())),
        bytes(stranger.request("REGISTER")),
        bytes(stranger.request("OPTIONS")),
        bytes(stranger.request("BYE", "1002")),
    )
    heard: set[int | str] = set()
    for sample in samples:
        for length in range(len(sample)):
            stranger.send(sample[:length])
            if length % 50 == 0:
                heard.update(stranger.overheard())
        assert bystander.is_alive()
    heard.update(stranger.overheard())
    assert heard <= _TO_TRUNCATED
