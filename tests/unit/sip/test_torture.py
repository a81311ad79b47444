"""Illegal and hostile messages: each is refused with the right status, or is really legal."""

from collections.abc import Callable
from time import process_time

import pytest

from parley.sip.errors import ParseError, RemoteProtocolError
from parley.sip.message import Message, Request, Response, parse_message, response_to, salvage

GOOD = (
    b"INVITE sip:bob@b.example SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: <sip:ann@a.example>;tag=1\r\n"
    b"To: <sip:bob@b.example>\r\n"
    b"Call-ID: c1\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"Content-Length: 4\r\n"
    b"\r\n"
    b"body"
)

ANSWERABLE = {
    "no value of CSeq": (b"CSeq: 7 INVITE", b"CSeq:", 400),
    "CSeq of another method": (b"7 INVITE", b"7 OPTIONS", 400),
    "CSeq beyond 31 bits": (b"7 INVITE", b"2147483648 INVITE", 400),
    "CSeq with a sign": (b"7 INVITE", b"+7 INVITE", 400),
    "CSeq with an underscore": (b"7 INVITE", b"1_0 INVITE", 400),
    "CSeq in arabic digits": (b"7 INVITE", "٣ INVITE".encode(), 400),
    "CSeq twice": (b"CSeq: 7 INVITE", b"CSeq: 7 INVITE\r\nCSeq: 8 INVITE", 400),
    "From twice": (b"Call-ID", b"f: <sip:other@a.example>;tag=2\r\nCall-ID", 400),
    "Call-ID twice by its short name": (b"Call-ID: c1", b"Call-ID: c1\r\ni: c2", 400),
    "Call-ID with a blank": (b"Call-ID: c1", b"Call-ID: c 1", 400),
    "Max-Forwards too large": (b"Forwards: 70", b"Forwards: 256", 400),
    "Max-Forwards negative": (b"Forwards: 70", b"Forwards: -1", 400),
    "Max-Forwards twice": (b"Max-Forwards: 70", b"Max-Forwards: 70\r\nMax-Forwards: 1", 400),
    "body too short": (b"Content-Length: 4", b"Content-Length: 5", 400),
    "Content-Length negative": (b"Content-Length: 4", b"Content-Length: -4", 400),
    "Content-Length huge": (b"Content-Length: 4", b"Content-Length: 99999999999999999", 400),
    "Content-Length twice": (b"Content-Length: 4", b"Content-Length: 4\r\nl: 3", 400),
    "unknown scheme": (b"INVITE sip:bob@b.example", b"INVITE gopher:bob@b.example", 416),
    "blank inside the URI": (b"INVITE sip:bob@b.example", b"INVITE sip:bob@b.example; lr", 400),
    "URI in brackets": (b"INVITE sip:bob@b.example", b"INVITE <sip:bob@b.example>", 400),
    "two blanks in the request line": (b"INVITE sip", b"INVITE  sip", 400),
    "blank behind the version": (b"SIP/2.0\r\nVia", b"SIP/2.0 \r\nVia", 400),
    "bad escape in the URI": (b"sip:bob@b.example SIP", b"sip:bo%zzb@b.example SIP", 400),
    "port too large": (b"sip:bob@b.example SIP", b"sip:bob@b.example:65536 SIP", 400),
    "endless URI": (b"sip:bob@", b"sip:" + b"b" * 5000 + b"@", 414),
    "version of the future": (b"SIP/2.0\r\nVia", b"SIP/7.0\r\nVia", 505),
    "a lone CR": (b"Max-Forwards: 70", b"Subject: a\rb\r\nMax-Forwards: 70", 400),
    "a lone LF": (b"Max-Forwards: 70", b"Subject: a\nX-Parley-Call: 1\r\nMax-Forwards: 70", 400),
    "a zero byte": (b"Max-Forwards: 70", b"Subject: a\0b\r\nMax-Forwards: 70", 400),
    "a zero byte in quotes": (b"From: <", b'From: "a\0b" <', 400),
    "a zero byte behind an escaped backslash": (b"From: <", b'From: "a\\\\\0b" <', 400),
    "a backslash and a zero byte without quotes": (b"tag=1", b"tag=\\\0", 400),
    "a line without a colon": (b"Max-Forwards: 70", b"Max-Forwards 70", 400),
    "a line without a name": (b"Max-Forwards: 70", b": 70", 400),
    "a blank in a name": (b"Max-Forwards: 70", b"Max Forwards: 70", 400),
    "quote never closed in To": (b"To: <", b'To: "Bob <', 400),
    "bracket never closed in To": (b"To: <sip:bob@b.example>", b"To: <sip:bob@b.example", 400),
    "text behind the bracket": (b"To: <sip:bob@b.example>", b"To: <sip:bob@b.example> x", 400),
    "tag twice": (b";tag=1", b";tag=1;TAG=2", 400),
    "tag without value": (b";tag=1", b";tag=", 400),
    "empty parameters": (b";tag=1", b";;;tag=1", 400),
    "comma in a bare display name": (b"From: <", b"From: Last, First <", 400),
    "question mark without brackets": (b"To: <sip:bob@b.example>", b"To: sip:bob@b?Route=x", 400),
    "no From": (b"From", b"X-From", 400),
    "no To": (b"To:", b"X-To:", 400),
    "no Call-ID": (b"Call-ID", b"X-Call-ID", 400),
    "no CSeq": (b"CSeq", b"X-CSeq", 400),
    "nothing but CSeq and Via": (GOOD[GOOD.index(b"Max-") : GOOD.index(b"CSeq")], b"", 400),
    "broken Via": (b"SIP/2.0/UDP 192", b"SIP/2.0/UDP192", 400),
    "Via of another protocol version": (b"SIP/2.0/UDP", b"SIP/3.0/UDP", 400),
    "line and Via of another version": (
        b"SIP/2.0\r\nVia: SIP/2.0",
        b"SIP/3.0\r\nVia: SIP/3.0",
        505,
    ),
    "Via with empty parameters": (b";branch=z9hG4bKx", b";branch=z9hG4bKx;;,,", 400),
    "Via with rport without a value": (b";branch=z9hG4bKx", b";branch=z9hG4bKx;rport=", 400),
    "Via with an empty branch": (b";branch=z9hG4bKx", b";branch=", 400),
    "too many lines": (b"Max-Forwards: 70", b"\r\n".join([b"X: y"] * 300), 513),
}


