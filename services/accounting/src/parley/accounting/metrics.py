"""Prometheus series of the accounting service."""

from parley.model.call import CallRecord
from parley.service.metrics import Metrics, Registry

_AGE_BUCKETS_S = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)


class AccountingMetrics:
    """Counts what became of the calls' last events."""

    def __init__(self, registry: Registry) -> None:
        metrics = Metrics(registry, "accounting")
        self._cdrs = metrics.counter("cdrs", "CDRs written, by the call's result.", ["result"])
        self._duplicates = metrics.counter("duplicates", "Last events whose CDR was there already.")
        self._malformed = metrics.counter(
            "malformed", "Records that went to the dead letter topic."
        )
        self._retries = metrics.counter("retries", "Tries that the database did not answer.")
        self._expired = metrics.counter("cdrs_expired", "CDRs deleted because of their age.")
        self._age = metrics.histogram(
            "cdr_age_seconds", "From a call's end to its stored CDR.", buckets=_AGE_BUCKETS_S
        )

    def stored(self, record: CallRecord, age_s: float) -> None:
        """Counts a CDR that was written, `age_s` seconds after its call's end."""
        self._cdrs.labels(record.termination.result.value).inc()
        self._age.observe(max(0.0, age_s))

    def repeated(self, count: int) -> None:
        """Counts events that changed nothing."""
        self._duplicates.inc(count)

    def refused(self) -> None:
        """Counts a record that nobody can make a CDR of."""
        self._malformed.inc()

    def expired(self, count: int) -> None:
        """Counts CDRs that were deleted because of their age."""
        self._expired.inc(count)

    def retried(self) -> None:
        """Counts a try that has to be made again."""
        self._retries.inc()
