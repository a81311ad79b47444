"""Bodies that hold more than a description, or one that cannot be carried."""

from collections.abc import AsyncIterator

import pytest

from parley.testkit.phones.raw_phone import RawPhone
from parley.testkit.platform.desk import Desk

_ECHO = "999"


def mixed(description: bytes) -> bytes:
    return (
        b"--b1\r\nContent-Type: application/x-location\r\n"
        b"Content-Disposition: by-reference;handling=optional\r\n\r\nhere\r\n"
        b"--b1\r\nContent-Type: application/sdp\r\n\r\n" + description + b"\r\n--b1--\r\n"
    )


@pytest.fixture
async def caller(desk: Desk) -> AsyncIterator[RawPhone]:
    [line] = await desk.lines(1)
    with RawPhone(line, desk.platform.demo.sip) as phone:
        yield phone


async def test_a_description_among_other_parts_reaches_the_phone_alone(
    desk: Desk, caller: RawPhone
) -> None:
    [line] = await desk.lines(1)
    with RawPhone(line, desk.platform.demo.sip) as callee:
        callee.register()
        invite = caller.request("INVITE", line.number, mixed(caller.description()))
        invite.set("content-type", "multipart/mixed;boundary=b1")
        invite = caller.authorized(invite)
        caller.send(invite)
        offered = callee.expect("INVITE")
        callee.respond(offered, 486)
        assert caller.final_of(invite).status == 486
    assert offered.content_type == "application/sdp"
    assert offered.body.startswith(b"v=0\r\n")
    assert b"here" not in offered.body


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"RTP/AVP", b"UDP/TLS/RTP/SAVPF", "302"),
        (b"audio 40000 RTP/AVP 8", b"image 40000 udptl t38", "302"),
        (b"IN IP4 127.0.0.1\r\nt=", b"IN IP6 ::1\r\nt=", "301"),
        (b"IN IP4 127.0.0.1\r\nt=", b"IN IP4 phone.example.com\r\nt=", "301"),
        (b"IN IP4 127.0.0.1\r\nt=", b"IN IP4 233.252.0.1/127\r\nt=", "330"),
    ],
)
async def test_an_offer_that_cannot_be_carried_is_not_acceptable_here(
    caller: RawPhone, old: bytes, new: bytes, code: str
) -> None:
    offer = caller.description()
    assert old in offer
    answer = caller.transact_authorized(caller.request("INVITE", _ECHO, offer.replace(old, new)))
    assert answer.status == 488
    assert (answer.get("warning") or "").startswith(f"{code} ")


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("content-encoding", "gzip", ("accept-encoding", "identity")),
        ("content-type", "text/plain", ("accept", "application/sdp")),
    ],
)
async def test_a_body_in_an_unknown_form_is_refused_with_what_is_taken(
    caller: RawPhone, name: str, value: str, taken: tuple[str, str]
) -> None:
    invite = caller.request("INVITE", _ECHO, caller.description())
    invite.set(name, value)
    answer = caller.transact_authorized(invite)
    assert answer.status == 415
    assert taken[1] in (answer.get(taken[0]) or "")
