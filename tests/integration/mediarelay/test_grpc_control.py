"""Media control over real gRPC on loopback, relays and call managers coming and going."""

import asyncio
import os
import signal
import sys
from typing import Any

import msgspec
import pytest

from parley.backing.media.base import MediaUnavailable
from parley.mediarelay.app import GrpcFront
from parley.mediarelay.settings import MediaRelaySettings
from parley.model.media import (
    CloseSession,
    LegSpec,
    OpenSession,
    ReplyError,
    SessionLost,
    StreamSpec,
    UpdateSession,
)
from parley.service.errors import PortInUse


def opening(session_id: str, epoch: int = 1) -> OpenSession:
    return OpenSession(session_id, epoch, legs=[LegSpec("a", [StreamSpec(0)])])


async def test_new_sessions_go_to_the_relay_with_the_fewest(relays: Any, connect: Any) -> None:
    manager = await connect(*(relay.address for relay in relays))
    replies = await asyncio.gather(*(manager.control.execute(opening(f"s{n}")) for n in range(10)))
    assert [relay.core.relay.sessions for relay in relays] == [5, 5]
    assert {reply.relay for reply in replies} == {relay.address for relay in relays}
    for n in range(10):
        assert (await manager.control.execute(UpdateSession(f"s{n}", 1))).ok
        assert (await manager.control.execute(CloseSession(f"s{n}", 1))).stats
    assert [relay.core.relay.sessions for relay in relays] == [0, 0]


async def test_a_full_or_draining_relay_is_passed_over(relays: Any, connect: Any) -> None:
    manager = await connect(*(relay.address for relay in relays))
    relays[0].core.relay.is_draining = True
    for n in range(3):
        assert (await manager.control.execute(opening(f"s{n}"))).relay == relays[1].address
    legs = [LegSpec(name, [StreamSpec(index) for index in range(16)]) for name in "ab"]
    reply = await manager.control.execute(OpenSession("big", 1, legs=legs))
    assert reply.error in {ReplyError.PORTS_EXHAUSTED, ReplyError.DRAINING}


async def test_draining_is_told_to_those_who_wait_for_nothing(relays: Any, connect: Any) -> None:
    manager = await connect(relays[0].address)
    await relays[0].core.drain(1)
    await relays[0].front.drain(1)
    async with asyncio.timeout(3):
        while manager.control.is_ready:
            await manager.control.wait_changed()
    with pytest.raises(MediaUnavailable):
        await manager.control.execute(opening("s"))


async def test_a_restarted_relay_has_lost_its_sessions(relays: Any, connect: Any) -> None:
    manager = await connect(relays[0].address, lost_after_s=60)
    await manager.control.execute(opening("s"))
    await relays[0].stop()
    await relays[0].start()
    lost = await manager.next_event()
    assert isinstance(lost, SessionLost)
    assert (lost.session_id, "restarted" in lost.reason) == ("s", True)
    assert (await manager.control.execute(opening("s"))).ok


async def test_the_sessions_of_a_relay_that_stays_away_are_lost(relays: Any, connect: Any) -> None:
    manager = await connect(relays[0].address)
    await manager.control.execute(opening("s"))
    await relays[0].stop()
    lost = await manager.next_event()
    assert isinstance(lost, SessionLost)
    with pytest.raises(MediaUnavailable):
        await manager.control.execute(opening("t"))


async def test_a_successor_that_knows_the_relay_takes_a_session_over(
    relays: Any, connect: Any
) -> None:
    addresses = [relay.address for relay in relays]
    first = await connect(*addresses, instance_id="cm-1")
    second = await connect(*addresses, instance_id="cm-2")
    home = (await first.control.execute(opening("s", epoch=1))).relay
    unknown = await second.control.execute(UpdateSession("s", 2))
    assert unknown.error is ReplyError.UNKNOWN_SESSION
    assert (await second.control.execute(UpdateSession("s", 2, relay=home))).ok
    stale = await first.control.execute(UpdateSession("s", 1))
    assert stale.error is ReplyError.STALE_EPOCH
    relays[addresses.index(home)].core.relay.drop("s", "a reason")
    assert await second.next_event() == SessionLost("s", "a reason")
    assert first.events.empty()


async def test_a_session_survives_its_call_managers_reconnection(relays: Any, connect: Any) -> None:
    first = await connect(relays[0].address)
    await first.control.execute(opening("s"))
    await first.control.aclose()
    again = await connect(relays[0].address)
    assert (await again.control.execute(UpdateSession("s", 1))).ok
    relays[0].core.relay.drop("s", "a reason")
    assert await again.next_event() == SessionLost("s", "a reason")


async def test_silent_sessions_of_a_call_manager_that_stays_away_are_closed(
    relays: Any, connect: Any
) -> None:
    relay = relays[0]
    manager = await connect(relay.address)
    await manager.control.execute(opening("s"))
    relay.clock.advance(61)
    relay.front.sweep()
    assert relay.core.relay.sessions == 1
    await manager.control.aclose()
    async with asyncio.timeout(3):
        while relay.front.streams:  # noqa: ASYNC110 - the server offers no event, and needs none
            await asyncio.sleep(0)
    relay.clock.advance(59)
    relay.front.sweep()
    assert relay.core.relay.sessions == 1
    relay.clock.advance(2)
    relay.front.sweep()
    assert relay.core.relay.sessions == 0


async def test_a_caller_that_gives_up_leaves_no_session_behind(relays: Any, connect: Any) -> None:
    relay = relays[0].core.relay
    manager = await connect(relays[0].address)
    waiting = asyncio.ensure_future(manager.control.execute(opening("s")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await manager.control.execute(opening("t"))).ok
    assert relay.sessions == 1


async def test_a_relay_runs_as_a_process_of_its_own(connect: Any) -> None:
    environment = os.environ | {
        "PARLEY_MEDIARELAY_GRPC_PORT": "0",
        "PARLEY_MEDIARELAY_HEALTH_PORT": "0",
        "PARLEY_MEDIARELAY_RTP_PORTS": "32640-32659",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "parley.mediarelay", stdout=asyncio.subprocess.PIPE, env=environment
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(8):
            while True:
                line = msgspec.json.decode(await process.stdout.readline())
                if line["event"] == "media relay listens":
                    break
        manager = await connect(f"127.0.0.1:{line['port']}")
        reply = await manager.control.execute(opening("s"))
        assert 32640 <= reply.legs[0].streams[0].rtp_port < 32660
        assert (await manager.control.execute(CloseSession("s", 1))).ok
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 8) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_taken_port_is_one_sentence(relays: Any) -> None:
    port = relays[0].front.port
    settings = MediaRelaySettings.load(grpc_port=port)
    second = GrpcFront(relays[0].core.relay, settings, relays[0].clock)
    with pytest.raises(PortInUse, match=str(port)):
        await second.start()
    await second.aclose()
