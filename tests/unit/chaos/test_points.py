"""The witnesses of the points see what is wrong, and how far a message has come."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from tests.chaos.points.case import Case, NotThere
from tests.chaos.points.judge import check_records
from tests.chaos.points.unread import has_arrived, unread_bytes
from tests.chaos.r03_points import TITLES, _figure

from parley.testkit.farm.call import CallFailed, FarmCall
from parley.testkit.farm.manners import Held, Step


def phone() -> Any:
    return SimpleNamespace(
        host="127.0.0.1",
        withheld=set(),
        has_media=False,
        outgoing=[],
        incoming=[],
        release=lambda call: None,
    )


def case_at(point: int) -> Case:
    case = Case(point, phone(), phone())
    for side, calls in ((case.caller, case.caller.outgoing), (case.callee, case.callee.incoming)):
        call = FarmCall(side, "call-1@farm", None)
        call.started, call.answered, call.ended = 100.0, 102.0, 105.0
        calls.append(call)
    return case


def record(**changes: str | None) -> dict[str, Any]:
    times = {
        "started_at": "2026-01-01T00:00:00+00:00",
        "answered_at": "2026-01-01T00:00:02+00:00",
        "ended_at": "2026-01-01T00:00:05+00:00",
    }
    return {
        **times,
        **changes,
        "termination": {"result": "answered"},
        "legs": [{"leg": "a", "sip_call_id": "call-1@farm"}],
    }


class Api:
    """A REST API that has these CDRs."""

    tenant_path = "/tenant"

    def __init__(self, *records: dict[str, Any]) -> None:
        self._records = records

    async def get(self, path: str, **parameters: str) -> dict[str, Any]:
        return {"items": list(self._records), "next": None}


def sdp(version: int, port: int = 4000, session: str = "7") -> bytes:
    return (
        f"v=0\r\no=- {session} {version} IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n"
        f"t=0 0\r\nm=audio {port} RTP/AVP 8\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ((record(),), []),
        ((record(), record()), ["2 CDRs"]),
        ((record(answered_at="2026-01-01T00:00:04+00:00"),), ["CDR says answered at 4.0 s"]),
        ((record(answered_at=None),), ["CDR says answered at None s"]),
        ((record(ended_at="2026-01-01T00:00:09+00:00"),), ["CDR says ended at 9.0 s"]),
    ],
)
async def test_a_cdr_must_be_there_once_with_the_times_of_the_phones(
    records: tuple[dict[str, Any], ...], words: list[str]
) -> None:
    case = case_at(7)

    await check_records(Api(*records), [case])  # type: ignore[arg-type]  # a stand-in

    assert [text.partition(",")[0] for text in case.trouble] == words


def test_a_point_that_was_missed_is_not_measured_and_trouble_is_counted() -> None:
    good, bad, missed = case_at(7), case_at(8), case_at(9)
    bad.trouble += ["half open: caller in the call", "2 CDRs"]
    missed.is_measured = False

    values = [_figure(point, (good, bad, missed)).value for point in (7, 8, 9, 10)]

    assert values == [0, 2, None, None]
    assert list(TITLES) == list(range(1, 15))


async def test_an_answer_that_was_not_expected_is_trouble() -> None:
    case = case_at(12)

    async def refused() -> None:
        raise CallFailed("INVITE", 500)

    case.ask("INVITE", refused(), expected=487)
    await case.answers()

    assert case.trouble == ["INVITE got 500"]


async def test_a_call_that_never_comes_to_its_point_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.chaos.points.case.PREPARE_S", 0.02)

    with pytest.raises(NotThere):
        await case_at(3).until(lambda: False)


def test_what_is_held_happens_once_and_when_it_is_told_to() -> None:
    withheld, done = {Step.ACK}, []
    held = Held(withheld)

    held.reach(Step.ACK, lambda: done.append("ack"))
    held.reach(Step.BYE, lambda: done.append("bye"))
    assert (done, held.has(Step.ACK)) == (["bye"], True)
    held.go_on(Step.ACK)
    held.go_on(Step.ACK)

    assert done == ["bye", "ack"]
    assert not withheld


@pytest.mark.parametrize(
    ("second", "is_right"),
    [
        (sdp(2), True),
        (sdp(3, 4002), True),
        (sdp(1), False),
        (sdp(2, 4002), False),
        (sdp(2, session="8"), False),
    ],
)
def test_a_phone_notices_descriptions_out_of_order(second: bytes, is_right: bool) -> None:
    call = case_at(1).out

    call.hear(sdp(2))
    call.hear(second)

    assert (not call.anomalies) is is_right


async def test_bytes_that_nobody_reads_are_seen_also_when_the_sender_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        sender = socket.create_connection(("127.0.0.1", port))
        receiver, _ = server.accept()
        with receiver:
            assert unread_bytes(port) == 0
            sender.sendall(b"x" * 700)
            sender.close()
            assert await has_arrived(port, 700, 1.0)
            # The end of the stream counts as one.
            assert not await has_arrived(port, 702, 0.05)
            receiver.recv(1000)
            await asyncio.sleep(0)
            assert unread_bytes(port) <= 1
