import pytest

from parley.backing.media.convert import (
    command_from_pb,
    command_to_pb,
    event_from_pb,
    event_to_pb,
    reply_from_pb,
    reply_to_pb,
)
from parley.model.media import (
    Address,
    ApplyScene,
    CloseSession,
    Command,
    LegPorts,
    LegSpec,
    LocalStream,
    MediaTimedOut,
    OpenSession,
    Reply,
    ReplyError,
    SessionLost,
    SessionMode,
    StreamSpec,
    StreamStats,
    UpdateSession,
)
from parley.model.scene import Endpoint, Scene, Sdes, Source, SrtpKey, Stream, Transport
from parley.rpc.media.v1 import media_pb2 as pb

KEYS = Sdes(
    SrtpKey("AEAD_AES_128_GCM", b"o" * 16, b"s" * 12),
    SrtpKey("AEAD_AES_128_GCM", b"t" * 16, b"s" * 12),
)
LEGS = [
    LegSpec(
        "a",
        [
            StreamSpec(0, Address("192.0.2.1", 4000), Address("192.0.2.1", 4009), ["192.0.2.1"]),
            StreamSpec(3, active=False, clock_rate=48000, sdes=KEYS),
        ],
    ),
    LegSpec("b"),
]
SCENE = Scene(
    {"a": Endpoint([Stream(0, Transport(Address("192.0.2.1", 4000), sdes=KEYS))])},
    {"a": [Source("a")]},
    30.0,
)


@pytest.mark.parametrize(
    "command",
    [
        OpenSession("s", 7, SessionMode.ECHO, LEGS, 30.0),
        OpenSession("s", 2**63, SessionMode.BRIDGE),
        UpdateSession("s", 7, LEGS, 0.0),
        UpdateSession("s", 7),
        ApplyScene("s", 7, 3, SCENE, may_open=True),
        ApplyScene("s", 7, 4, Scene()),
        CloseSession("s", 7),
    ],
)
def test_a_command_survives_the_wire(command: Command) -> None:
    message = pb.Command.FromString(command_to_pb(5, command).SerializeToString())
    assert (message.id, command_from_pb(message)) == (5, command)


@pytest.mark.parametrize(
    "reply",
    [
        Reply("s", ok=True, legs=[LegPorts("a", [LocalStream(0, "192.0.2.9", 20000, 20001)])]),
        Reply("s", ok=True, stats=[StreamStats("a", 1, 2, 3, 4, 5, 6, 7.5, 8, 9, 10, 11, 12.5)]),
        Reply("s", ok=True, stats=[StreamStats("a", 1)]),
        *[Reply("s", ok=False, error=error, detail="why") for error in ReplyError],
    ],
)
def test_a_reply_survives_the_wire(reply: Reply) -> None:
    message = pb.Reply.FromString(reply_to_pb(5, reply).SerializeToString())
    assert (message.id, reply_from_pb(message, "")) == (5, reply)


@pytest.mark.parametrize(
    "event",
    [MediaTimedOut("s", "b"), MediaTimedOut("s", "b", True), SessionLost("s", "gone", "r1")],
)
def test_an_event_survives_the_wire(event: MediaTimedOut | SessionLost) -> None:
    wire = event_to_pb(event).SerializeToString()
    assert event_from_pb(pb.MediaEvent.FromString(wire), "r1") == event


def test_what_only_a_newer_peer_knows_is_told_apart() -> None:
    assert event_from_pb(pb.MediaEvent(session_id="s"), "r1") is None
    assert reply_from_pb(pb.Reply(error=99), "r").error is ReplyError.INTERNAL  # type: ignore[arg-type]  # a future one
    with pytest.raises(ValueError, match="none of"):
        command_from_pb(pb.Command(id=1))
    with pytest.raises(ValueError, match="mode"):
        command_from_pb(pb.Command(id=1, open=pb.OpenSession()))
