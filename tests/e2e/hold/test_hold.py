"""re-INVITE goes through to the far side and back."""

from pathlib import Path

from parley.testkit.phones.sip_trace import TracedMessage, messages_of
from parley.testkit.platform.desk import Desk, ending

HERE = Path(__file__).parent


def directions(messages: list[TracedMessage]) -> list[str]:
    return [str(message.sdp.media[0].direction) for message in messages if message.sdp]


async def test_hold_and_resume_reach_the_far_side(desk: Desk, scenarios: Path) -> None:
    a_line, b_line = await desk.lines(2)
    caller, callee = desk.sipp(a_line), desk.sipp(b_line)
    await callee.run(scenarios / "register.xml")
    async with desk.events("call") as events:
        with callee.start(HERE / "held_callee.xml") as held:
            result = await caller.run(HERE / "holding_caller.xml", b_line.number)
            await held.finished()
        await events.until("call.ended")
    offers = messages_of(held.messages(), "INVITE")
    assert directions(offers) == ["sendrecv", "sendonly", "sendrecv"]
    answers = messages_of(result.messages, "INVITE", 200)
    assert directions(answers) == ["sendrecv", "recvonly", "sendrecv"]
    desk.assert_media_at_relay(held.messages())
    desk.assert_media_at_relay(result.messages)
    origins = [message.sdp.origin for message in offers if message.sdp]
    assert [origin.version - origins[0].version for origin in origins] == [0, 1, 2]
    assert len({origin.session_id for origin in origins}) == 1
    record = await desk.cdr(a_line)
    assert ending(record) == ("answered", 200, "caller")
    updates = [
        event["data"]["is_held"]
        for event in events.of_subject(record["call_id"])
        if event["type"] == "call.updated"
    ]
    assert updates == [True, False]


async def test_media_flows_both_ways_after_resume(desk: Desk) -> None:
    a_line, b_line = await desk.lines(2)
    async with desk.baresip(a_line) as alice, desk.baresip(b_line, answers=True) as bob:
        await alice.registered()
        await bob.registered()
        await alice.dial(b_line.number)
        await alice.established()
        await bob.established()
        await alice.control.command("hold")
        await alice.receives("INVITE", 200, count=2)
        await alice.control.command("resume")
        await alice.receives("INVITE", 200, count=3)
        await alice.talks(1.0)
        await alice.hang_up()
        await bob.closed()
        await alice.closed()
    assert directions(messages_of(bob.messages(), "INVITE")) == ["sendrecv", "sendonly", "sendrecv"]
    desk.assert_media_at_relay(alice.messages())
    desk.assert_media_at_relay(bob.messages())
    record = await desk.cdr(a_line)
    assert ending(record) == ("answered", 200, "caller")
    for media in record["media"]:
        assert media["packets_received"] >= 40
        assert media["packets_sent"] >= 40
