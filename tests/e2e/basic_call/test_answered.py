"""Calls that are answered."""

from pathlib import Path
from typing import Literal

import pytest

from parley.testkit.phones.baresip_config import Transport
from parley.testkit.platform.desk import Desk, ending

CALL_EVENTS = ["call.started", "call.ringing", "call.answered", "call.ended"]


@pytest.mark.parametrize(
    ("caller_by", "callee_by"), [("udp", "udp"), ("tcp", "tls"), ("tls", "tcp")]
)
async def test_each_phone_hears_the_other_through_the_relay(
    desk: Desk, caller_by: Transport, callee_by: Transport
) -> None:
    a_line, b_line = await desk.lines(2)
    async with (
        desk.events("call") as events,
        desk.baresip(a_line, caller_by, tone_hz=440) as alice,
        desk.baresip(b_line, callee_by, tone_hz=660) as bob,
    ):
        await alice.registered()
        await bob.registered()
        await alice.dial(b_line.number)
        await bob.incoming()
        await alice.ringing()
        await bob.accept()
        await alice.established()
        await bob.established()
        desk.assert_from_relay(await alice.media_flows())
        desk.assert_from_relay(await bob.media_flows())
        await alice.hears(1.2)
        assert [call["state"] for call in await desk.api.live_calls()]
        await alice.hang_up()
        await bob.closed()
        await alice.closed()
        await events.until("call.ended")
    assert alice.heard().tone_s(660) >= 1.0
    assert bob.heard().tone_s(440) >= 1.0
    assert alice.heard().tone_s(440) == bob.heard().tone_s(660) == 0
    desk.assert_media_at_relay(alice.messages())
    desk.assert_media_at_relay(bob.messages())

    record = await desk.cdr(a_line)
    assert (record["caller"], record["callee"]) == (a_line.number, b_line.number)
    assert record["dialled"] == b_line.number
    assert ending(record) == ("answered", 200, "caller")
    assert 1.0 <= record["duration_s"] <= 6.0
    assert {media["leg"] for media in record["media"]} == {"a", "b"}
    for media in record["media"]:
        assert media["packets_received"] >= 50
        assert media["packets_sent"] >= 50
    assert [event["type"] for event in events.of_subject(record["call_id"])] == CALL_EVENTS
    sequences = [event["sequence"] for event in events.of_subject(record["call_id"])]
    assert sequences == sorted(set(sequences))
    assert record["call_id"] not in [call["call_id"] for call in await desk.api.live_calls()]


async def test_callee_hangs_up(desk: Desk) -> None:
    a_line, b_line = await desk.lines(2)
    async with (
        desk.baresip(a_line) as alice,
        desk.baresip(b_line, answers=True) as bob,
    ):
        await alice.registered()
        await bob.registered()
        await alice.dial(b_line.number)
        await alice.established()
        await bob.established()
        await bob.hang_up()
        await alice.closed()
        await bob.closed()
    assert ending(await desk.cdr(a_line)) == ("answered", 200, "callee")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_sipp_calls_sipp_and_hangs_up(
    desk: Desk, scenarios: Path, transport: Literal["udp", "tcp"]
) -> None:
    a_line, b_line = await desk.lines(2)
    caller, callee = desk.sipp(a_line, transport), desk.sipp(b_line)
    await callee.run(scenarios / "register.xml")
    with callee.start(scenarios / "answer.xml", RING_MS="300") as answering:
        result = await caller.run(scenarios / "call.xml", b_line.number, TALK_MS="1000")
        await answering.finished()
    desk.assert_media_at_relay(result.messages)
    desk.assert_media_at_relay(answering.messages())
    record = await desk.cdr(a_line)
    assert ending(record) == ("answered", 200, "caller")
    assert 0.9 <= record["duration_s"] <= 1.6
    await callee.run(scenarios / "unregister.xml")


async def test_sipp_callee_hangs_up(desk: Desk, scenarios: Path) -> None:
    a_line, b_line = await desk.lines(2)
    caller, callee = desk.sipp(a_line), desk.sipp(b_line)
    await callee.run(scenarios / "register.xml")
    with callee.start(scenarios / "answer_and_bye.xml", TALK_MS="800") as answering:
        await caller.run(scenarios / "call_until_bye.xml", b_line.number)
        await answering.finished()
    record = await desk.cdr(a_line)
    assert ending(record) == ("answered", 200, "callee")
    assert 0.7 <= record["duration_s"] <= 1.4
