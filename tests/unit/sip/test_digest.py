"""Digest authentication (RFC 3261 22, RFC 7616, RFC 8760), both sides."""

import hashlib

import pytest

from parley.sip.digest import (
    Credentials,
    authorization,
    challenge_headers,
    choose_challenge,
    find_credentials,
    ha1,
    parse_challenge,
    parse_credentials,
    verify,
)
from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.message import Request

REALM = "demo.localhost"
BASE = 'username="u", realm="r", nonce="n", uri="x", response="0"'
HASHES = {name: ha1("1001", REALM, "secret", name) for name in ("MD5", "SHA-256")}


def register() -> Request:
    return Request("REGISTER", "sip:demo.localhost")


def answer(algorithm: str, password: str = "secret") -> Credentials:
    request = register()
    challenge = choose_challenge(challenge_headers(REALM, "n1", algorithms=[algorithm]))
    assert challenge is not None
    request.set("authorization", authorization(challenge, request, "1001", password, "cn", 2))
    credentials = find_credentials(request, "authorization", REALM)
    assert credentials is not None
    return credentials


def test_challenges_are_in_order_of_preference() -> None:
    assert challenge_headers(REALM, "n1", stale=True) == [
        'Digest realm="demo.localhost", nonce="n1", stale=true, algorithm=SHA-256, qop="auth"',
        'Digest realm="demo.localhost", nonce="n1", stale=true, algorithm=MD5, qop="auth"',
    ]
    assert "stale" not in challenge_headers(REALM, "n1")[0]


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_the_right_password_is_proved(algorithm: str) -> None:
    credentials = answer(algorithm)
    assert (credentials.username, credentials.count) == ("1001", 2)
    assert verify(credentials, "REGISTER", HASHES)
    assert not verify(credentials, "INVITE", HASHES)
    assert not verify(answer(algorithm, "wrong"), "REGISTER", HASHES)


def test_the_response_is_the_one_of_the_rfc_formula() -> None:
    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    expected = md5(
        f"{md5('1001:demo.localhost:secret')}:n1:00000002:cn:auth:"
        f"{md5('REGISTER:sip:demo.localhost')}"
    )
    assert answer("MD5").response == expected


def test_an_algorithm_that_was_not_offered_is_refused() -> None:
    assert not verify(answer("MD5"), "REGISTER", {"SHA-256": HASHES["SHA-256"]})
    strange = parse_credentials(
        'Digest username="u", realm="r", nonce="n", uri="sip:x", response="0", algorithm=MD5-sess'
    )
    assert not verify(strange, "REGISTER", HASHES | {"MD5-SESS": "0"})


def test_credentials_without_qop_prove_nothing() -> None:
    secret = HASHES["MD5"]
    a2 = hashlib.md5(b"REGISTER:sip:x", usedforsecurity=False).hexdigest()
    response = hashlib.md5(f"{secret}:n:{a2}".encode(), usedforsecurity=False).hexdigest()
    credentials = Credentials("1001", REALM, "n", "sip:x", response)
    assert credentials.count == 0
    assert not verify(credentials, "REGISTER", HASHES)


