"""Media control over real gRPC on loopback, relays and call managers coming and going."""

import asyncio
import os
import signal
import sys
import time
from typing import Any

import msgspec
import pytest

from parley.backing.discovery.base import Instance, InstanceState, Registration
from parley.backing.discovery.embedded import EmbeddedDiscovery
from parley.backing.media.base import MediaUnavailable
from parley.backing.media.grpc import GrpcMediaControl
from parley.backing.media.relay_view import RelayView
from parley.backing.media.times import MediaTimes
from parley.backing.state.embedded import EmbeddedState
from parley.mediarelay.app import GrpcFront
from parley.mediarelay.settings import MediaRelaySettings
from parley.model.media import (
    CloseSession,
    LegSpec,
    OpenSession,
    RelayDraining,
    ReplyError,
    SessionLost,
    StreamSpec,
    UpdateSession,
)
from parley.model.relay_load import RELAY_SERVICE
from parley.service.errors import PortInUse
from parley.testkit.clock import FakeClock


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


async def test_a_new_session_waits_for_a_relay_that_is_being_connected_to(
    relays: Any, connect: Any
) -> None:
    manager = await connect(*(relay.address for relay in relays))
    relays[1].core.relay.is_draining = True
    await relays[0].stop()
    waiting = asyncio.create_task(manager.control.execute(opening("s")))
    await relays[0].start()
    reply = await waiting
    assert reply.ok and reply.relay == relays[0].address


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
    manager = await connect(relays[0].address)
    await manager.control.execute(opening("s"))
    await relays[0].stop()
    await relays[0].start()
    lost = await manager.next_event()
    assert isinstance(lost, SessionLost)
    assert lost.session_id == "s"
    async with asyncio.timeout(5):
        await manager.control.wait_ready()
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
    assert await second.next_event() == SessionLost("s", "a reason", home)
    assert first.events.empty()


async def test_an_adopted_session_outlives_its_former_owner(relays: Any, connect: Any) -> None:
    relay = relays[0]
    first = await connect(relay.address, instance_id="cm-1")
    second = await connect(relay.address, instance_id="cm-2")
    ports = (await first.control.execute(opening("s", epoch=1))).legs
    adopted = await second.control.execute(UpdateSession("s", 2, relay=relay.address))
    assert (adopted.ok, adopted.legs) == (True, ports)
    for late in (UpdateSession("s", 1), CloseSession("s", 1), opening("s", epoch=1)):
        assert (await first.control.execute(late)).error is ReplyError.STALE_EPOCH
    await first.control.aclose()
    async with asyncio.timeout(3):
        while relay.front.streams > 1:  # noqa: ASYNC110 - the server offers no event
            await asyncio.sleep(0)
    relay.clock.advance(1000)
    relay.front.sweep()
    assert relay.core.relay.sessions == 1
    unknown = await second.control.execute(UpdateSession("t", 2, relay=relay.address))
    assert unknown.error is ReplyError.UNKNOWN_SESSION


async def test_a_session_moves_from_a_draining_relay_while_the_old_one_goes_on(
    relays: Any, connect: Any
) -> None:
    manager = await connect(*(relay.address for relay in relays), refresh_s=0.02)
    home = (await manager.control.execute(opening("s"))).relay
    old, new = sorted(relays, key=lambda relay: relay.address != home)
    old.core.relay.is_draining = True
    assert await manager.next_event() == RelayDraining("s", old.address)
    moved = await manager.control.execute(opening("s"))
    assert moved.relay == new.address
    assert [old.core.relay.sessions, new.core.relay.sessions] == [1, 1]
    assert (await manager.control.execute(UpdateSession("s", 1, relay=home))).relay == new.address
    closed = await manager.control.execute(CloseSession("s", 1, relay=old.address))
    assert (closed.ok, closed.relay) == (True, old.address)
    assert [old.core.relay.sessions, new.core.relay.sessions] == [0, 1]
    assert (await manager.control.execute(CloseSession("s", 1))).relay == new.address
    assert new.core.relay.sessions == 0


