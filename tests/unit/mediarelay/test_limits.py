"""What a relay does when threads, descriptors or ports are gone."""

import asyncio
import gc
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from parley.mediaengine import Engine
from parley.mediarelay.app import RelayService
from parley.mediarelay.relay import Relay
from parley.mediarelay.settings import MediaRelaySettings
from parley.model.media import (
    LegSpec,
    MediaEvent,
    OpenSession,
    Reply,
    ReplyError,
    SessionLost,
    StreamSpec,
)
from parley.service.metrics import Registry
from parley.service.settings import PortRange

SPARE = 64
"""Descriptors that the engine leaves to others."""


def opening(session_id: str, streams: int = 1, epoch: int = 1) -> OpenSession:
    specs = [StreamSpec(index) for index in range(streams)]
    return OpenSession(session_id, epoch, legs=[LegSpec("a", specs), LegSpec("b", specs)])


def one(relay: Relay, command: OpenSession) -> Reply:
    (reply,) = relay.execute([command])
    return reply


@pytest.fixture
def limit_descriptors() -> Iterator[Callable[[int], None]]:
    """Leaves the process so many descriptors that the engine may take."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def limit(free: int) -> None:
        gc.collect()  # Nobody else's descriptors shall become free meanwhile.
        # The listing itself needs one.
        used = len(os.listdir("/proc/self/fd")) - 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + SPARE + free, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_descriptors_are_capacity_and_their_end_is_told_as_that_of_the_ports(
    relay: Relay, engine: Engine, limit_descriptors: Callable[[int], None]
) -> None:
    limit_descriptors(11)
    engine.check()
    assert (engine.free_pairs, relay.capacity) == (5, 2)
    assert one(relay, opening("s")).ok and one(relay, opening("t")).ok
    assert relay.capacity == relay.sessions == 2
    refused = one(relay, opening("u"))
    assert refused.error is ReplyError.PORTS_EXHAUSTED
    assert "socket" in refused.detail
    assert (relay.sessions, engine.streams) == (2, 4)


def epoll_sets() -> set[int]:
    """The process's descriptors that are epoll sets."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            if os.readlink(entry) == "anon_inode:[eventpoll]":
                found.add(int(entry.name))
    return found


async def test_a_relay_whose_thread_died_loses_its_sessions_and_takes_no_more(
    registry: Registry,
) -> None:
    settings = MediaRelaySettings.load(rtp_ports=PortRange(32660, 32699), quarantine_s=0)
    gc.collect()  # No epoll set of an earlier test shall go meanwhile.
    others = epoll_sets()
    service = RelayService(settings, registry)
    [broken] = epoll_sets() - others
    relay = service.relay
    events: asyncio.Queue[MediaEvent] = asyncio.Queue()
    relay.on_event(events.put_nowait)
    await service.start()
    try:
        assert (service.is_ready(), relay.capacity) == (True, 10)
        one(relay, opening("s"))
        nothing = os.open("/dev/null", os.O_RDONLY)
        os.dup2(nothing, broken)
        os.close(nothing)
        one(relay, opening("s", epoch=2))
        lost = await asyncio.wait_for(events.get(), 3)
        assert lost == SessionLost("s", "the media engine failed")
        assert (relay.sessions, relay.capacity, service.is_ready()) == (0, 0, False)
        assert one(relay, opening("t")).error is ReplyError.DRAINING
        assert registry.value("parley_mediarelay_threads") == 0
    finally:
        await service.aclose()
