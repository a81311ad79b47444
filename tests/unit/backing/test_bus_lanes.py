"""Lanes of a topic: the order of each key, whatever happens to the partitions."""

from parley.backing.bus.kafka_lanes import TopicLanes
from parley.backing.bus.publish_queue import Entry


def _entry(sequence: int) -> Entry:
    return Entry(sequence, "calls", f"k{sequence % 5}", b"%d" % sequence, 0)


def _orders(topic: TopicLanes) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for lane in topic.sendable():
        for entry in lane.waiting:
            found.setdefault(entry.key, []).append(entry.sequence)
    return found


_IN_ORDER = {f"k{key}": list(range(key, 40, 5)) for key in range(5)}


def test_records_wait_in_one_line_until_the_partitions_are_known() -> None:
    topic = TopicLanes("calls", "calls")
    for n in range(20):
        topic.add(_entry(n))
    assert topic.is_blocked and not list(topic.sendable())
    topic.open(4)
    for n in range(20, 40):
        topic.add(_entry(n))
    assert not topic.is_blocked
    assert _orders(topic) == _IN_ORDER


def test_a_key_has_one_partition() -> None:
    topic = TopicLanes("calls", "calls")
    topic.open(4)
    for n in range(40):
        topic.add(_entry(n))
    keys = [{entry.key for entry in lane.waiting} for lane in topic.sendable()]
    assert sum(len(each) for each in keys) == 5


def test_a_batch_that_comes_back_stands_first_again() -> None:
    topic = TopicLanes("calls", "calls")
    topic.open(2)
    for n in range(40):
        topic.add(_entry(n))
    for lane in list(topic.sendable()):
        lane.in_flight = [lane.waiting.popleft() for _ in range(5)]
    assert not list(topic.sendable())
    topic.take_back()
    assert topic.is_blocked
    topic.open(2)
    assert _orders(topic) == _IN_ORDER


def test_more_partitions_deal_what_waits_anew() -> None:
    topic = TopicLanes("calls", "calls")
    topic.open(2)
    for n in range(40):
        topic.add(_entry(n))
    topic.take_back()
    topic.open(8)
    assert _orders(topic) == _IN_ORDER
    assert all(lane.partition < 8 for lane in topic.sendable())