@pytest.mark.parametrize("case", ANSWERABLE.values(), ids=ANSWERABLE.keys())
def test_a_broken_request_is_answered_with_its_status(case: tuple[bytes, bytes, int]) -> None:
    old, new, status = case
    assert old in GOOD
    with pytest.raises(ParseError) as caught:
        parse_message(GOOD.replace(old, new, 1))
    assert caught.value.status == status
    request = salvage(caught.value.data)
    assert request is not None
    response = response_to(request, status, to_tag="t")
    assert bytes(response).startswith(b"SIP/2.0 %d " % status)
    assert b"Via: SIP/" in bytes(response)
    assert len(bytes(response)) <= 3 * request.received_bytes


SILENT = {
    "nothing": b"",
    "line ends": b"\r\n\r\n",
    "zero bytes": b"\0" * 64,
    "binary": bytes(range(256)) * 4,
    "no header end and no header": b"INVITE sip:bob@b.example SIP/2.0",
    "HTTP": b"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n",
    "no Via": GOOD.replace(b"Via", b"X-Via"),
    "ACK is never answered": GOOD.replace(b"INVITE", b"ACK").replace(b"7 ACK", b"7 INVITE"),
    "response without CSeq": GOOD.replace(
        b"INVITE sip:bob@b.example SIP/2.0", b"SIP/2.0 200 OK"
    ).replace(b"CSeq", b"X-CSeq"),
    "status too large": GOOD.replace(b"INVITE sip:bob@b.example SIP/2.0", b"SIP/2.0 700 Odd"),
    "status too small": GOOD.replace(b"INVITE sip:bob@b.example SIP/2.0", b"SIP/2.0 099 Odd"),
    "status of four digits": GOOD.replace(b"INVITE sip:bob@b.example SIP/2.0", b"SIP/2.0 0200 K"),
    "method that is no token": GOOD.replace(b"INVITE sip", b"IN(VITE sip"),
}


