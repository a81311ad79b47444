"""What the Rust half offers (`py/src/lib.rs`)."""

from collections.abc import Sequence
from typing import Literal, final

SOURCES: str
"""Checksum of the sources this build was made of."""

class EngineError(Exception):
    """The engine refused; nothing was changed."""

class PortsExhausted(EngineError):
    """No RTP port pair of the range is free, or no descriptor for its sockets."""

@final
class EndpointSpec:
    """Where a phone is and what is expected from it.

    Args:
        remote: where RTP goes; None while unknown. `0.0.0.0` counts as unknown.
        remote_rtcp: where RTCP goes; None for the port after `remote`'s.
        learn_from: IPs that a differing source may be learnt from, once.
        timeout_s: silence that is told as an event; 0 for never.
        clock_rate: of the RTP timestamps, in Hz.
    """

    def __new__(
        cls,
        remote: tuple[str, int] | None = None,
        remote_rtcp: tuple[str, int] | None = None,
        learn_from: Sequence[str] = (),
        *,
        timeout_s: float = 0.0,
        clock_rate: int = 8000,
    ) -> EndpointSpec: ...
    def with_timeout(self, timeout_s: float) -> EndpointSpec:
        """The same with another time-out."""

@final
class EndpointStats:
    """Counters of an endpoint; *received* is what its phone sent."""

    packets_received: int
    bytes_received: int
    packets_sent: int
    bytes_sent: int
    lost: int
    jitter_ms: float
    rtcp_received: int
    rejected: int
    send_failed: int
    last_packet_age_s: float | None

@final
class Engine:
    """Endpoints on threads of their own. Every method but `drain_events` may raise `EngineError`.

    Args:
        ip: this machine's address that the ports are on.
        first_port: first port of the range.
        last_port: last port of the range.
        threads: threads that forward; an endpoint belongs to one.
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
        threads: int = 1,
        quarantine_s: float = 5.0,
        dscp: int = 46,
        tick_s: float = 0.2,
    ) -> Engine: ...
    def open(self, spec: EndpointSpec, near: int | None = None) -> tuple[int, int]:
        """Binds a port pair; returns the endpoint and its RTP port (RTCP is the next).

        `near` names an endpoint whose thread to share. Raises `PortsExhausted`.
        """

    def update(self, endpoint: int, spec: EndpointSpec) -> None:
        """Changes what is known of the phone. Only a new remote is learnt anew."""

    def bridge(self, a: int, b: int) -> None:
        """Joins two endpoints; each leaves the peer it had."""

    def echo(self, endpoint: int) -> None:
        """Sends the endpoint's RTP back to it."""

    def isolate(self, endpoint: int) -> None:
        """Lets the endpoint's media go nowhere."""

    def close(self, endpoint: int) -> EndpointStats:
        """Ends the endpoint; its ports are free after the next flush and their quarantine."""

    def stats(self, endpoint: int) -> EndpointStats:
        """The counters so far."""

    def flush(self) -> None:
        """Has the threads carry out what was asked since the last flush."""

    def event_fd(self) -> int:
        """A descriptor that is readable while there are events."""

    def drain_events(self) -> list[tuple[Literal["timed_out", "failed", "thread_lost"], int]]:
        """Takes the events so far: what happened, and to which endpoint or, the last, thread.

        The endpoints of a lost thread follow it as failed.
        """

    def check(self) -> None:
        """Gives up threads that have stood still for 2 s, counts the process's descriptors.

        To be called each half second (watchdog).
        """

    @property
    def living_threads(self) -> int:
        """Threads that were not lost; without any, `open` is refused."""

    @property
    def endpoints(self) -> int:
        """Open endpoints."""

    @property
    def free_pairs(self) -> int:
        """Port pairs that could be taken now: as many as ports and descriptors allow."""

    def shut_down(self) -> None:
        """Closes every endpoint and ends the threads; may be repeated."""
