"""RFC 4475, all of it: the table says what the RFC has to say, the test what the edge does.

A stranger sends everything. What is well-formed is asked who it is (401, 407), for these domains
are the tenant's; what an edge refuses whoever asks for it is refused (416, 420, 481, 483); what is
malformed is a bad request.
"""

import hashlib
from typing import Final

import pytest
from tests.e2e.torture.case import TRANSPORTS, Case, check, messages
from tests.e2e.torture.conftest import Account, MakePeer
from tests.e2e.torture.peer import CLOSED

from parley.sip.message import Request, parse_message
from parley.testkit.phones.raw_phone import RawPhone
from parley.testkit.platform.running import Platform

MESSAGES: Final = messages("rfc4475")
_ANY: Final = "well-formed, treat as any other"
_DROP: Final = "a response that nobody waits for; discard it"

CASES: Final = {
    "wsinv": Case("3.1.1.1", 481, "well-formed; its To tag names a dialog that is nobody's"),
    "intmeth": Case("3.1.1.2", 407, "well-formed; 501 at the end, of whoever serves it"),
    "esc01": Case("3.1.1.3", 407, _ANY),
    "escnull": Case("3.1.1.4", 401, "well-formed, two contacts of a user with a NUL in it"),
    "esc02": Case("3.1.1.5", 407, "well-formed, and no REGISTER: that would get 401"),
    "lwsdisp": Case("3.1.1.6", 407, "to be accepted, though the grammar forbids it"),
    "longreq": Case("3.1.1.7", 407, _ANY),
    "dblreq": Case(
        "3.1.1.8",
        401,
        "in a datagram, what follows the REGISTER is noise; in a stream it is an INVITE, whose"
        " body is longer than it says: the rest begins no message",
        tcp=(401, 407, CLOSED),
    ),
    "semiuri": Case("3.1.1.9", 407, _ANY),
    "transports": Case("3.1.1.10", 407, "well-formed, whatever the further Vias say"),
    "mpart01": Case("3.1.1.11", 407, _ANY, port=5070),
    "unreason": Case("3.1.1.12", None, f"well-formed; {_DROP}"),
    "noreason": Case("3.1.1.13", None, f"well-formed; {_DROP}"),
    "badinv01": Case("3.1.2.1", 400, "400", stamp=False),
    "clerr": Case(
        "3.1.2.2", 400, "400 by UDP; by TCP wait for the rest", tcp=(407,), rest=b"." * 9845
    ),
    "ncl": Case("3.1.2.3", 400, "an error; a stream cannot go on", tcp=(400, CLOSED)),
    "scalar02": Case("3.1.2.4", 400, "400, for the CSeq"),
    "scalarlg": Case("3.1.2.5", None, "discard it"),
    "quotbal": Case("3.1.2.6", 400, "400, or infer the quote", port=5050),
    "ltgtruri": Case("3.1.2.7", 400, "400, or ignore the brackets"),
    "lwsruri": Case("3.1.2.8", 400, "400"),
    "lwsstart": Case("3.1.2.9", 400, "malformed, or ignore the blanks"),
    "trws": Case("3.1.2.10", 400, "malformed, or ignore the blanks"),
    "escruri": Case("3.1.2.11", 407, "400, or ignore the escaped headers"),
    "baddate": Case("3.1.2.12", 407, "should not be rejected by who needs no Date"),
    "regbadct": Case("3.1.2.13", 401, "400, once it is known who asks"),
    "badaspec": Case("3.1.2.14", 400, "400, or ignore the blanks"),
    "baddn": Case(
        "3.1.2.15",
        400,
        "400, or infer the quotes; the archive's copy lacks the empty line, too",
        rest=b"\r\n",
    ),
    "badvers": Case("3.1.2.16", 505, "505", stamp=False),
    "mismatch01": Case("3.1.2.17", 400, "400"),
    "mismatch02": Case("3.1.2.18", 400, "501, 400 is acceptable"),
    "bigcode": Case("3.1.2.19", None, "drop it"),
    "badbranch": Case("3.2.1", 407, "400, or find the transaction as RFC 2543 does"),
    "insuf": Case("3.3.1", 400, "400"),
    "unkscm": Case("3.3.2", 416, "416"),
    "novelsc": Case("3.3.3", 416, "416"),
    "unksm2": Case("3.3.4", 400, "400 of a registrar, for the To"),
    "bext01": Case("3.3.5", 420, "420 with everything that is not supported", port=5061),
    "invut": Case("3.3.6", 407, "415 of a phone; a proxy treats it as any other"),
    "regaut01": Case("3.3.7", 401, "challenge it, as without credentials"),
    "multi01": Case("3.3.8", 400, "400"),
    "mcl01": Case("3.3.9", 400, "400; a stream cannot go on", tcp=(400, CLOSED)),
    "bcast": Case("3.3.10", None, "must not be sent on; discard it"),
    "zeromf": Case("3.3.11", 483, "483 of a proxy"),
    "cparam01": Case("3.3.12", 401, _ANY),
    "cparam02": Case("3.3.13", 401, _ANY),
    "regescrt": Case("3.3.14", 401, _ANY),
    "sdp01": Case("3.3.15", 407, "406 of a phone; a proxy treats it as any other"),
    "inv2543": Case(
        "3.4.1",
        407,
        "to be accepted; in a stream it would say its length (RFC 3261 20.14)",
        tcp=(400, CLOSED),
    ),
}


