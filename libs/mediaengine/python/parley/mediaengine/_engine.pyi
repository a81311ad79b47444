"""What the Rust half offers (`py/src/lib.rs`)."""

from collections.abc import Sequence
from typing import Literal, final

SOURCES: str
"""Checksum of the sources this build was made of."""

class EngineError(Exception):
    """The engine refused; nothing was changed."""

class PortsExhausted(EngineError):
    """No RTP port pair of the range is free, or no descriptor for its sockets."""

class InvalidScene(EngineError):
    """A scene, or a setting, makes no sense or is more than the engine can."""

class OwnPort(EngineError):
    """Media shall go to a port of the engine's own, and would go round in a circle."""

class StaleScene(EngineError):
    """A newer scene of the session was heard before."""

class UnknownSession(EngineError):
    """There is no such session."""

@final
class StreamReport:
    """Counters of one leg's side of one m-line; *received* is what its phone sent."""

    leg: str
    index: int
    packets_received: int
    bytes_received: int
    packets_sent: int
    bytes_sent: int
    lost: int
    jitter_ms: float
    rtcp_received: int
    rejected: int
    bad_auth: int
    send_failed: int
    last_packet_age_s: float | None

@final
class Engine:
    """Sessions on threads of their own. Every method may raise `EngineError`.

    Args:
        ip: this machine's address that the ports are on.
        first_port: first port of the range.
        last_port: last port of the range.
        own: further addresses by which the ports are reached.
        threads: threads that forward; a session belongs to one.
        quarantine_s: how long a closed port pair is not used again.
        dscp: DiffServ code point of what is sent, 0 for none.
        tick_s: how often silence is looked for.
    """

    def __new__(
        cls,
        ip: str,
        first_port: int,
        last_port: int,
        *,
        own: Sequence[str] = (),
        threads: int = 1,
        quarantine_s: float = 5.0,
        dscp: int = 46,
        tick_s: float = 0.2,
    ) -> Engine: ...
    def apply(
        self, session: str, epoch: int, revision: int, scene: bytes, *, may_open: bool = True
    ) -> list[tuple[str, int, int]]:
        """Brings a session into the state of a scene; says where phones are to send.

        All or nothing: what is refused leaves the session as it was. Epoch and revision, compared
        in this order, tell which scene is newer; the newest again gets the same answer.

        Args:
            session: its name.
            epoch: grows with each owner of the call.
            revision: grows with each change of one owner.
            scene: `parley.model.scene.Scene` in MessagePack.
            may_open: a session that is not there is opened.

        Returns:
            Leg, index and RTP port (RTCP is the next) of every stream.

        Raises:
            InvalidScene: it makes no sense, or asks for what the engine does not do.
            OwnPort: media would go round.
            PortsExhausted: there is no room.
            StaleScene: a newer one was heard.
            UnknownSession: it is not there, and may not be opened.
        """

    def close(self, session: str) -> list[StreamReport]:
        """Ends a session; its ports are free after the next flush and their quarantine.

        Raises `UnknownSession`.
        """

    def report(self, session: str) -> list[StreamReport]:
        """The counters so far, those of streams that are gone included. Raises `UnknownSession`."""

    def flush(self) -> None:
        """Has the threads carry out what was asked since the last flush."""

    def event_fd(self) -> int:
        """A descriptor that is readable while there are events."""

    def drain_events(
        self,
    ) -> list[tuple[Literal["timed_out", "failed", "thread_lost"], str, str, bool]]:
        """Takes the events so far: what happened, to which session and leg, is another leg heard.

        The sessions of a lost thread follow it as failed.
        """

    def check(self) -> None:
        """Gives up threads that have stood still for 0.5 s, counts the process's descriptors.

        To be called each tenth of a second (watchdog).
        """

    @property
    def living_threads(self) -> int:
        """Threads that were not lost; without any, nothing is opened."""

    @property
    def sessions(self) -> int:
        """Open sessions."""

    @property
    def streams(self) -> int:
        """Their streams, each of which has a port pair."""

    @property
    def free_pairs(self) -> int:
        """Port pairs that could be taken now: as many as ports and descriptors allow."""

    def shut_down(self) -> None:
        """Closes every session and ends the threads; may be repeated."""
