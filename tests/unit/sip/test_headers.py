"""Typed header values: Via, name-addr, CSeq, authentication, lists."""

import pytest

from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.headers import (
    AuthParams,
    CSeq,
    NameAddr,
    Via,
    parse_auth_params,
    parse_name_addr,
    parse_via,
    unquote,
)
from parley.sip.hop import Hop
from parley.sip.message import Request
from parley.sip.uri import SipUri


def headed(name: str, value: str) -> Request:
    """A request with one header."""
    request = Request("OPTIONS", "sip:a")
    request.add(name, value)
    return request


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SIP/2.0/UDP h;branch=z9hG4bK1", Via("udp", "h", None, {"branch": "z9hG4bK1"})),
        ("sip / 2.0 / TLS h : 5061 ; rport", Via("tls", "h", 5061, {"rport": None})),
        ("SIP/2.0/TCP [::1]:5060", Via("tcp", "::1", 5060)),
        ("SIP/2.0/WSS x.invalid;Branch=a==", Via("wss", "x.invalid", None, {"branch": "a=="})),
    ],
)
def test_a_via_is_read_and_written(text: str, expected: Via) -> None:
    assert parse_via(text) == expected
    assert parse_via(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/2.0 h",
        "SIP/2.0/UDP h:x",
        "SIP/2.0/UDP h:99999",
        "SIP/2.0/UDP h h2",
        "SIP/2.0/UDP h;",
        "SIP/2.0/UDP h;branch=a b",
        "SIP/2.0/UDP h;branch=a;branch=b",
        'SIP/2.0/UDP h;x="a',
        "SIP/2.0/UDP h;b(=1",
        "SIP/2.0/UDP <h>",
    ],
)
def test_a_malformed_via_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_via(text)


def _stamped(via: str, host: str, port: int) -> Request:
    request = Request("OPTIONS", "sip:b.example")
    request.add("via", via)
    request.stamp_via(host, port)
    return request


def test_a_server_stamps_where_a_via_came_from() -> None:
    plain = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1"
    assert _stamped(plain, "192.0.2.1", 5060).get("via") == plain
    assert _stamped(plain, "192.0.2.9", 1024).get("via") == f"{plain};received=192.0.2.9"
    asking = _stamped("SIP/2.0/UDP 192.0.2.1;rport;branch=z9hG4bK1", "192.0.2.1", 4711)
    assert asking.get("via") == (
        "SIP/2.0/UDP 192.0.2.1;rport=4711;branch=z9hG4bK1;received=192.0.2.1"
    )
    assert (asking.via.received, asking.via.rport) == ("192.0.2.1", 4711)
    ipv6 = _stamped("SIP/2.0/udp [2001:db8::1]:5060, SIP/2.0/UDP h", "2001:db8::2", 5060)
    assert ipv6.values("via") == [
        "SIP/2.0/UDP [2001:db8::1]:5060;received=2001:db8::2",
        "SIP/2.0/UDP h",
    ]


def test_a_client_cannot_forge_received_or_rport() -> None:
    via = "SIP/2.0/UDP 192.0.2.1;Received=10.0.0.1;rport=1;branch=z9hG4bK1"
    stamped = _stamped(via, "192.0.2.1", 4711).via
    assert (stamped.received, stamped.rport) == ("192.0.2.1", 4711)


def test_what_was_read_of_a_via_before_it_was_stamped_is_read_again() -> None:
    request = Request("OPTIONS", "sip:b.example")
    request.add("via", "SIP/2.0/UDP 192.0.2.1;rport")
    assert request.wants_rport
    assert request.via.received is None
    request.stamp_via("192.0.2.9", 4711)
    assert request.via.received == "192.0.2.9"


def test_sent_by_has_the_default_port_of_its_transport() -> None:
    assert parse_via("SIP/2.0/TLS h").sent_by_port == 5061
    assert parse_via("SIP/2.0/UDP h").sent_by_port == 5060
    assert parse_via("SIP/2.0/UDP h:5070").sent_by_port == 5070
    with pytest.raises(RemoteProtocolError):
        _ = parse_via("SIP/2.0/UDP h;rport=70000").rport
    with pytest.raises(LocalProtocolError):
        str(Via("udp", "a b"))


@pytest.mark.parametrize(
    ("text", "name", "uri", "params"),
    [
        ("<sip:a@b>", "", "sip:a@b", {}),
        ("sip:a@b;tag=1", "", "sip:a@b", {"tag": "1"}),
        ("Ann Example <sip:a@b>;tag=1", "Ann Example", "sip:a@b", {"tag": "1"}),
        ('"Ann <x>, \\"B\\"" <sip:a@b;lr> ; q=0.5', 'Ann <x>, "B"', "sip:a@b;lr", {"q": "0.5"}),
        ('""<sip:a@b>', "", "sip:a@b", {}),
        ('<sip:a@b>;+sip.instance="<urn:x>"', "", "sip:a@b", {"+sip.instance": '"<urn:x>"'}),
        ("<sip:a@b>;expires=60;ob", "", "sip:a@b", {"expires": "60", "ob": None}),
    ],
)
def test_a_name_addr_is_read_and_written(
    text: str, name: str, uri: str, params: dict[str, str | None]
) -> None:
    address = parse_name_addr(text)
    assert (address.display_name, address.uri_text, address.params) == (name, uri, params)
    assert parse_name_addr(str(address)) == address
    assert hash(address) == hash(parse_name_addr(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<>",
        "<sip:a@b",
        "sip:a@b>",
        "<sip:a b>",
        '"a <sip:a@b>',
        '"a" b <sip:a@b>',
        "a@b <sip:x>",
        "<sip:a@b>x",
        "<sip:a@b> ;",
        "<sip:a@b>;tag=<",
        "sip:a@b,sip:c@d",
        "<<sip:a@b>>",
        ";tag=1",
    ],
)
def test_a_malformed_name_addr_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_name_addr(text)