def test_no_message_is_left_out() -> None:
    assert MESSAGES.keys() == CASES.keys()
    assert len({case.section for case in CASES.values()}) == len(CASES) == 49


def test_no_editor_has_touched_the_messages() -> None:
    digest = hashlib.sha256(b"".join(MESSAGES.values())).hexdigest()
    assert digest == "c130abdedde20f53b7f1c70181dc8fc115afd568a12977d7db3d597f39a21378"


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", CASES)
def test_each_message_gets_its_answer(
    make_peer: MakePeer, stranger: RawPhone, name: str, transport: str
) -> None:
    check(CASES[name], MESSAGES[name], transport, make_peer, stranger)


def test_all_extensions_that_are_not_supported_are_named(make_peer: MakePeer) -> None:
    peer = make_peer("tcp", 0)
    peer.send(MESSAGES["bext01"])
    assert peer.hear(1) == [420]
    names = b"noProxiesSupportThis norDoAnyProxiesSupportThis nothingSupportsThis"
    for name in (*names.split(), b"nothingSupportsThisEither"):
        assert name in peer.answers[0].partition(b"\r\nUnsupported: ")[2].partition(b"\r\n")[0]


REGISTRATIONS: Final = {
    "dblreq": ("j.user", 200, "sip:j.user@host.example.com"),
    "regaut01": ("j.user", 200, ""),
    # A parameter of the header is none of the URI, and the other way round.
    "cparam01": ("watson", 200, "sip:+19725552222@gw1.example.net"),
    "cparam02": ("watson", 200, "sip:+19725552222@gw1.example.net;unknownparam"),
    "regescrt": ("user", 200, "sip:user@example.com?Route=%3Csip:sip.example.com%3E"),
    "regbadct": ("user", 400, ""),
}


@pytest.mark.parametrize("name", REGISTRATIONS)
def test_registrations_of_those_who_prove_who_they_are(
    platform: Platform, account: Account, name: str
) -> None:
    user, status, contact = REGISTRATIONS[name]
    with RawPhone(account(user), platform.demo.sip) as phone:
        request = parse_message(MESSAGES[name])
        assert isinstance(request, Request)
        request.set("via", f"SIP/2.0/UDP {phone.address};branch=z9hG4bK{name};rport")
        response = phone.transact_authorized(request)
        assert response.status == status
        assert not contact or [one.uri_text for one in response.contacts] == [contact]
