"""Two phones on one extension."""

from parley.testkit.phones.sip_trace import messages_of
from parley.testkit.platform.desk import Desk, ending


async def test_both_ring_and_the_loser_is_told_why(desk: Desk) -> None:
    a_line, b_line = await desk.lines(2)
    async with (
        desk.baresip(a_line, tone_hz=440) as alice,
        desk.baresip(b_line, "udp", tone_hz=660) as winner,
        desk.baresip(b_line, "tcp", tone_hz=880) as loser,
    ):
        for phone in (alice, winner, loser):
            await phone.registered()
        await alice.dial(b_line.number)
        await winner.incoming()
        await loser.incoming()
        await winner.accept()
        await alice.established()
        await loser.closed()
        await alice.media_flows()
        await alice.hears(0.8)
        await alice.hang_up()
        await winner.closed()
        await alice.closed()
    [cancel] = messages_of(loser.messages(), "CANCEL")
    reason = (cancel.header("Reason") or "").replace(" ", "")
    assert reason.startswith("SIP;cause=200")
    assert not messages_of(winner.messages(), "CANCEL")
    assert alice.heard().tone_s(660) >= 0.5
    assert alice.heard().tone_s(880) == 0
    record = await desk.cdr(a_line)
    assert ending(record) == ("answered", 200, "caller")


async def test_one_phone_refuses_the_other_answers(desk: Desk) -> None:
    a_line, b_line = await desk.lines(2)
    async with (
        desk.baresip(a_line) as alice,
        desk.baresip(b_line) as refusing,
        desk.baresip(b_line) as answering,
    ):
        for phone in (alice, refusing, answering):
            await phone.registered()
        await alice.dial(b_line.number)
        await refusing.incoming()
        await answering.incoming()
        await refusing.hang_up()
        await refusing.closed()
        await answering.accept()
        await alice.established()
        await alice.hang_up()
        await answering.closed()
        await alice.closed()
    assert ending(await desk.cdr(a_line)) == ("answered", 200, "caller")