async def test_nobody_is_asked_to_move_while_there_is_nowhere_to_go(
    relays: Any, connect: Any
) -> None:
    manager = await connect(relays[0].address, refresh_s=0.01)
    await manager.control.execute(opening("s"))
    relays[0].core.relay.is_draining = True
    async with asyncio.timeout(3):
        while manager.control.is_ready:
            await manager.control.wait_changed()
    await asyncio.sleep(0.05)
    assert manager.events.empty()


async def test_relays_are_found_by_discovery_and_let_go_when_they_are_gone(relays: Any) -> None:
    discovery, state = EmbeddedDiscovery(), EmbeddedState(FakeClock())
    await discovery.start()
    await state.start()
    view = RelayView(discovery, state)
    control = GrpcMediaControl([], "cm-1", view=view, times=MediaTimes(refresh_s=0.02))
    try:
        await control.start()
        with pytest.raises(MediaUnavailable):
            await control.execute(opening("s"))
        entries = [await register(discovery, relay) for relay in relays]
        async with asyncio.timeout(5):
            while len(control.relays) < 2:
                await control.wait_changed()
            await control.wait_all_up()
        replies = [await control.execute(opening(f"s{n}")) for n in range(4)]
        assert {reply.relay for reply in replies} == {relay.address for relay in relays}
        # Gone from discovery, but its stream goes on: its sessions can still be commanded.
        await entries[0].aclose()
        async with asyncio.timeout(5):
            while view.is_listed(relays[0].address):  # noqa: ASYNC110 - told in a later turn
                await asyncio.sleep(0)
        there = next(reply for reply in replies if reply.relay == relays[0].address)
        assert (await control.execute(UpdateSession(there.session_id, 1))).ok
        for n in range(4, 8):
            assert (await control.execute(opening(f"s{n}"))).relay == relays[1].address
        for reply in replies:
            await control.execute(CloseSession(reply.session_id, 1))
        await relays[0].front.aclose()
        async with asyncio.timeout(5):
            while relays[0].address in control.relays:
                await control.wait_changed()
    finally:
        await control.aclose()
        await discovery.aclose()
        await state.aclose()


async def register(discovery: EmbeddedDiscovery, relay: Any) -> Registration:
    return await discovery.register(
        Instance(
            service=RELAY_SERVICE,
            id=relay.front.instance_id,
            address=relay.address,
            state=InstanceState.READY,
        )
    )


async def test_a_session_survives_its_call_managers_reconnection(relays: Any, connect: Any) -> None:
    first = await connect(relays[0].address)
    await first.control.execute(opening("s"))
    await first.control.aclose()
    again = await connect(relays[0].address)
    assert (await again.control.execute(UpdateSession("s", 1))).ok
    relays[0].core.relay.drop("s", "a reason")
    assert await again.next_event() == SessionLost("s", "a reason", relays[0].address)


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


@pytest.mark.timeout(60)
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
        async with asyncio.timeout(40):
            while True:
                line = msgspec.json.decode(await process.stdout.readline())
                if line["event"] == "media relay listens":
                    break
        manager = await connect(f"127.0.0.1:{line['port']}")
        reply = await manager.control.execute(opening("s"))
        assert 32640 <= reply.legs[0].streams[0].rtp_port < 32660
        assert (await manager.control.execute(CloseSession("s", 1))).ok
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
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


async def test_a_call_manager_that_stood_still_does_not_blame_the_relay(
    relays: Any, connect: Any
) -> None:
    manager = await connect(relays[0].address, silent_after_s=0.3)
    await manager.control.execute(opening("s"))
    time.sleep(0.7)  # noqa: ASYNC251 - the loop stands still, which is the point
    await asyncio.sleep(0.5)
    assert manager.events.empty()
    assert (await manager.control.execute(UpdateSession("s", 1))).ok


async def test_a_relay_gives_signs_of_life_on_idle_streams(relays: Any, connect: Any) -> None:
    manager = await connect(relays[0].address, silent_after_s=0.5)
    await asyncio.sleep(0.8)
    assert manager.control.is_ready
    assert (await manager.control.execute(opening("s"))).ok
