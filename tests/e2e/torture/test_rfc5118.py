"""RFC 5118, all of it: IPv6 addresses where messages hold addresses."""

import hashlib
import re
from typing import Final

import pytest
from tests.e2e.torture.case import TRANSPORTS, Case, check, messages
from tests.e2e.torture.conftest import MakePeer

from parley.testkit.phones.raw_phone import RawPhone

MESSAGES: Final = messages("rfc5118")
_ANY: Final = "well-formed, treat as any other"

CASES: Final = {
    "ipv6-good": Case("4.1", 401, _ANY),
    "ipv6-bad": Case("4.2", 400, "400"),
    "port-ambiguous": Case("4.3", 401, "well-formed, though it does not mean what was meant"),
    "port-unambiguous": Case("4.4", 401, _ANY),
    "via-received-param-with-delim": Case("4.5", 481, "to be accepted; a BYE of nobody's dialog"),
    "via-received-param-no-delim": Case("4.5", 200, "to be accepted; OPTIONS to the server itself"),
    "ipv6-in-sdp": Case("4.6", 407, _ANY),
    "mult-ip-in-header": Case("4.7", 481, "well-formed; a BYE of nobody's dialog", port=6050),
    "mult-ip-in-sdp": Case("4.8", 407, _ANY),
    "ipv4-mapped-ipv6": Case("4.9", 407, _ANY, port=19823),
    "ipv6-bug-abnf-3-colons": Case("4.10", 407, "must be tolerated"),
    "ipv6-correct-abnf-2-colons": Case("4.10", 407, _ANY),
}
LENGTHS: Final = {
    "ipv6-in-sdp": Case("4.6", 400, "the body is shorter than its length (RFC 3261 18.3)"),
    "mult-ip-in-sdp": Case("4.8", 407, "what exceeds the length is cut off"),
    "ipv4-mapped-ipv6": Case("4.9", 407, "what exceeds the length is cut off", port=19823),
}


def with_true_length(data: bytes) -> bytes:
    """A message with the length of its body: those that the RFC gives fit no line ends at all."""
    length = len(data.partition(b"\r\n\r\n")[2])
    return re.sub(rb"(Content-Length: )\d+", rb"\g<1>%d" % length, data)


def test_no_message_is_left_out() -> None:
    assert MESSAGES.keys() == CASES.keys()
    assert len(CASES) == 12


def test_no_editor_has_touched_the_messages() -> None:
    digest = hashlib.sha256(b"".join(MESSAGES.values())).hexdigest()
    assert digest == "a297a44e42b0c93228924d4fdef0aa8f7c08fc5b173c5b6637615f7594d7356a"


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", CASES)
def test_each_message_gets_its_answer(
    make_peer: MakePeer, stranger: RawPhone, name: str, transport: str
) -> None:
    check(CASES[name], with_true_length(MESSAGES[name]), transport, make_peer, stranger)


@pytest.mark.parametrize("name", LENGTHS)
def test_the_lengths_that_the_rfc_gives_are_taken_at_their_word(
    make_peer: MakePeer, stranger: RawPhone, name: str
) -> None:
    check(LENGTHS[name], MESSAGES[name], "udp", make_peer, stranger)
