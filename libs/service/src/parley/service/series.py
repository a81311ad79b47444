"""Counters, gauges and histograms: plain numbers, read when Prometheus scrapes.

They are counted on the path of every message and call, so a count is one addition: no lock, because
one thread counts, and nothing to hand over between two scrapes.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Self

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Series(Collector):
    """What goes by one name: a number, or one for each set of labels."""

    kind: ClassVar[str]

    def __init__(self, name: str, doc: str, labels: Sequence[str] = ()) -> None:
        self._name = name
        self._doc = doc
        self._labels = tuple(labels)
        self._children: dict[tuple[str, ...], Self] = {}

    def labels(self, *values: str) -> Self:
        """Returns the number with these values of the labels; hot paths keep it.

        Raises:
            ValueError: they are not as many as the labels.
        """
        child = self._children.get(values)
        if child is None:
            if len(values) != len(self._labels):
                raise ValueError(f"metric {self._name} has the labels {self._labels}")
            child = self._children[values] = self._child()
        return child

    def collect(self) -> Iterator[Metric]:
        """Reads the numbers."""
        metric = Metric(self._name, self._doc, self.kind)
        if not self._labels:
            self._add_samples(metric, {})
        for values, child in self._children.items():
            child._add_samples(metric, dict(zip(self._labels, values, strict=True)))
        yield metric

    def _child(self) -> Self:
        return type(self)(self._name, self._doc)

    def _add_samples(self, metric: Metric, labels: dict[str, str]) -> None:
        raise NotImplementedError


class Counter(Series):
    """A number that only grows.

    Attributes:
        value: the number.
    """

    kind = "counter"

    def __init__(self, name: str, doc: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, doc, labels)
        self.value: float = 0
        self._sources: list[Callable[[], float]] = []

    def inc(self, amount: float = 1) -> None:
        """Counts."""
        self.value += amount

    def add_source(self, number: Callable[[], float]) -> None:
        """Adds a number that only grows and is kept elsewhere."""
        self._sources.append(number)

    def _add_samples(self, metric: Metric, labels: dict[str, str]) -> None:
        value = self.value + sum(number() for number in self._sources)
        metric.add_sample(f"{self._name}_total", labels, value)


class Gauge(Series):
    """A number that goes up and down.

    Attributes:
        value: the number, unless a function tells it.
    """

    kind = "gauge"

    def __init__(self, name: str, doc: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, doc, labels)
        self.value: float = 0
        self._function: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        """Notes what it is now."""
        self.value = value

    def inc(self) -> None:
        """One more."""
        self.value += 1

    def dec(self) -> None:
        """One less."""
        self.value -= 1

    def set_function(self, function: Callable[[], float]) -> None:
        """Has it told by a function from now on."""
        self._function = function

    def _add_samples(self, metric: Metric, labels: dict[str, str]) -> None:
        metric.add_sample(self._name, labels, self._function() if self._function else self.value)


class Histogram(Series):
    """Counts observations by size."""

    kind = "histogram"

    def __init__(
        self, name: str, doc: str, labels: Sequence[str] = (), buckets: Sequence[float] = ()
    ) -> None:
        super().__init__(name, doc, labels)
        self._bounds = (*buckets, float("inf"))
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Counts an observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def _child(self) -> Self:
        return type(self)(self._name, self._doc, buckets=self._bounds[:-1])

    def _add_samples(self, metric: Metric, labels: dict[str, str]) -> None:
        total = 0
        for bound, count in zip(self._bounds, self._counts, strict=True):
            total += count
            text = floatToGoString(bound)  # type: ignore[no-untyped-call]  # of the library
            metric.add_sample(f"{self._name}_bucket", {**labels, "le": text}, total)
        metric.add_sample(f"{self._name}_count", labels, total)
        metric.add_sample(f"{self._name}_sum", labels, self._sum)
