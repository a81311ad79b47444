"""Two baresips call each other without anything between them."""

from pathlib import Path

from parley.testkit.phones.baresip import Baresip
from parley.testkit.phones.baresip_config import Account
from parley.testkit.phones.sip_trace import messages_of


async def test_each_phone_records_the_others_tone(tmp_path: Path) -> None:
    bob_account = Account("1002", answers=True)
    async with (
        Baresip(Account("1001"), tmp_path, tone_hz=440) as alice,
        Baresip(bob_account, tmp_path, tone_hz=660) as bob,
    ):
        await alice.dial(f"sip:1002@{bob.address}")
        await alice.established()
        await bob.established()
        assert int((await alice.media_flows()).split(":")[1]) in bob.rtp_ports
        assert int((await bob.media_flows()).split(":")[1]) in alice.rtp_ports
        await alice.hears(1.0)
        await alice.hang_up()
        await bob.closed()
        await alice.closed()
    assert alice.heard().tone_s(660) >= 0.8
    assert bob.heard().tone_s(440) >= 0.8
    assert alice.heard().tone_s(440) == 0
    offers = messages_of(bob.messages(), "INVITE")
    assert offers[0].sdp is not None
    assert offers[0].sdp.media[0].port in alice.rtp_ports
    assert messages_of(alice.messages(), "INVITE", 200)


async def test_refused_call_tells_its_reason(tmp_path: Path) -> None:
    async with (
        Baresip(Account("1001"), tmp_path) as alice,
        Baresip(Account("1002"), tmp_path) as bob,
    ):
        await alice.dial(f"sip:1002@{bob.address}")
        await bob.incoming()
        await alice.ringing()
        await bob.hang_up()
        assert "486" in await alice.closed()


async def test_caller_may_give_up(tmp_path: Path) -> None:
    async with (
        Baresip(Account("1001"), tmp_path) as alice,
        Baresip(Account("1002"), tmp_path) as bob,
    ):
        await alice.dial(f"sip:1002@{bob.address}")
        await bob.incoming()
        await alice.ringing()
        await alice.hang_up()
        await bob.closed()
    assert messages_of(bob.messages(), "CANCEL")


async def test_hold_and_resume_are_seen_as_descriptions(tmp_path: Path) -> None:
    async with (
        Baresip(Account("1001"), tmp_path) as alice,
        Baresip(Account("1002", answers=True), tmp_path) as bob,
    ):
        await alice.dial(f"sip:1002@{bob.address}")
        await alice.established()
        await bob.established()
        await alice.control.command("hold")
        await alice.receives("INVITE", 200, count=2)
        await alice.control.command("resume")
        await alice.receives("INVITE", 200, count=3)
        await alice.hang_up()
        await bob.closed()
    offers = [message.sdp for message in messages_of(bob.messages(), "INVITE")]
    directions = [str(offer.media[0].direction) for offer in offers if offer]
    assert directions == ["sendrecv", "sendonly", "sendrecv"]
