"""The numbers that Prometheus reads."""

from typing import Any

import pytest

from parley.service.metrics import Metrics, Registry


def test_histogram_counts_up_to_each_bound() -> None:
    registry = Registry()
    histogram = Metrics(registry, "edge").histogram("wait_seconds", "Wait.", buckets=(1.0, 2.0))

    for value in (1.0, 1.5, 99.0):
        histogram.observe(value)

    def at_most(bound: str) -> float:
        return registry.value("parley_edge_wait_seconds_bucket", {"le": bound})

    assert [at_most("1.0"), at_most("2.0"), at_most("+Inf")] == [1, 2, 3]
    assert registry.value("parley_edge_wait_seconds_count") == 3
    assert registry.value("parley_edge_wait_seconds_sum") == 101.5


def test_histograms_children_have_its_bounds() -> None:
    registry = Registry()
    histogram = Metrics(registry, "edge").histogram("wait_seconds", "Wait.", ["path"], (1.0,))

    histogram.labels("/a").observe(0.5)

    assert registry.value("parley_edge_wait_seconds_bucket", {"path": "/a", "le": "1.0"}) == 1
    assert b'parley_edge_wait_seconds_sum{path="/a"} 0.5' in registry.render()


def test_gauge_goes_up_and_down_or_is_told_by_a_function() -> None:
    registry = Registry()
    gauge = Metrics(registry, "edge").gauge("calls", "Calls.")

    gauge.set(5)
    gauge.inc()
    gauge.dec()
    assert registry.value("parley_edge_calls") == 5

    gauge.read(lambda: 7.0)
    assert registry.value("parley_edge_calls") == 7


def test_labels_are_counted() -> None:
    metrics = Metrics(Registry(), "edge")
    counter = metrics.counter("requests", "Requests.", ["method"])

    with pytest.raises(ValueError, match="has the labels"):
        counter.labels("INVITE", "outside")
    with pytest.raises(ValueError, match="has the labels"):
        metrics.counter("calls", "Calls.").labels()


def test_series_without_labels_is_there_before_it_counts() -> None:
    registry = Registry()
    Metrics(registry, "edge").counter("requests", "Requests.")

    assert b"parley_edge_requests_total 0.0" in registry.render()


def test_a_series_with_labels_has_no_number_of_its_own() -> None:
    metrics = Metrics(Registry(), "edge")
    counter = metrics.counter("requests", "Requests.", ["method"])
    gauge = metrics.gauge("alive", "Alive.", ["kind"])
    histogram = metrics.histogram("wait_seconds", "Wait.", ["path"])

    for attempt in (
        counter.inc,
        gauge.inc,
        gauge.dec,
        lambda: gauge.set(1),
        lambda: gauge.read(lambda: 1),
        lambda: histogram.observe(1),
        lambda: metrics.read("requests", "Requests.", lambda: 1),
        lambda: counter.read(lambda: 1),
    ):
        with pytest.raises(ValueError, match="labels"):
            attempt()
    with pytest.raises(AttributeError):
        counter.value += 1


def test_a_label_s_value_may_be_anything_that_has_a_text() -> None:
    registry = Registry()
    counter: Any = Metrics(registry, "edge").counter("closed", "Closed.", ["code"])

    for code in (4001, "4001"):
        counter.labels(code).inc()

    assert counter.labels(4001) is counter.labels("4001")
    assert b'parley_edge_closed_total{code="4001"} 2.0' in registry.render()


@pytest.mark.parametrize("name", ["bad-name", "", "ä", "with space\n"])
def test_a_name_that_prometheus_does_not_read_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        Metrics(Registry(), "edge").counter(name + "-", "Requests.")
    with pytest.raises(ValueError, match="is no name"):
        Metrics(Registry(), "edge").gauge("calls", "Calls.", ["kind", name])


@pytest.mark.parametrize("labels", [["le"], ["__own"], ["a", "a"]])
def test_labels_that_are_taken_are_refused(labels: list[str]) -> None:
    with pytest.raises(ValueError, match="label"):
        Metrics(Registry(), "edge").histogram("wait_seconds", "Wait.", labels)
