"""Series are made once per process and rendered for Prometheus."""

import asyncio

import pytest

from parley.service.metrics import LoopLag, Metrics, Registry
from parley.testkit.clock import FakeClock


def test_two_instances_of_a_service_share_a_series() -> None:
    registry = Registry()
    first = Metrics(registry, "edge").counter("requests", "Requests.", ["method"])
    second = Metrics(registry, "edge").counter("requests", "Requests.", ["method"])

    first.labels("INVITE").inc()
    second.labels("INVITE").inc(2)

    assert registry.value("parley_edge_requests_total", {"method": "INVITE"}) == 3
    assert b'parley_edge_requests_total{method="INVITE"} 3.0' in registry.render()


def test_name_of_another_kind_is_refused() -> None:
    metrics = Metrics(Registry(), "edge")
    metrics.gauge("calls", "Calls.")

    with pytest.raises(ValueError, match="is a Gauge, not a Histogram"):
        metrics.histogram("calls", "Calls.")


@pytest.mark.parametrize("labels", [[], ["method", "side"], ["side"]])
def test_name_with_other_labels_is_refused(labels: list[str]) -> None:
    registry = Registry()
    Metrics(registry, "edge").counter("requests", "Requests.", ["method"])

    with pytest.raises(ValueError, match="has the labels"):
        Metrics(registry, "edge").counter("requests", "Requests.", labels)


def test_a_refused_name_leaves_nothing_behind() -> None:
    metrics = Metrics(Registry(), "edge")
    with pytest.raises(ValueError, match="is no name"):
        metrics.gauge("bad-name", "Bad.")
    assert b"bad" not in metrics.registry.render()


def test_a_number_kept_elsewhere_is_read_when_scraped() -> None:
    registry = Registry()
    sent = {"a": 1, "b": 10}
    Metrics(registry, "edge").read("sent", "Sent.", lambda: sent["a"])
    Metrics(registry, "edge").read("sent", "Sent.", lambda: sent["b"])

    sent["a"] = 5

    assert registry.value("parley_edge_sent_total") == 15
    assert b"parley_edge_sent_total 15.0" in registry.render()


def test_process_figures_are_rendered() -> None:
    assert b"process_cpu_seconds_total" in Registry().render()


async def test_late_timer_shows_as_loop_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley.service.metrics._LAG_INTERVAL_S", 0.001)
    registry, clock = Registry(), FakeClock()
    lag = LoopLag(Metrics(registry, "edge"), clock)
    lag.start()

    clock.advance(0.25)
    fired = asyncio.Event()
    asyncio.get_running_loop().call_later(0.001, fired.set)
    await fired.wait()
    lag.close()

    assert registry.value("parley_edge_loop_lag_seconds") == pytest.approx(0.249)