def written(qop: str, a2: str) -> Credentials:
    """Right credentials of INVITE sip:x, in upper-case hex."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    response = md5(f"{HASHES['MD5']}:n:0000000A:c:{qop}:{md5(a2)}").upper()
    return parse_credentials(
        f'Digest username="1001", realm="{REALM}", nonce="n", uri="sip:x", response="{response}",'
        f' cnonce="c", nc=0000000A, qop={qop}'
    )


def test_upper_case_hex_is_understood() -> None:
    credentials = written("auth", "INVITE:sip:x")
    assert credentials.count == 10
    assert verify(credentials, "INVITE", HASHES)


def test_integrity_of_the_body_was_not_offered_and_is_refused() -> None:
    of_no_body = hashlib.md5(b"", usedforsecurity=False).hexdigest()
    assert not verify(written("auth-int", f"INVITE:sip:x:{of_no_body}"), "INVITE", HASHES)


def test_a_response_outside_ascii_is_wrong_not_an_error() -> None:
    credentials = parse_credentials(
        'Digest username="1001", realm="r", nonce="n", uri="sip:x", response="ü",'
        ' cnonce="c", nc=00000001, qop=auth'
    )
    assert not verify(credentials, "INVITE", HASHES)


def test_credentials_are_found_by_realm() -> None:
    request = register()
    base = 'username="u", nonce="n", uri="sip:x", response="0"'
    request.add("proxy-authorization", "Bearer abc")
    request.add("proxy-authorization", f'Digest realm="other", {base}')
    request.add("proxy-authorization", f'digest realm="{REALM}", {base}')
    credentials = find_credentials(request, "proxy-authorization", REALM)
    assert credentials is not None
    assert credentials.realm == REALM
    assert find_credentials(request, "proxy-authorization", "none") is None
    assert find_credentials(request, "authorization", REALM) is None


@pytest.mark.parametrize(
    "text",
    [
        'Basic username="u"',
        'Digest username="u"',
        f"Digest {BASE}, qop=auth",
        f'Digest {BASE}, qop=auth, nc=1, cnonce="c"',
        f'Digest {BASE}, qop=auth, nc=0000000g, cnonce="c"',
        f"Digest {BASE}, qop=auth, nc=00000001",
    ],
)
def test_malformed_credentials_are_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_credentials(text)


def test_a_client_takes_the_first_challenge_it_can_answer() -> None:
    values = [
        "Bearer realm=x",
        'Digest realm="r", nonce="1", algorithm=SHA-512-256, qop="auth"',
        'Digest realm="r", nonce="2", qop="auth-int"',
        'Digest realm="r", nonce="3", qop="auth-int, auth", opaque="o", stale=TRUE',
        'Digest realm="r", nonce="4"',
    ]
    challenge = choose_challenge(values)
    assert challenge is not None
    assert (challenge.nonce, challenge.is_stale) == ("3", True)
    value = authorization(challenge, register(), "u", "p", "c")
    assert 'opaque="o"' in value
    assert "nc=00000001" in value
    old = choose_challenge(values[4:])
    assert old is not None
    assert "qop" not in authorization(old, register(), "u", "p", "c")
    assert choose_challenge(values[:3]) is None


def test_a_challenge_needs_realm_and_nonce() -> None:
    for text in ('Digest realm="r"', 'Digest nonce="n"', 'Digest realm="r", nonce=""'):
        with pytest.raises(RemoteProtocolError):
            parse_challenge(text)


def test_our_own_mistakes_are_local_errors() -> None:
    with pytest.raises(LocalProtocolError):
        ha1("u", "r", "p", "SHA-1")
    challenge = parse_challenge('Digest realm="r", nonce="n", qop="auth"')
    with pytest.raises(LocalProtocolError):
        authorization(challenge, register(), "u", "p", "c", 0)
    with pytest.raises(LocalProtocolError):
        authorization(challenge, register(), "u\r\nX: y", "p", "c")


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize("username", ["u", "u\\u", ""])
def test_odd_spelling_changes_no_credentials(blank: str, username: str) -> None:
    rest = f'realm{blank}="r, s",nonce="n=",uri="sip:x;y",Response=0aF'
    credentials = parse_credentials(f'Digest  USERNAME="{username}", {rest}')
    assert credentials.username == username.replace("\\", "")
    assert (credentials.realm, credentials.nonce) == ("r, s", "n=")
    assert (credentials.uri, credentials.response) == ("sip:x;y", "0af")


@pytest.mark.parametrize("blank", ["", " "])
def test_a_parameter_that_occurs_twice_is_refused(blank: str) -> None:
    with pytest.raises(RemoteProtocolError, match="twice"):
        parse_credentials(f'Digest {BASE}, realm{blank}="other"')
