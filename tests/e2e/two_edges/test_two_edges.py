"""Phone A on edge 1, phone B on edge 2."""

import pytest

from parley.testkit.phones.baresip_config import Transport
from parley.testkit.platform.desk import Desk, ending


@pytest.mark.parametrize(("caller_by", "callee_by"), [("udp", "udp"), ("tls", "tcp")])
@pytest.mark.parametrize("hangs_up", ["caller", "callee"])
async def test_call_crosses_two_edges(
    desk: Desk, caller_by: Transport, callee_by: Transport, hangs_up: str
) -> None:
    a_line, b_line = await desk.lines(2)
    async with (
        desk.baresip(a_line, caller_by, edge=0, tone_hz=440) as alice,
        desk.baresip(b_line, callee_by, edge=1, tone_hz=660, answers=True) as bob,
    ):
        await alice.registered()
        await bob.registered()
        await alice.dial(b_line.number)
        await alice.established()
        await bob.established()
        desk.assert_from_relay(await alice.media_flows())
        desk.assert_from_relay(await bob.media_flows())
        await bob.hears(1.0)
        await (alice if hangs_up == "caller" else bob).hang_up()
        await bob.closed()
        await alice.closed()
    assert alice.heard().tone_s(660) >= 0.8
    assert bob.heard().tone_s(440) >= 0.8
    record = await desk.cdr(a_line)
    assert ending(record) == ("answered", 200, hangs_up)
    assert len({leg["edge"] for leg in record["legs"]}) == 2
