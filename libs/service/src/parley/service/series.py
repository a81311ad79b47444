"""Counters, gauges and histograms: plain numbers, read when Prometheus scrapes.

They are counted on the path of every message and call, so a count is one addition: no lock, because
one thread counts, and nothing to hand over between two scrapes. What can be checked is checked when
a series is made; the amounts that are counted are not.
"""

import re
from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Final, Self

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_BOUND: Final = "le"
"""The label that Prometheus itself gives to the buckets of a histogram."""


class Series(Collector):
    """What goes by one name: a number, or one for each set of labels.

    A series with labels has no number of its own; to count there raises `ValueError`.

    Attributes:
        label_names: names of the labels.
    """

    kind: ClassVar[str]

    def __init__(self, name: str, doc: str, labels: Sequence[str] = ()) -> None:
        """Makes a series.

        Raises:
            ValueError: Prometheus would not read the name, or that of a label.
        """
        self._name = name
        self._doc = doc
        self.label_names = tuple(labels)
        self._children: dict[tuple[str, ...], Self] = {}
        for each in (name, *labels):
            if not _NAME.fullmatch(each):
                raise ValueError(f"{each!r} is no name for a metric or label")
        if len(set(labels)) < len(self.label_names) or any(map(_is_taken, labels)):
            raise ValueError(f"metric {name} cannot have the labels {self.label_names}")

    def labels(self, *values: str) -> Self:
        """Returns the number with these values of the labels; hot paths keep it.

        Raises:
            ValueError: they are not as many as the labels, or there are no labels.
        """
        child = self._children.get(values)
        return self._labelled(tuple(map(str, values))) if child is None else child

    def _labelled(self, values: tuple[str, ...]) -> Self:
        child = self._children.get(values)
        if child is None:
            if not values or len(values) != len(self.label_names):
                raise ValueError(f"metric {self._name} has the labels {self.label_names}")
            child = self._children[values] = self._child()
        return child

    def collect(self) -> Iterator[Metric]:
        """Reads the numbers."""
        metric = Metric(self._name, self._doc, self.kind)
        if not self.label_names:
            self._add_samples(metric, {})
        for values, child in self._children.items():
            child._add_samples(metric, dict(zip(self.label_names, values, strict=True)))
        yield metric

    def _child(self) -> Self:
        return type(self)(self._name, self._doc)

    def _no_number(self) -> ValueError:
        return ValueError(f"metric {self._name} is counted by its labels {self.label_names}")

    @abstractmethod
    def _add_samples(self, metric: Metric, labels: dict[str, str]) -> None: ...


class Counter(Series):
    """A number that only grows.

    Attributes:
        value: the number; there is none where there are labels.
    """

    kind = "counter"
    value: float

    def __init__(self, name: str, doc: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, doc, labels)
        if not labels:
            self.value = 0
        self._sources: list[Callable[[], float]] = []

    def inc(self, amount: float = 1) -> None:
        """Counts; nobody checks that the amount is not negative."""
        if self.label_names:
            raise self._no_number()
        self.value += amount

    def read(self, number: Callable[[], float]) -> None:
        """Adds a number that only grows and is kept elsewhere."""
        if self.label_names:
            raise self._no_number()
        self._sources.append(number)

    def _add_samples(self, metric: Metric, labels: dict[str, str]) -> None:
        value = self.value + sum(number() for number in self._sources)
        metric.add_sample(f"{self._name}_total", labels, value)


class Gauge(Series):
    """A number that goes up and down.

    Attributes:
        value: the number, unless it is kept elsewhere; there is none where there are labels.
    """

    kind = "gauge"
    value: float

    def __init__(self, name: str, doc: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, doc, labels)
        if not labels:
            self.value = 0
        self._source: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        """Notes what it is now."""
        if self.label_names:
            raise self._no_number()
        self.value = value

    def inc(self) -> None:
        """One more."""
        if self.label_names:
            raise self._no_number()
        self.value += 1

    def dec(self) -> None:
        """One less."""
        if self.label_names:
            raise self._no_number()
        self.value -= 1

    def read(self, number: Callable[[], float]) -> None:
        """Shows a number that is kept elsewhere from now on."""
        if self.label_names:
            raise self._no_number()
        self._source = number

    def _add_samples(self, metric: Metric, labels: dict[str, str]) -> None:
        metric.add_sample(self._name, labels, self._source() if self._source else self.value)


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
        """Counts an observation; nobody checks that it is a number: NaN spoils the sum."""
        if self.label_names:
            raise self._no_number()
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


def _is_taken(label: str) -> bool:
    return label.startswith("__") or label == _BOUND
