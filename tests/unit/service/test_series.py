"""The numbers that Prometheus reads."""

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

    gauge.set_function(lambda: 7.0)
    assert registry.value("parley_edge_calls") == 7


def test_labels_are_counted() -> None:
    counter = Metrics(Registry(), "edge").counter("requests", "Requests.", ["method"])

    with pytest.raises(ValueError, match="has the labels"):
        counter.labels("INVITE", "outside")


def test_series_without_labels_is_there_before_it_counts() -> None:
    registry = Registry()
    Metrics(registry, "edge").counter("requests", "Requests.")

    assert b"parley_edge_requests_total 0.0" in registry.render()
