"""All Prometheus series of the media relay."""

from collections.abc import Callable, Iterable

from parley.model.media import (
    ApplyScene,
    CloseSession,
    Command,
    MediaEvent,
    MediaTimedOut,
    OpenSession,
    Reply,
    SessionLost,
    StreamStats,
    UpdateSession,
)
from parley.service.metrics import Metrics, Registry

_COMMANDS: dict[type[Command], str] = {
    OpenSession: "open",
    UpdateSession: "update",
    ApplyScene: "apply",
    CloseSession: "close",
}
_EVENTS: dict[type[MediaEvent], str] = {MediaTimedOut: "timed_out", SessionLost: "lost"}


class RelayMetrics:
    """The relay's series; packets are counted when their session ends."""

    def __init__(self, registry: Registry) -> None:
        metrics = Metrics(registry, "mediarelay")
        self._sessions = metrics.gauge("sessions", "Media sessions open now.")
        self._free_pairs = metrics.gauge(
            "free_port_pairs", "RTP port pairs that are free and have descriptors."
        )
        self._commands = metrics.counter(
            "commands", "Commands by kind and result.", ("command", "result")
        )
        self._events = metrics.counter("events", "Media events by kind.", ("event",))
        packets = metrics.counter("packets", "RTP packets of ended sessions.", ("direction",))
        self._packets_received, self._packets_sent = (
            packets.labels("received"),
            packets.labels("sent"),
        )
        size = metrics.counter("bytes", "RTP bytes of ended sessions.", ("direction",))
        self._bytes_received, self._bytes_sent = size.labels("received"), size.labels("sent")
        self._lost = metrics.counter("packets_lost", "RTP packets that phones sent in vain.")
        self._send_failed = metrics.counter(
            "packets_send_failed", "Packets that the operating system would not send."
        )
        self._threads = metrics.gauge("threads", "Threads that forward; lost ones are not counted.")
        self._rejected = metrics.counter("packets_rejected", "Datagrams of strangers or garbage.")
        self._bad_auth = metrics.counter("packets_bad_auth", "SRTP packets that no key proves.")

    def set_threads(self, living: int) -> None:
        """Notes how many threads work."""
        self._threads.set(living)

    def show_load(self, sessions: Callable[[], int], free_pairs: Callable[[], int]) -> None:
        """Has what is in use read at each scrape."""
        self._sessions.read(sessions)
        self._free_pairs.read(free_pairs)

    def count_command(self, command: Command, reply: Reply) -> None:
        """Counts one command."""
        result = "ok" if reply.error is None else reply.error.value
        self._commands.labels(_COMMANDS.get(type(command), "unknown"), result).inc()

    def count_event(self, event: MediaEvent) -> None:
        """Counts one event."""
        self._events.labels(_EVENTS[type(event)]).inc()

    def count_streams(self, streams: Iterable[StreamStats]) -> None:
        """Adds the counters of a session that ended."""
        for stream in streams:
            self._packets_received.inc(stream.packets_received)
            self._packets_sent.inc(stream.packets_sent)
            self._bytes_received.inc(stream.bytes_received)
            self._bytes_sent.inc(stream.bytes_sent)
            self._lost.inc(stream.lost)
            self._rejected.inc(stream.rejected)
            self._bad_auth.inc(stream.bad_auth)
            self._send_failed.inc(stream.send_failed)
