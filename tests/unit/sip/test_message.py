"""Reading and changing messages; raw bytes of tests/data/sip."""

from pathlib import Path

import pytest

from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.headers import CSeq
from parley.sip.message import Request, Response, parse_message, response_to
from parley.sip.uri import SipUri, TelUri

DATA = Path(__file__).parents[2] / "data" / "sip"
FILES = sorted(DATA.glob("*.sip"))


def load(name: str) -> Request:
    message = parse_message((DATA / name).read_bytes())
    assert isinstance(message, Request)
    return message


def new_request() -> Request:
    request = Request("OPTIONS", "sip:a@b.example")
    request.set("via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
    request.set("from", "<sip:x@b.example>;tag=1")
    request.set("to", "<sip:a@b.example>")
    request.set("call-id", "c1")
    request.set("cseq", "1 OPTIONS")
    return request


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_untouched_message_goes_out_byte_for_byte(path: Path) -> None:
    data = path.read_bytes()
    assert bytes(parse_message(data)) == data


def test_headers_of_an_invite_are_readable_typed() -> None:
    invite = load("invite.sip")
    assert invite.method == "INVITE"
    assert invite.uri == SipUri("sip", "1002", "demo.localhost")
    assert (invite.via.transport, invite.via.host, invite.via.port) == ("udp", "192.0.2.10", 5062)
    assert invite.via.branch == "z9hG4bK5d1f00c3e7a2"
    assert invite.via.wants_rport
    assert invite.via.rport is None
    assert (invite.from_.display_name, invite.from_.tag) == ("Alice", "f7k2m9x4")
    assert invite.to.tag is None
    assert invite.cseq == CSeq(4711, "INVITE")
    assert invite.call_id == "3c26d1e0-7a51@192.0.2.10"
    assert [str(contact.uri) for contact in invite.contacts] == [
        "sip:1001@192.0.2.10:5062;transport=udp"
    ]
    assert invite.max_forwards == 70
    assert invite.expires is None
    assert invite.content_type == "application/sdp"
    assert invite.content_length == len(invite.body)
    assert invite.routes == []
    assert "UPDATE" in invite.values("allow")


def test_compact_folded_and_oddly_spaced_headers_mean_the_same() -> None:
    options = load("compact_folded.sip")
    assert isinstance(options.uri, SipUri)
    assert options.uri.user == "user;par=u@example.net"
    assert options.uri.host == "example.com"
    assert options.uri.transport == "tcp"
    assert (options.via.transport, options.via.host, options.via.port) == (
        "tcp",
        "relay7.example.net",
        4000,
    )
    assert options.via.params["maddr"] == "233.252.0.1"
    assert len(options.values("via")) == 2
    assert options.to.tag == "to77"
    assert options.from_.display_name == 'Ann \\ "B"'
    assert options.from_.tag == "fr99"
    assert options.max_forwards == 42
    assert options.cseq == CSeq(17, "OPTIONS")
    assert options.get("x-odd_but.legal!name*") == 'some text; "never closed'
    first, second = options.contacts
    assert first.params == {"size": "big", "shiny": None, "q": "0.7"}
    assert isinstance(second.uri, TelUri)
    assert options.get("subject") == ""


def test_a_header_cannot_be_smuggled_by_its_spelling() -> None:
    data = (DATA / "invite.sip").read_bytes()
    for spelling in (b"X-Parley-Call :", b"x-PARLEY-call\t :", b"X-Parley-Call:"):
        message = parse_message(data.replace(b"User-Agent:", spelling))
        assert message.has("x-parley-call")
        message.remove("x-parley-call")
        assert b"arley" not in bytes(message)


def test_bytes_that_are_not_utf8_survive_a_change() -> None:
    message = load("utf8_and_raw_bytes.sip")
    assert isinstance(message.uri, SipUri)
    assert message.uri.user == "büro"
    message.set("max-forwards", "4")
    assert b"Subject: not \xff\xfe utf-8\r\n" in bytes(message)
    assert str(message.uri) == "sip:b%C3%BCro@demo.localhost"


def test_only_the_changed_lines_of_a_proxied_request_differ() -> None:
    data = (DATA / "invite.sip").read_bytes()
    invite = load("invite.sip")
    assert invite.max_forwards is not None
    invite.prepend("via", "SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKnew")
    invite.prepend("record-route", "<sip:192.0.2.1;lr>")
    invite.set("max-forwards", str(invite.max_forwards - 1))
    expected = (
        data.replace(b"Via:", b"Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKnew\r\nVia:", 1)
        .replace(b" SIP/2.0\r\n", b" SIP/2.0\r\nRecord-Route: <sip:192.0.2.1;lr>\r\n", 1)
        .replace(b"Max-Forwards: 70", b"Max-Forwards: 69")
    )
    assert bytes(invite) == expected
    assert invite.via.branch == "z9hG4bKnew"


def test_the_topmost_value_is_popped_from_a_joined_line() -> None:
    ringing = parse_message((DATA / "ringing.sip").read_bytes())
    assert isinstance(ringing, Response)
    assert ringing.reason == "Es klingelt überall"
    assert ringing.via.received == "192.0.2.3"
    popped = ringing.remove_first_value("via")
    assert popped is not None
    assert popped.startswith("SIP/2.0/TCP edge.example.com:5060")
    assert ringing.via.rport == 5062
    assert len(ringing.get_all("via")) == 1
    ringing.remove_first_value("via")
    assert not ringing.has("via")
    assert ringing.remove_first_value("via") is None
    assert [str(route.uri) for route in ringing.record_routes] == [
        "sip:p1.example.com;lr",
        "sip:tok@p2.example.com:5070;transport=tcp;lr",
    ]


def test_the_topmost_value_is_replaced_in_a_joined_line() -> None:
    ringing = parse_message((DATA / "ringing.sip").read_bytes())
    ringing.replace_first_value("via", "SIP/2.0/TLS new.example.com")
    assert [value.split()[1] for value in ringing.values("via")][0] == "new.example.com"
    assert len(ringing.values("via")) == 2
    ringing.replace_first_value("reason", "SIP;cause=200")
    assert ringing.get("reason") == "SIP;cause=200"


def test_lines_are_set_added_prepended_and_removed_in_place() -> None:
    message = new_request()
    message.add("route", "<sip:a;lr>")
    message.set("user-agent", "x")
    message.add("route", "<sip:b;lr>")
    message.prepend("route", "<sip:c;lr>")
    assert message.get_all("route") == ["<sip:c;lr>", "<sip:a;lr>", "<sip:b;lr>"]
    assert message.header_names()[5:] == ["route", "route", "route", "user-agent"]
    message.set("route", "<sip:d;lr>")
    assert message.get_all("route") == ["<sip:d;lr>"]
    message.extend("route", ["<sip:e;lr>", "<sip:f;lr>"])
    assert [route.uri_text for route in message.routes] == ["sip:d;lr", "sip:e;lr", "sip:f;lr"]
    message.remove("route")
    message.remove("route")
    assert message.routes == []
    message.prepend("x-strange", "1")
    assert message.header_names()[0] == "x-strange"
    assert b"\r\nX-Strange: 1\r\n" in bytes(message)


def test_content_length_follows_the_body() -> None:
    message = load("invite.sip")
    message.body = b"v=0\r\n"
    assert bytes(message).endswith(b"Content-Length: 5\r\n\r\nv=0\r\n")
    assert message.content_length == 5
    message.set("content-length", "77")
    assert b"Content-Length: 5\r\n" in bytes(message)
    assert bytes(new_request()).endswith(b"Content-Length: 0\r\n\r\n")


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb", "a\0b"])
def test_values_with_line_breaks_are_refused(value: str) -> None:
    message = new_request()
    before = bytes(message)
    for change in (
        message.set,
        message.add,
        message.prepend,
        message.replace_first_value,
    ):
        with pytest.raises(LocalProtocolError):
            change("subject", value)
    with pytest.raises(LocalProtocolError):
        Response(200, value)
    with pytest.raises(LocalProtocolError):
        message.uri = "sip:" + value
    with pytest.raises(LocalProtocolError):
        Request("A" + value, "sip:a")
    assert bytes(message) == before


@pytest.mark.parametrize("name", ["Via", "v", "x y", "x:", ""])
def test_names_that_are_not_canonical_are_refused(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        new_request().set(name, "1")


def test_text_that_cannot_be_encoded_is_our_error() -> None:
    with pytest.raises(LocalProtocolError):
        new_request().set("subject", "\ud800")


def test_a_typed_header_is_read_again_after_a_change() -> None:
    message = new_request()
    assert message.to.tag is None
    assert message.to is message.to
    message.set("to", "<sip:a@b.example>;tag=2")
    assert message.to.tag == "2"
    assert isinstance(message.uri, SipUri)
    message.uri = SipUri("sip", "other", "host.example")
    assert message.uri_text == "sip:other@host.example"
    assert bytes(message).startswith(b"OPTIONS sip:other@host.example SIP/2.0\r\n")
    message.uri = "tel:+4930"
    assert isinstance(message.uri, TelUri)


def test_a_copy_is_independent() -> None:
    message = load("invite.sip")
    twin = message.copy()
    twin.set("to", "<sip:other@x>")
    twin.uri = "sip:twin@x"
    twin.body = b""
    assert message.to.uri_text == "sip:1002@demo.localhost"
    assert bytes(message) == (DATA / "invite.sip").read_bytes()
    response = Response(200)
    response_twin = response.copy()
    response_twin.set("subject", "x")
    assert not response.has("subject")
    assert (response_twin.status, response_twin.reason) == (200, "OK")


def test_lists_handed_out_may_be_changed_by_their_reader() -> None:
    message = load("invite.sip")
    message.contacts.clear()
    message.header_names().clear()
    assert len(message.contacts) == 1
    assert message.has("via")


def test_a_response_carries_the_headers_that_8_2_6_asks_for() -> None:
    request = load("compact_folded.sip")
    response = response_to(request, 486, to_tag="mine")
    assert response.start_line == "SIP/2.0 486 Busy Here"
    assert response.values("via") == request.values("via")
    assert response.cseq == request.cseq
    assert response.to.tag == "to77"
    response = response_to(load("invite.sip"), 100, to_tag="mine")
    assert response.to.tag == "mine"
    assert bytes(parse_message(bytes(response))) == bytes(response)
    assert response_to(load("invite.sip"), 299).reason == "OK"
    with pytest.raises(LocalProtocolError):
        response_to(load("invite.sip"), 200, to_tag="a b")
    with pytest.raises(LocalProtocolError):
        Response(99)


def test_mandatory_headers_that_code_forgot_are_named() -> None:
    with pytest.raises(RemoteProtocolError, match="Via is missing"):
        _ = Request("BYE", "sip:a").via
    assert Request("BYE", "sip:a").content_length is None
    assert repr(Request("BYE", "sip:a")) == "<Request BYE sip:a>"
    assert repr(Response(404)) == "<Response 404 Not Found>"


def test_a_wildcard_contact_stands_alone() -> None:
    message = new_request()
    message.set("contact", "*")
    assert message.contacts[0].is_wildcard
    assert str(message.contacts[0]) == "*"
    message.add("contact", "<sip:a@b>")
    with pytest.raises(RemoteProtocolError):
        _ = message.contacts


def test_a_flood_of_list_values_is_refused() -> None:
    message = new_request()
    message.set("contact", ",".join(["sip:a@b"] * 300))
    with pytest.raises(RemoteProtocolError) as caught:
        _ = message.contacts
    assert caught.value.status == 513


def test_a_response_takes_further_headers_in_order_and_no_line_break() -> None:
    headers = (("www-authenticate", "Digest a=1"), ("www-authenticate", "Digest b=2"))
    response = response_to(new_request(), 401, to_tag="mine", headers=headers)
    assert response.get_all("www-authenticate") == ["Digest a=1", "Digest b=2"]
    assert response.via.branch == "z9hG4bK1"
    with pytest.raises(LocalProtocolError):
        response_to(new_request(), 200, headers=(("date", "now\r\nVia: forged"),))


def test_a_stamped_via_reads_as_it_is_written() -> None:
    request = load("invite.sip")
    below = request.values("via")[1:]
    request.replace_first_value("via", "SIP/2.0/UDP [2001:db8::1];branch=z9hG4bK1;rport;x")
    request.stamp_via("192.0.2.9", 4711)
    stamped = request.via
    assert (stamped.received, stamped.rport, stamped.host) == ("192.0.2.9", 4711, "2001:db8::1")
    assert parse_message(bytes(request)).via == stamped
    assert request.values("via")[1:] == below


def test_a_husk_keeps_method_and_uri_alone() -> None:
    request = load("invite.sip")
    husk = request.husk()
    assert (husk.method, husk.uri) == (request.method, request.uri)
    assert (husk.header_names(), husk.body) == ([], b"")
    assert request.has("via")


@pytest.mark.parametrize("phrase", ["Vorübergehend".encode("latin-1"), "Vorübergehend".encode()])
def test_a_reason_phrase_is_text_whatever_a_phone_writes(phrase: bytes) -> None:
    response = parse_message(
        bytes(response_to(new_request(), 480)).replace(b"Temporarily", phrase, 1)
    )

    assert isinstance(response, Response)
    assert response.reason.startswith("Vorübergehend ")
    bytes(response).decode()


def test_what_is_added_may_be_read_from_the_same_message() -> None:
    request = new_request()
    request.extend("route", (f"<sip:{value}>" for value in (request.via.host, request.call_id)))
    assert len(request.routes) == 2

    response = response_to(request, 200, headers=(("via", str(request.via)) for _ in range(1)))
    assert len(response.values("via")) == 2
