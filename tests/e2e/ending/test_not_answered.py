"""Calls that end before they are answered."""

from pathlib import Path

import pytest

from parley.testkit.phones.sip_trace import messages_of
from parley.testkit.platform.desk import Desk, ending


async def test_busy_phone_gives_486(desk: Desk) -> None:
    a_line, b_line = await desk.lines(2)
    async with (
        desk.events("call") as events,
        desk.baresip(a_line) as alice,
        desk.baresip(b_line) as bob,
    ):
        await alice.registered()
        await bob.registered()
        await alice.dial(b_line.number)
        await bob.incoming()
        await alice.ringing()
        await bob.hang_up()
        assert (await alice.closed()).startswith("486")
        await events.until("call.ended")
    record = await desk.cdr(a_line)
    assert ending(record) == ("busy", 486, "callee")
    kinds = [event["type"] for event in events.of_subject(record["call_id"])]
    assert kinds == ["call.started", "call.ringing", "call.ended"]


@pytest.mark.parametrize(
    ("status", "result"), [("486", "busy"), ("603", "rejected"), ("480", "unavailable")]
)
async def test_refusal_of_the_callee_reaches_the_caller(
    desk: Desk, scenarios: Path, status: str, result: str
) -> None:
    a_line, b_line = await desk.lines(2)
    caller, callee = desk.sipp(a_line), desk.sipp(b_line)
    await callee.run(scenarios / "register.xml")
    with callee.start(scenarios / "refuse.xml", STATUS=status) as refusing:
        await caller.run(scenarios / "call_refused.xml", b_line.number, STATUS=status)
        await refusing.finished()
    assert ending(await desk.cdr(a_line)) == (result, int(status), "callee")


async def test_caller_cancels_while_it_rings(desk: Desk) -> None:
    a_line, b_line = await desk.lines(2)
    async with desk.baresip(a_line) as alice, desk.baresip(b_line, "tcp") as bob:
        await alice.registered()
        await bob.registered()
        await alice.dial(b_line.number)
        await bob.incoming()
        await alice.ringing()
        await alice.hang_up()
        await bob.closed()
        await alice.closed()
    assert len(messages_of(bob.messages(), "CANCEL")) == 1
    assert ending(await desk.cdr(a_line)) == ("cancelled", 487, "caller")


async def test_sipp_cancels_sipp(desk: Desk, scenarios: Path) -> None:
    a_line, b_line = await desk.lines(2)
    caller, callee = desk.sipp(a_line), desk.sipp(b_line)
    await callee.run(scenarios / "register.xml")
    with callee.start(scenarios / "ring_until_cancel.xml") as ringing:
        await caller.run(scenarios / "call_cancelled.xml", b_line.number, RING_MS="300")
        await ringing.finished()
    assert ending(await desk.cdr(a_line)) == ("cancelled", 487, "caller")


async def test_nobody_answers(desk: Desk, scenarios: Path) -> None:
    [a_line] = await desk.lines(1)
    b_line = await desk.api.new_line(ring_timeout_s=2)
    caller = desk.sipp(a_line)
    async with desk.baresip(b_line) as bob:
        await bob.registered()
        result = await caller.run(scenarios / "call_refused.xml", b_line.number, STATUS="480")
        await bob.closed()
    assert messages_of(result.messages, "INVITE", 180)
    assert len(messages_of(bob.messages(), "CANCEL")) == 1
    record = await desk.cdr(a_line)
    assert ending(record) == ("no-answer", 480, "platform")
    assert record["answered_at"] is None


async def test_nobody_is_registered(desk: Desk) -> None:
    a_line, b_line = await desk.lines(2)
    async with desk.baresip(a_line) as alice:
        await alice.registered()
        await alice.dial(b_line.number)
        assert (await alice.closed()).startswith("480")
    assert ending(await desk.cdr(a_line)) == ("unavailable", 480, "platform")


async def test_number_that_does_not_exist(desk: Desk, scenarios: Path) -> None:
    [a_line] = await desk.lines(1)
    await desk.sipp(a_line).run(scenarios / "call_refused.xml", "5555", STATUS="404")
    record = await desk.cdr(a_line)
    assert ending(record) == ("not-found", 404, "platform")
    assert record["dialled"] == "5555"
