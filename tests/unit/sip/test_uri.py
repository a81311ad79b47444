"""SIP, SIPS and tel URIs (RFC 3261 19.1, RFC 3966)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.uri import SipUri, TelUri, parse_uri

READ = {
    "sip:b.example": SipUri("sip", None, "b.example"),
    "SIP:Ann@B.Example": SipUri("sip", "Ann", "b.example"),
    "sips:ann:p%3Aw@b.example:5071": SipUri("sips", "ann", "b.example", 5071, password="p:w"),
    "sip:ann@[2001:db8::1]:5060": SipUri("sip", "ann", "2001:db8::1", 5060),
    "sip:a%20b%2F@h;lr;Transport=TCP": SipUri(
        "sip", "a b/", "h", None, {"lr": None, "transport": "TCP"}
    ),
    "sip:*97#@h": SipUri("sip", "*97#", "h"),
    "sip:+49;ext=1@h;user=phone": SipUri("sip", "+49;ext=1", "h", None, {"user": "phone"}),
    "sip:a?b@h?Subject=hi%20you&Priority=": SipUri(
        "sip", "a?b", "h", None, {}, {"Subject": "hi you", "Priority": ""}
    ),
    "tel:+49-30-123;ext=4": TelUri("+49-30-123", {"ext": "4"}),
    "TEL:*97;phone-context=b.example": TelUri("*97", {"phone-context": "b.example"}),
}


@pytest.mark.parametrize(("text", "expected"), READ.items())
def test_a_uri_is_read_and_written_back_with_the_same_meaning(
    text: str, expected: SipUri | TelUri
) -> None:
    uri = parse_uri(text)
    assert uri == expected
    assert parse_uri(str(uri)) == expected
    assert hash(uri) == hash(expected)
    assert uri.matches(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "sip:@h",
        "sip:a@",
        "sip:a@b@c",
        "sip:a b@h",
        "sip:a@h:0",
        "sip:a@h:65536",
        "sip:a@h:x",
        "sip:a@[::1",
        "sip:a@[1:2]",
        "sip:a@h;",
        "sip:a@h;lr;LR",
        "sip:a@h;x=",
        "sip:a@h?x",
        "sip:a@h?",
        "sip:%4@h",
        "sip:ü@h",
        "sip:a\r\n@h",
        "sip:a@h\n",
        "tel:abcx",
        "tel:+",
        "tel:--",
        "nothing",
        "http:",
    ],
)
def test_a_malformed_uri_is_a_bad_request(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_uri(text)
    assert caught.value.status == 400


@pytest.mark.parametrize("text", ["http://b.example/", "urn:service:sos", "mailto:a@b", "im:a@b"])
def test_an_unknown_scheme_has_its_own_status(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_uri(text)
    assert caught.value.status == 416


def test_a_third_colon_before_an_ipv4_part_is_not_there() -> None:
    # The grammar of RFC 3261 demands it, and it has to be tolerated (RFC 5118 4.10).
    uri = parse_uri("sip:a@[2001:db8:::192.0.2.1]:5070")
    assert str(uri) == "sip:a@[2001:db8::192.0.2.1]:5070"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("sip:%61nn@b.example;transport=TCP", "SIP:ann@B.EXAMPLE;Transport=tcp"),
        ("sip:c@b.example", "sip:c@b.example;newparam=5"),
        ("sip:c@b.example;security=on", "sip:c@b.example;newparam=5"),
        ("sip:b.example;method=REGISTER?to=sip:x", "sip:b.example;method=REGISTER?To=sip:x"),
        ("sip:a@h?x=1&y=2", "sip:a@h?y=2&x=1"),
        ("tel:+49(30)12", "TEL:+49-30-1.2"),
    ],
)
def test_equal_uris_match(one: str, two: str) -> None:
    assert parse_uri(one).matches(parse_uri(two))
    assert parse_uri(two).matches(parse_uri(one))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("sip:ann@b.example", "sip:Ann@b.example"),
        ("sip:ann@b.example", "sips:ann@b.example"),
        ("sip:ann@b.example", "sip:ann:secret@b.example"),
        ("sip:ann@b.example", "sip:ann@b.example:5060"),
        ("sip:ann@b.example", "sip:ann@b.example;transport=udp"),
        ("sip:ann@b.example", "sip:ann@b.example;user=ip"),
        ("sip:ann@b.example", "sip:ann@b.example?Subject=x"),
        ("sip:ann@b.example;x=1", "sip:ann@b.example;x=2"),
        ("sip:b.example", "tel:+4930"),
        ("tel:+4930", "tel:+4930;ext=1"),
        ("tel:+4930", "sip:+4930@b.example"),
    ],
)
def test_different_uris_do_not_match(one: str, two: str) -> None:
    assert not parse_uri(one).matches(parse_uri(two))
    assert not parse_uri(two).matches(parse_uri(one))


def test_what_must_not_stand_plainly_is_escaped() -> None:
    uri = SipUri("sip", "a@b\r\n;<", "h", params={"x": "1;2>"}, headers={"Route": "<sip:x>"})
    assert str(uri) == "sip:a%40b%0D%0A;%3C@h;x=1%3B2%3E?Route=%3Csip:x%3E"


@pytest.mark.parametrize("host", ["a b", "h>", "h;x", "", "a\r\nb"])
def test_an_illegal_host_is_never_written(host: str) -> None:
    with pytest.raises(LocalProtocolError):
        str(SipUri("sip", "a", host))


def test_an_illegal_number_or_scheme_is_never_written() -> None:
    with pytest.raises(LocalProtocolError):
        str(TelUri("+49;x"))
    with pytest.raises(LocalProtocolError):
        str(SipUri("http", "a", "h"))


def test_transport_and_loose_routing_are_read_from_the_parameters() -> None:
    uri = parse_uri("sip:h;lr;transport=TLS")
    assert isinstance(uri, SipUri)
    assert uri.is_loose_router
    assert uri.transport == "tls"
    assert SipUri("sip", None, "h").transport is None


_texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@given(
    user=st.none() | _texts,
    password=st.none() | _texts,
    port=st.none() | st.integers(1, 65535),
    params=st.dictionaries(_texts.map(str.lower).filter(lambda s: s == s.lower()), _texts),
    headers=st.dictionaries(_texts, st.text(max_size=5)),
)
def test_any_components_survive_the_way_over_the_wire(
    user: str | None,
    password: str | None,
    port: int | None,
    params: dict[str, str | None],
    headers: dict[str, str],
) -> None:
    uri = SipUri("sip", user, "h.example", port, params, headers, password if user else None)
    assert parse_uri(str(uri)) == uri
