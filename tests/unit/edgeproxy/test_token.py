"""Tokens: what is signed comes back, anything else does not."""

from base64 import urlsafe_b64decode
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.edgeproxy.routing.token import MAX_TOKEN_CHARS, Token, TokenCodec, TokenKind
from parley.sip.hop import Hop
from parley.sip.uri import SipUri, parse_uri

CODEC = TokenCodec(b"secret of all edges")
FLOW = Hop("udp", "192.0.2.7", 5060)

_hosts = st.one_of(
    st.ip_addresses().map(str), st.from_regex(r"[a-z][a-z0-9-]{0,40}\.test", fullmatch=True)
)
_hops = st.builds(
    Hop,
    st.sampled_from(["udp", "tcp", "tls", "ws", "wss", "local"]),
    _hosts,
    st.integers(0, 65535),
    st.integers(0, 2**63),
)
_tokens = st.builds(
    Token, st.sampled_from(TokenKind), _hops, st.text(max_size=40), st.text(max_size=40)
)


@given(_tokens)
def test_what_one_edge_writes_another_reads(token: Token) -> None:
    assert TokenCodec(b"secret of all edges").decode(CODEC.encode(token)) == token


def test_a_link_local_address_keeps_its_zone() -> None:
    token = Token(TokenKind.PATH, Hop("udp", "fe80::1%eth0", 5060))

    assert TokenCodec(b"secret of all edges").decode(CODEC.encode(token)) == token


@given(_tokens)
def test_token_survives_as_the_user_of_a_uri(token: Token) -> None:
    text = CODEC.encode(token)

    uri = parse_uri(f"sip:{text}@edge.test;lr")

    assert isinstance(uri, SipUri)
    assert uri.user == text


def test_a_token_tells_nothing_and_is_the_same_at_every_edge() -> None:
    token = Token(TokenKind.DIALOG, FLOW, "the-call-id", "callmanager-1")
    text = CODEC.encode(token)

    sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))

    assert text == TokenCodec(b"secret of all edges").encode(token)
    for part in (b"the-call-id", b"callmanager", ip_address(FLOW.host).packed):
        assert part not in sealed
    other = CODEC.encode(token._replace(call_id="the-call-ie"))
    assert text[:24] != other[:24]


def test_every_changed_character_is_noticed() -> None:
    text = CODEC.encode(Token(TokenKind.DIALOG, FLOW, "call", "cm-1"))

    for at, char in enumerate(text):
        other = "A" if char != "A" else "B"
        assert CODEC.decode(text[:at] + other + text[at + 1 :]) is None


def test_every_truncated_token_is_refused() -> None:
    text = CODEC.encode(Token(TokenKind.DIALOG, FLOW, "call", "cm-1"))

    assert all(CODEC.decode(text[:size]) is None for size in range(len(text)))
    assert CODEC.decode(text + "A") is None
    assert CODEC.decode(text + "=") is None


def test_token_of_another_secret_is_refused() -> None:
    text = TokenCodec(b"another secret").encode(Token(TokenKind.PATH, FLOW))

    assert CODEC.decode(text) is None


@given(st.text(max_size=200))
def test_garbage_is_refused(text: str) -> None:
    assert CODEC.decode(text) is None


def test_huge_text_is_refused_unread() -> None:
    assert CODEC.decode("A" * (MAX_TOKEN_CHARS + 1)) is None


def test_part_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="too long"):
        CODEC.encode(Token(TokenKind.DIALOG, FLOW, "x" * 256))