@pytest.mark.parametrize("data", SILENT.values(), ids=SILENT.keys())
def test_what_is_no_request_has_no_answer(data: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        parse_message(data)
    assert salvage(caught.value.data) is None


LEGAL = {
    "line ends in front": lambda data: b"\r\n\r\n" + data,
    "version in lower case": lambda data: data.replace(b"SIP/2.0\r\n", b"sip/2.0\r\n", 1),
    "method nobody knows": lambda data: data.replace(b"INVITE", b"!interesting-Method0123456789_*"),
    "no Max-Forwards": lambda data: data.replace(b"Max-Forwards", b"X-Max-Forwards"),
    "empty From tag host only": lambda data: data.replace(b"<sip:ann@a.example>", b"sip:a.example"),
    "unknown scheme in To": lambda data: data.replace(b"To: <sip:", b"To: <isbn:"),
    "display name in UTF-8 without quotes": lambda data: data.replace(
        b"From: <", "From: Jürgen <".encode()
    ),
    "bracket inside quotes": lambda data: data.replace(b"From: <", b'From: "<a>, \\"<b>" <'),
    "empty header": lambda data: data.replace(b"Max-", b"Subject:\r\nMax-"),
    "fold of blanks only": lambda data: data.replace(b"Max-", b"Subject: a\r\n \t\r\nMax-"),
    "underscore in a host": lambda data: data.replace(b"192.0.2.1:", b"my_pod-1:"),
    "zero byte behind a backslash in quotes": lambda data: data.replace(
        b"From: <", b'From: "a\\\0 \\\\ \\" b" <'
    ),
    "escaped zero byte in the user": lambda data: data.replace(b"bob@", b"b%00ob@"),
}


@pytest.mark.parametrize("change", LEGAL.values(), ids=LEGAL.keys())
def test_odd_but_legal_messages_are_taken(change: Callable[[bytes], bytes]) -> None:
    message = parse_message(change(GOOD))
    assert isinstance(message, Request)
    assert message.body == b"body"
    once = bytes(message)
    assert bytes(parse_message(once)) == once


def test_bytes_beyond_content_length_are_cut_and_a_missing_one_means_the_rest() -> None:
    assert parse_message(GOOD + b"more").body == b"body"
    message = parse_message(GOOD.replace(b"Content-Length: 4\r\n", b"") + b"more")
    assert message.body == b"bodymore"
    assert message.content_length is None
    assert b"Content-Length: 8\r\n" in bytes(message)


def test_a_message_cut_at_any_byte_is_an_error_or_whole() -> None:
    for length in range(len(GOOD)):
        with pytest.raises(ParseError):
            parse_message(GOOD[:length])


def test_a_status_line_may_lack_the_phrase() -> None:
    data = GOOD.replace(b"INVITE sip:bob@b.example SIP/2.0", b"SIP/2.0 200")
    message = parse_message(data)
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (200, "")


HOSTILE = {
    "open brackets": b"<" * 60000,
    "open quotes": b'"' * 60001,
    "quotes and backslashes": b'"' + b"\\" * 60001,
    "semicolons": b"<sip:a@b>" + b";" * 60000,
    "parameters": b"<sip:a@b>" + b"".join(b";p%d=1" % n for n in range(7000)),
    "commas": b"," * 60000,
    "addresses": b"sip:a@b," * 7000,
    "blanks": b"a" + b" " * 60000 + b"b",
    "folds": b"a" + b"\r\n b" * 15000,
    "colons": b":" * 60000,
    "user without end": b"<sip:" + b"a" * 60000 + b">",
    "zero bytes": b'"' + b"\\\0" * 30000 + b'" <sip:a@b>',
    "zero bytes and open quotes": b"\0" + b'"\\' * 30000,
    "escapes": b"<sip:" + b"%41" * 20000 + b"@b>",
    "passwords": b"<sip:a:" + b"b" * 60000 + b">",
    "URI parameters": b"<sip:a@b" + b";x" * 30000 + b">",
    "URI headers": b"<sip:a@b?" + b"x=1&" * 15000 + b">",
    "dots": b"<sip:a@" + b"a." * 30000 + b"!>",
    "digits": b"<tel:+" + b"1-" * 30000 + b"x>",
    "digest": b"Digest " + b'a="b",' * 10000,
    "equals": b"Digest " + b"=" * 60000,
}
PROBES: dict[str, Callable[[Message], object]] = {
    "Via": lambda message: message.via,
    "From": lambda message: message.from_.uri,
    "Contact": lambda message: [contact.uri for contact in message.contacts],
    "Route": lambda message: (message.routes, message.remove_first_value("route")),
    "X-Other": lambda message: message.values("x-other"),
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("header", PROBES)
def test_hostile_values_of_60_kilobytes_take_linear_time(header: str, value: bytes) -> None:
    line = header.encode() + b": " + value + b"\r\n"
    data = GOOD.replace(b"Call-ID", line + b"Call-ID")
    if header in ("Via", "From"):
        start = GOOD.index(header.encode())
        data = GOOD[:start] + line + GOOD[GOOD.index(b"\r\n", start) + 2 :]
    started = process_time()
    try:
        message = parse_message(data)
        PROBES[header](message)
    except RemoteProtocolError:
        pass
    # The bound is 50 ms; quadratic code takes seconds.
    assert process_time() - started < 0.25


def test_a_header_beyond_64_kilobytes_is_refused() -> None:
    with pytest.raises(ParseError) as caught:
        parse_message(GOOD.replace(b"Max-", b"Subject: " + b"x" * 70000 + b"\r\nMax-"))
    assert caught.value.status == 513
