import base64

import pytest

from parley.sdp import SdpError
from parley.sdp.crypto import Crypto, Suite, answered, choose, parse_crypto

# RFC 4568 4 and 9.2.
RFC_LINE = "1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20|1:32"
INLINE = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"
USUAL = f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}"


def crypto(tag: int, suite: Suite) -> Crypto:
    return Crypto(tag, suite, bytes(range(suite.key_bytes)), bytes(range(suite.salt_bytes)))


def test_a_line_tells_tag_suite_key_and_salt() -> None:
    octets = base64.b64decode(INLINE)
    line = Crypto(1, Suite.AES_CM_128_HMAC_SHA1_80, octets[:16], octets[16:])
    assert parse_crypto(f"{USUAL}|2^20") == line
    assert line.write() == USUAL


@pytest.mark.parametrize("suite", Suite)
def test_what_is_written_is_read_again(suite: Suite) -> None:
    line = crypto(7, suite)
    assert parse_crypto(line.write()) == line


@pytest.mark.parametrize(
    "line",
    [
        RFC_LINE,
        f"1 F8_128_HMAC_SHA1_80 inline:{INLINE}",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE};inline:{INLINE}",
        f"{USUAL} UNENCRYPTED_SRTP",
        f"{USUAL} KDR=1",
        f"{USUAL} FEC_ORDER=FEC_SRTP",
        "1 AES_CM_128_HMAC_SHA1_80 uri:https://example.com/key",
    ],
)
def test_a_legal_line_that_is_not_for_us_is_passed_over(line: str) -> None:
    assert parse_crypto(line) is None
    assert choose([line, USUAL]) == parse_crypto(USUAL)


@pytest.mark.parametrize("parameter", ["WSH=128", "-anything"])
def test_a_hint_does_no_harm(parameter: str) -> None:
    assert parse_crypto(f"{USUAL} {parameter}") == parse_crypto(USUAL)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "1",
        "1 AES_CM_128_HMAC_SHA1_80",
        f"x AES_CM_128_HMAC_SHA1_80 inline:{INLINE}",
        f"١ AES_CM_128_HMAC_SHA1_80 inline:{INLINE}",
        f"1234567890 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}",
        "1 AES_CM_128_HMAC_SHA1_80 inline",
        "1 AES_CM_128_HMAC_SHA1_80 inline:",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE[:-4]}",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}AAAA",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE[:-1]}!",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{'A' * 600}",
    ],
)
def test_a_malformed_line_is_an_error(line: str) -> None:
    with pytest.raises(SdpError):
        parse_crypto(line)


def test_the_offerer_s_order_counts() -> None:
    lines = [crypto(n, suite).write() for n, suite in enumerate(reversed(Suite))]
    chosen = choose(["9 UNKNOWN inline:x", *lines])
    assert chosen == crypto(0, Suite.AEAD_AES_256_GCM)
    assert choose([]) is None


def test_an_answer_names_the_line_that_it_chose() -> None:
    offered = [crypto(n, suite) for n, suite in enumerate(Suite)]
    answer = Crypto(3, Suite.AES_256_CM_HMAC_SHA1_32, bytes(32), bytes(14))
    assert answered(offered, [answer.write()]) == (offered[3], answer)
    assert answered(offered, []) is None


@pytest.mark.parametrize(
    "lines",
    [
        [crypto(2, Suite.AES_CM_128_HMAC_SHA1_80).write()],
        [crypto(9, Suite.AES_CM_128_HMAC_SHA1_80).write()],
        [USUAL, USUAL],
    ],
    ids=["another suite", "another tag", "two"],
)
def test_an_answer_that_chose_what_was_not_offered_is_an_error(lines: list[str]) -> None:
    offered = [crypto(n, suite) for n, suite in enumerate(Suite)]
    with pytest.raises(SdpError):
        answered(offered, lines)


def test_no_key_is_told_by_accident() -> None:
    line = Crypto(1, Suite.AES_CM_128_HMAC_SHA1_80, b"k" * 16, b"s" * 14)
    for text in (repr(line), str(line), f"{[line]}"):
        assert "kkk" not in text and "sss" not in text