@pytest.mark.parametrize("text", ["<isbn:2983792873>", "<http://b.example>", "name:John_Smith"])
def test_an_unknown_scheme_in_a_header_is_a_bad_request(text: str) -> None:
    # 416 is about the Request-URI (RFC 3261 21.4.14).
    with pytest.raises(RemoteProtocolError) as caught:
        _ = parse_name_addr(text).uri
    assert caught.value.status == 400


def test_a_name_addr_is_made_from_parts() -> None:
    uri = SipUri("sip", "a", "b")
    address = NameAddr(uri, 'An "A"', {"tag": "1"})
    assert str(address) == '"An \\"A\\"" <sip:a@b>;tag=1'
    assert address.uri is uri
    changed = address.with_params({"x": '"<y>"'})
    assert (changed.uri, changed.get_param("x"), changed.get_param("z")) == (uri, "<y>", None)
    assert address.params == {"tag": "1"}
    assert address != changed
    assert address != "text"
    assert "sip:a@b" in repr(address)


@pytest.mark.parametrize(
    "address",
    [
        NameAddr("sip:a@b", "x\r\nVia: y"),
        NameAddr("sip:a@b>;x=<"),
        NameAddr("sip:a@b", params={"x": "1;y"}),
        NameAddr("sip:a@b", params={"x": '"open'}),
        NameAddr("sip:a@b", params={"x;y": "1"}),
    ],
)
def test_a_name_addr_that_would_break_the_line_is_never_written(address: NameAddr) -> None:
    with pytest.raises(LocalProtocolError):
        str(address)


def test_a_cseq_is_read_and_written() -> None:
    assert headed("cseq", "2147483647 INVITE").cseq == CSeq(2147483647, "INVITE")
    assert headed("cseq", "1\t  Odd-Method").cseq == CSeq(1, "Odd-Method")
    assert str(CSeq(1, "BYE")) == "1 BYE"
    for text in ("", "1", "INVITE", "1INVITE", "1 IN VITE", "-1 BYE", "2147483648 BYE", "1 "):
        with pytest.raises(RemoteProtocolError):
            _ = headed("cseq", text).cseq


def test_authentication_parameters_are_read_and_written() -> None:
    auth = parse_auth_params('Digest realm="a, \\"b\\"",nonce = "x" , QOP=auth, nc=00000001')
    assert auth.params == {"realm": 'a, "b"', "nonce": "x", "qop": "auth", "nc": "00000001"}
    assert str(auth) == 'Digest realm="a, \\"b\\"", nonce="x", qop=auth, nc=00000001'
    assert parse_auth_params(str(auth)) == auth
    assert str(AuthParams("Digest", {"qop": "auth"}, is_challenge=True)) == 'Digest qop="auth"'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Digest",
        "Digest ",
        "Digest a",
        "Digest a=",
        'Digest a="x',
        "Digest a=1 b=2",
        "Digest a=1,A=2",
    ],
)
def test_malformed_authentication_parameters_are_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_auth_params(text)


@pytest.mark.parametrize("params", [{"a\r\n": "1"}, {"a": "1\r\n"}, {"nc": "a b"}])
def test_authentication_parameters_cannot_break_the_line(params: dict[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        str(AuthParams("Digest", params))


def test_lists_are_split_outside_quotes_and_brackets() -> None:
    def split(text: str) -> list[str]:
        return headed("contact", text).values("contact")

    assert split('"a, b" <sip:x,y@h>;p="1,2", <sip:z@h> ,, c') == [
        '"a, b" <sip:x,y@h>;p="1,2"',
        "<sip:z@h>",
        "c",
    ]
    assert split("a, b,,c,") == ["a", "b", "c"]
    assert split("") == []
    for text in ('a, "b', "a, <b", 'a, "\\"'):
        with pytest.raises(RemoteProtocolError):
            split(text)


def test_quotes_and_escapes_come_off() -> None:
    assert unquote('"a\\"b\\\\c"') == 'a"b\\c'
    assert unquote("plain") == "plain"
    assert unquote('"') == '"'


def test_all_transports_but_udp_are_reliable() -> None:
    assert not Hop("udp", "h", 5060).is_reliable
    assert Hop("local", "h", 0).is_reliable
    assert Hop("tcp", "h", 5060).flow == 0


def test_lines_of_several_names_are_read_in_one_go() -> None:
    lines = Request("OPTIONS", "sip:a")
    for name, value in (("via", "one"), ("to", "<sip:b>"), ("via", "two"), ("subject", "hello")):
        lines.add(name, value)

    assert lines.pairs({"via", "subject", "cseq"}) == [
        ("via", "one"),
        ("via", "two"),
        ("subject", "hello"),
    ]
