"""The echo test."""

import pytest

from parley.testkit.phones.baresip_config import Transport
from parley.testkit.platform.desk import Desk, ending


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_caller_hears_its_own_tone(desk: Desk, transport: Transport) -> None:
    [line] = await desk.lines(1)
    async with desk.baresip(line, transport, tone_hz=520) as phone:
        await phone.registered()
        await phone.dial("999")
        await phone.established()
        desk.assert_from_relay(await phone.media_flows())
        await phone.hears(1.2)
        await phone.hang_up()
        await phone.closed()
    assert phone.heard().tone_s(520) >= 1.0
    desk.assert_media_at_relay(phone.messages())
    record = await desk.cdr(line)
    assert ending(record) == ("answered", 200, "caller")
    assert record["dialled"] == "999"
    assert record["media"][0]["packets_sent"] >= 50
