"""Commands to a media relay, its replies and its events.

A *session* is one call's media at one relay: a leg per phone, a stream per m-line. `ApplyScene`
says what it is to be, `CloseSession` ends it. `OpenSession` and `UpdateSession` say the same of two
parties, piece by piece. Every command carries the epoch of the call's ownership; a relay refuses an
older one, so that a fenced call manager cannot touch a call that another has taken over. Every
command may be repeated without harm. Units are in the names.
"""

from enum import StrEnum

from msgspec import Struct, field

from parley.model.scene import Address as Address
from parley.model.scene import Scene, Sdes

LEG_A = "a"
LEG_B = "b"
MAX_STREAMS_PER_LEG = 16
"""m-lines beyond are not relayed."""
MAX_CLOCK_RATE = 1_000_000
"""Hz."""


class SessionMode(StrEnum):
    """What a session does with what its legs send."""

    BRIDGE = "bridge"
    ECHO = "echo"


class ReplyError(StrEnum):
    """Why a command was refused (`Reply.error`).

    `PORTS_EXHAUSTED` stands for descriptors as well. `ADDRESS_REFUSED`: media cannot, or may not,
    be sent where the SDP says; another relay would say the same.
    """

    STALE_EPOCH = "stale_epoch"
    UNKNOWN_SESSION = "unknown_session"
    PORTS_EXHAUSTED = "ports_exhausted"
    INVALID = "invalid"
    DRAINING = "draining"
    INTERNAL = "internal"
    ADDRESS_REFUSED = "address_refused"


class StreamSpec(Struct, frozen=True):
    """What is known of one leg's side of one m-line.

    Attributes:
        index: position of the m-line; streams of two legs with the same index are bridged.
        remote: where RTP goes, from the SDP; None while unknown or when the port is 0.
        remote_rtcp: where RTCP goes; None means `remote`'s port + 1 (RFC 3550 11).
        learn_from: IPs a differing source may be learnt from. Empty: only the SDP's address.
        active: media is expected from this leg, so that its silence is a time-out. A held stream
            (`sendonly` by the other side, `inactive`) is not active; what comes is still relayed.
        clock_rate: RTP clock in Hz, for jitter.
        sdes: keys of SRTP; None: RTP.
    """

    index: int
    remote: Address | None = None
    remote_rtcp: Address | None = None
    learn_from: list[str] = field(default_factory=list)
    active: bool = True
    clock_rate: int = 8000
    sdes: Sdes | None = None


class LegSpec(Struct, frozen=True):
    """One leg's streams. A leg or stream that a command does not name stays as it is."""

    leg: str
    streams: list[StreamSpec] = field(default_factory=list)


class OpenSession(Struct, frozen=True, tag_field="command", tag="open"):
    """Creates a session, or returns the ports of the one that exists (and updates its legs).

    Attributes:
        media_timeout_s: silence of an active leg after which `MediaTimedOut` is told; 0: never.
            It counts once both sides of a stream are known, anew from every update.
    """

    session_id: str
    epoch: int
    mode: SessionMode = SessionMode.BRIDGE
    legs: list[LegSpec] = field(default_factory=list)
    media_timeout_s: float = 0.0


class UpdateSession(Struct, frozen=True, tag_field="command", tag="update"):
    """Changes the named streams, whose phones have described themselves; silence counts from now.

    Without legs and with a higher epoch it adopts the session: its events come to the sender from
    then on, and what the former owner still says is refused.

    Attributes:
        media_timeout_s: None leaves it.
        relay: `Reply.relay` of the session, for a caller that did not open it itself.
    """

    session_id: str
    epoch: int
    legs: list[LegSpec] = field(default_factory=list)
    media_timeout_s: float | None = None
    relay: str = ""


class CloseSession(Struct, frozen=True, tag_field="command", tag="close"):
    """Ends a session; the reply carries its statistics. Closing what is not there succeeds.

    Attributes:
        relay: `Reply.relay` of the session; of two relays that hold it (a move), this one is meant.
    """

    session_id: str
    epoch: int
    relay: str = ""


