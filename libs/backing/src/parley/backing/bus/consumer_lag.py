"""Consumer lag as a metric: records that wait for the consumers of this process."""

from parley.backing.bus.base import Subscription
from parley.service.metrics import Metrics

TAIL = ""
"""Stands for the group of those that follow a topic without one."""


class ConsumerLag:
    """Shows the lag per topic and group; several consumers of a group add up."""

    def __init__(self, metrics: Metrics) -> None:
        self._gauge = metrics.gauge(
            "bus_consumer_lag_records",
            "Records that wait for the consumers of this process; group is empty for a tail.",
            ("topic", "group"),
        )
        self._consumers: dict[tuple[str, str], list[Subscription]] = {}

    def add(self, topic: str, group: str, consumer: Subscription) -> None:
        """Counts a consumer from now on."""
        consumers = self._consumers.get((topic, group))
        if consumers is None:
            consumers = self._consumers[topic, group] = []
            shown = consumers
            self._gauge.labels(topic, group).read(lambda: sum(c.lag for c in shown))
        consumers.append(consumer)

    def remove(self, consumer: Subscription) -> None:
        """Counts a consumer no more."""
        for consumers in self._consumers.values():
            if consumer in consumers:
                consumers.remove(consumer)
