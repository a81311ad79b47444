"""What a call knows of its media session."""

from collections.abc import Sequence

import pytest

from parley.callmanager.media_session import MediaPhase, MediaSession
from parley.model.ids import SessionId
from parley.model.media import LegPorts, LegSpec, LocalStream, Reply, SessionMode, StreamSpec


def local(index: int, port: int = 20000) -> LocalStream:
    return LocalStream(index, "203.0.113.9", port + 2 * index, port + 2 * index + 1)


def opened(*streams: LocalStream, relay: str = "") -> Reply:
    return Reply("s", ok=True, legs=[LegPorts("a", list(streams))], relay=relay)


def indexes(streams: Sequence[LocalStream]) -> list[int]:
    return [stream.index for stream in streams]


@pytest.fixture
def session() -> MediaSession:
    session = MediaSession(SessionId("s"), 1)
    session.open(SessionMode.BRIDGE, [LegSpec("a", [StreamSpec(0), StreamSpec(1)])], 60.0)
    return session


def test_streams_stand_in_the_order_of_the_m_lines_however_the_relay_tells_them(
    session: MediaSession,
) -> None:
    assert session.receive_opened(opened(local(1), local(0)))
    assert indexes(session.streams("a")) == [0, 1]
    assert session.receive_opened(opened(local(3), local(2)))
    assert indexes(session.streams("a")) == [0, 1, 2, 3]


def test_the_relay_s_reply_is_nothing_of_ours(session: MediaSession) -> None:
    reply = opened(local(0), local(1))
    assert session.receive_opened(reply)
    reply.legs[0].streams.clear()
    assert indexes(session.streams("a")) == [0, 1]


def test_what_another_relay_opens_takes_the_place_of_the_first_s(session: MediaSession) -> None:
    session.receive_opened(opened(local(0), local(1), relay="r1"))
    session.receive_opened(opened(local(0, 30000), relay="r2"))
    assert session.relay == "r2"
    assert session.streams("a") == [local(0, 30000), local(1)]


def test_a_refusal_opens_nothing(session: MediaSession) -> None:
    assert not session.receive_opened(None)
    assert not session.receive_opened(Reply("s", ok=False))
    assert session.phase is MediaPhase.OPENING
    assert list(session.streams("a")) == []
