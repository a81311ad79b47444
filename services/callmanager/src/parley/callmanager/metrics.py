"""All Prometheus series of the call manager."""

from typing import Final

from parley.model.call import CallResult, Termination
from parley.service.metrics import Metrics, Registry
from parley.service.series import Counter

_SECONDS: Final = (1.0, 5.0, 15.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 7200.0)


class CallManagerMetrics:
    """Counters are bound once; the call path only increments them."""

    def __init__(self, registry: Registry) -> None:
        metrics = Metrics(registry, "callmanager")
        self.calls = metrics.gauge("calls", "Calls owned now.")
        self.started = metrics.counter("calls_started", "Calls taken.")
        self.refused = metrics.counter("calls_refused", "INVITEs refused without a call.")
        self.redirected = metrics.counter(
            "requests_redirected", "Requests sent to the instance that owns their call."
        )
        self.broken = metrics.counter("calls_broken", "Calls ended by a broken invariant.")
        self.fenced = metrics.counter("calls_fenced", "Calls dropped: another instance owns them.")
        self.taken_over = metrics.counter("calls_taken_over", "Calls taken from other instances.")
        self.handed_over = metrics.counter("calls_handed_over", "Calls left to other instances.")
        self.unreadable = metrics.counter(
            "calls_not_restored", "Calls whose snapshot could not be read or brought to life."
        )
        self.stale_bindings = metrics.counter(
            "stale_bindings", "Extensions looked up in memory while shared state was away."
        )
        self.overflows = metrics.counter("mailbox_overflows", "Inputs dropped by full mailboxes.")
        self.unprotected_writes = metrics.counter(
            "unprotected_writes", "Snapshot operations that shared state did not take."
        )
        self.unpublished = metrics.counter(
            "events_unpublished", "Events that the bus did not take at once."
        )
        self.stray = metrics.counter("stray_messages", "Messages of no call.")
        self.duration = metrics.histogram(
            "call_duration_seconds", "From answer to end.", buckets=_SECONDS
        )
        ended = metrics.counter("calls_ended", "Calls by result.", ("result",))
        self._ended: dict[CallResult, Counter] = {
            result: ended.labels(result.value) for result in CallResult
        }

    def count_end(self, termination: Termination, duration_s: float) -> None:
        """Counts an ended call."""
        self._ended[termination.result].inc()
        if duration_s:
            self.duration.observe(duration_s)