class ApplyScene(Struct, frozen=True, tag_field="command", tag="apply"):
    """Brings a session into the state of a scene: all of it, or nothing.

    The same scene with a higher epoch adopts the session: its events come to the sender from then
    on, and what the former owner still says is refused.

    Attributes:
        revision: grows with each change that one owner makes; an older one is refused, the newest
            again gets the same answer.
        may_open: a session that is not there is opened.
        relay: `Reply.relay` of the session, for a caller that did not open it itself.
    """

    session_id: str
    epoch: int
    revision: int
    scene: Scene
    may_open: bool = False
    relay: str = ""


Command = OpenSession | UpdateSession | ApplyScene | CloseSession


def may_open(command: Command) -> bool:
    """Whether a command makes a session where there is none."""
    return isinstance(command, OpenSession) or (
        isinstance(command, ApplyScene) and command.may_open
    )


class LocalStream(Struct, frozen=True):
    """The relay's own address for one stream, to be put into the SDP for that leg."""

    index: int
    ip: str
    rtp_port: int
    rtcp_port: int


class LegPorts(Struct, frozen=True):
    """The relay's own addresses for one leg."""

    leg: str
    streams: list[LocalStream] = field(default_factory=list)


class StreamStats(Struct, frozen=True):
    """Counters of one leg's stream; *received* is what came from that leg's phone.

    Attributes:
        lost: packets missing in what was received (RFC 3550 A.3), never negative.
        jitter_ms: interarrival jitter of what was received (RFC 3550 6.4.1).
        rejected: datagrams dropped: unknown source, or not RTP or RTCP.
        bad_auth: packets that no key of that phone's proves, or that came before (SRTP).
        send_failed: packets to that phone that the operating system would not send: a firewall, a
            full buffer, no route.
        last_packet_age_s: since the last accepted RTP packet; None when there was none.
    """

    leg: str
    index: int
    packets_received: int = 0
    bytes_received: int = 0
    packets_sent: int = 0
    bytes_sent: int = 0
    lost: int = 0
    jitter_ms: float = 0.0
    rtcp_received: int = 0
    rejected: int = 0
    bad_auth: int = 0
    send_failed: int = 0
    last_packet_age_s: float | None = None


class Reply(Struct, frozen=True):
    """The answer to one command.

    Attributes:
        error: set when not `ok`.
        detail: one sentence for the log.
        stats: only with `CloseSession`.
        relay: which relay holds the session; keep it with the call. Empty when there is only one.
    """

    session_id: str
    ok: bool
    error: ReplyError | None = None
    detail: str = ""
    legs: list[LegPorts] = field(default_factory=list)
    stats: list[StreamStats] = field(default_factory=list)
    relay: str = ""


class MediaTimedOut(Struct, frozen=True, tag_field="event", tag="timed_out"):
    """No active stream of this leg has received anything for the session's media time-out.

    Told again after each further time-out as long as it lasts.

    Attributes:
        is_other_heard: another leg of the session is heard.
    """

    session_id: str
    leg: str
    is_other_heard: bool = False


class SessionLost(Struct, frozen=True, tag_field="event", tag="lost"):
    """The session is gone though nobody closed it: its relay died, or dropped it.

    Attributes:
        relay: which relay lost it, as `Reply.relay` named it; empty when there is only one.
    """

    session_id: str
    reason: str = ""
    relay: str = ""


class RelayDraining(Struct, frozen=True, tag_field="event", tag="draining"):
    """The session's relay is about to end, and another one takes sessions: move there.

    It may come more than once. `OpenSession` of the same id then opens the session at another relay
    while the old one goes on; `CloseSession.relay` closes it there once nobody needs it.
    """

    session_id: str
    relay: str = ""


MediaEvent = MediaTimedOut | SessionLost | RelayDraining
