"""Prometheus series: one registry per process, names `parley_<service>_<what>_<unit>`.

A series is asked for by name and made once, so that two instances of a service in one process (two
edges in a test, say) share it. Hot paths bind labels once and keep the child.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from parley.service.clock import Clock
from parley.service.series import Counter, Gauge, Histogram, Series

CONTENT_TYPE = CONTENT_TYPE_LATEST
_LAG_INTERVAL_S = 0.5

LATENCY_BUCKETS_S = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
)  # fmt: skip

S = TypeVar("S", bound=Series)


class Registry:
    """All series of one process."""

    def __init__(self) -> None:
        self._collectors = CollectorRegistry(auto_describe=False)
        self._series: dict[str, Series] = {}
        ProcessCollector(registry=self._collectors)

    def render(self) -> bytes:
        """Renders every series in the text format that Prometheus scrapes."""
        return generate_latest(self._collectors)

    def value(self, name: str, labels: dict[str, str] | None = None) -> float:
        """Reads one sample; 0 when it was never touched."""
        return self._collectors.get_sample_value(name, labels or {}) or 0.0

    def get_or_add(self, name: str, made: S) -> S:
        """Returns the series of this name; the one made for it if there is none.

        Raises:
            ValueError: the name belongs to a series of another kind, or with other labels.
        """
        kind = type(made)
        known = self._series.get(name)
        if known is None:
            self._series[name] = made
            self._collectors.register(made)
            return made
        if not isinstance(known, kind):
            raise ValueError(f"metric {name} is a {type(known).__name__}, not a {kind.__name__}")
        if known.label_names != made.label_names:
            raise ValueError(f"metric {name} has the labels {known.label_names}")
        return known


class Metrics:
    """Makes the series of one service."""

    def __init__(self, registry: Registry, service: str) -> None:
        self.registry = registry
        self._prefix = f"parley_{service}_"

    def counter(self, name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
        """Makes a counter; Prometheus adds `_total` to its name."""
        full = self._prefix + name
        return self.registry.get_or_add(full, Counter(full, doc, labels))

    def read(self, name: str, doc: str, number: Callable[[], float]) -> None:
        """Shows a number that only grows and is kept elsewhere; several of a name add up."""
        self.counter(name, doc).read(number)

    def gauge(self, name: str, doc: str, labels: Sequence[str] = ()) -> Gauge:
        """Makes a gauge."""
        full = self._prefix + name
        return self.registry.get_or_add(full, Gauge(full, doc, labels))

    def histogram(
        self,
        name: str,
        doc: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = LATENCY_BUCKETS_S,
    ) -> Histogram:
        """Makes a histogram; the buckets default to latencies in seconds."""
        full = self._prefix + name
        return self.registry.get_or_add(full, Histogram(full, doc, labels, buckets))


class LoopLag:
    """Measures how late the loop runs its timers: the first sign of a process at its limit."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._gauge = metrics.gauge("loop_lag_seconds", "Delay of a timer of the event loop.")
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Starts to measure in the running loop."""
        loop = asyncio.get_running_loop()
        due = self._clock.now() + _LAG_INTERVAL_S
        self._timer = loop.call_later(_LAG_INTERVAL_S, self._measure, due)

    def close(self) -> None:
        """Stops to measure."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _measure(self, due: float) -> None:
        self._gauge.set(max(0.0, self._clock.now() - due))
        self.start()
