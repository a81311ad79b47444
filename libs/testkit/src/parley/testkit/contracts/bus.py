"""What every adapter of the bus port does.

The arm's adapter has at least two partitions, three attempts and short pauses between them. A real
one does nothing at once: a group needs a moment to deal its partitions, and a tail to connect.
"""

import asyncio
from collections.abc import Sequence

from parley.backing.bus.base import Bus, Record
from parley.backing.errors import BackingUnavailable
from parley.testkit.contracts.arms import Arm, Behaviour, refuses, settled

TOPIC = "calls"
ATTEMPTS = 3
_PATIENCE_S = 20.0


class Sink:
    """A handler that keeps what it got; fails for values in `bad`."""

    def __init__(self, *bad: bytes) -> None:
        self.records: list[Record] = []
        self.bad = set(bad)
        self.failures: list[bytes] = []

    async def __call__(self, records: Sequence[Record]) -> None:
        """Takes a batch."""
        for record in records:
            if record.value in self.bad:
                self.failures.append(record.value)
                raise RuntimeError("this record cannot be handled")
        self.records += records

    @property
    def values(self) -> list[bytes]:
        """Values in order of arrival."""
        return [record.value for record in self.records]

    def values_of(self, key: str) -> list[bytes]:
        """Values of one key in order of arrival."""
        return [record.value for record in self.records if record.key == key]

    async def has(self, count: int) -> None:
        """Waits until that many records came."""
        await settled(lambda: len(self.records) >= count, _PATIENCE_S)


async def a_group_gets_every_record_in_order_of_its_key(arm: Arm[Bus]) -> None:
    """Offsets grow per partition; a key has one partition."""
    bus = await arm.open()
    sink = Sink()
    bus.subscribe(TOPIC, "g", sink)
    since_s = arm.clock.wall_s()
    for n in range(100):
        bus.publish(TOPIC, f"key{n % 7}", b"%d" % n)
    await sink.has(100)
    assert len(sink.records) == 100
    for key in range(7):
        assert sink.values_of(f"key{key}") == [b"%d" % n for n in range(100) if n % 7 == key]
    first = sink.records[0]
    assert first.topic == TOPIC
    # A real adapter keeps milliseconds.
    assert since_s - 0.001 <= first.timestamp_s <= arm.clock.wall_s()
    assert len({record.partition for record in sink.records if record.key == "key1"}) == 1


async def every_group_gets_everything(arm: Arm[Bus]) -> None:
    """Groups do not know of each other; a new one begins with the oldest record kept."""
    bus = await arm.open()
    early, late = Sink(), Sink()
    bus.subscribe(TOPIC, "early", early)
    bus.publish(TOPIC, "k", b"1")
    await early.has(1)
    bus.subscribe(TOPIC, "late", late)
    bus.publish(TOPIC, "k", b"2")
    await late.has(2)
    await early.has(2)
    assert early.values == late.values == [b"1", b"2"]


async def members_of_a_group_share_the_work(arm: Arm[Bus]) -> None:
    """Each record goes to one of them, and a member that leaves is replaced."""
    bus = await arm.open()
    one, two = Sink(), Sink()
    first = bus.subscribe(TOPIC, "g", one)
    bus.subscribe(TOPIC, "g", two)
    values: list[bytes] = []
    # The first to join may have everything until the second one is there too.
    while not (one.records and two.records):
        for n in range(len(values), len(values) + 64):
            values.append(b"%d" % n)
            bus.publish(TOPIC, f"k{n}", values[-1])
        await settled(lambda: len(one.records) + len(two.records) >= len(values), _PATIENCE_S)
    assert sorted(one.values + two.values) == sorted(values)
    await first.aclose()
    taken = len(one.records)
    for n in range(64):
        bus.publish(TOPIC, f"k{n}", b"again")
    await settled(lambda: two.values.count(b"again") == 64, _PATIENCE_S)
    assert len(one.records) == taken


async def a_member_that_joins_does_not_overtake_a_running_handler(arm: Arm[Bus]) -> None:
    """Records of a key stay in order when partitions change hands."""
    bus = await arm.open()
    gate, entered = asyncio.Event(), asyncio.Event()
    seen: list[bytes] = []

    async def slow(records: Sequence[Record]) -> None:
        entered.set()
        await gate.wait()
        seen.extend(record.value for record in records)

    async def fast(records: Sequence[Record]) -> None:
        seen.extend(record.value for record in records)

    bus.subscribe(TOPIC, "g", slow)
    for n in range(32):
        bus.publish(TOPIC, f"k{n}", b"a%d" % n)
    await asyncio.wait_for(entered.wait(), _PATIENCE_S)
    bus.subscribe(TOPIC, "g", fast)
    for n in range(32):
        bus.publish(TOPIC, f"k{n}", b"b%d" % n)
    await asyncio.sleep(0)
    gate.set()
    await settled(lambda: len(seen) >= 64, _PATIENCE_S)
    assert len(seen) == len(set(seen)) == 64
    assert all(seen.index(b"a%d" % n) < seen.index(b"b%d" % n) for n in range(32))


async def a_record_whose_handler_failed_comes_again(arm: Arm[Bus]) -> None:
    """And those behind it wait for it."""
    bus = await arm.open()
    sink = Sink(b"2")
    bus.subscribe(TOPIC, "g", sink)
    for value in (b"1", b"2", b"3"):
        bus.publish(TOPIC, "k", value)
    await settled(lambda: bool(sink.failures), _PATIENCE_S)
    sink.bad.clear()
    await settled(lambda: sink.values_of("k")[-1:] == [b"3"], _PATIENCE_S)
    assert [value for value in sink.values if value != b"1"] == [b"2", b"3"]


async def a_record_that_always_fails_becomes_a_dead_letter(arm: Arm[Bus]) -> None:
    """The others go on, each handled once."""
    bus = await arm.open()
    sink, dead = Sink(b"bad"), Sink()
    bus.subscribe(TOPIC, "g", sink)
    bus.subscribe(TOPIC + ".dead", "undertaker", dead)
    for value in (b"1", b"bad", b"3"):
        bus.publish(TOPIC, "k", value)
    await dead.has(1)
    await sink.has(2)
    assert (dead.records[0].key, dead.records[0].value) == ("k", b"bad")
    assert sink.values == [b"1", b"3"]
    assert len(sink.failures) in {ATTEMPTS, ATTEMPTS + 1}  # once more with its batch


async def a_tail_sees_what_comes_from_now_on(arm: Arm[Bus]) -> None:
    """A failing handler misses that batch and goes on."""
    bus = await arm.open()
    await bus.publish_and_wait(TOPIC, "k", b"before")
    one, two = Sink(b"bad"), Sink()
    bus.tail(TOPIC, one)
    follower = bus.tail(TOPIC, two)
    bus.publish(TOPIC, "k", b"bad")
    await two.has(1)
    await settled(lambda: bool(one.failures), _PATIENCE_S)
    bus.publish(TOPIC, "k", b"good")
    await one.has(1)
    await two.has(2)
    assert one.values == [b"good"] and two.values == [b"bad", b"good"]
    await follower.aclose()
    bus.publish(TOPIC, "k", b"after")
    await one.has(2)
    assert two.values == [b"bad", b"good"]


async def what_was_not_consumed_is_delivered_after_a_restart(arm: Arm[Bus]) -> None:
    """Committed records are not delivered again."""
    bus = await arm.open()
    sink = Sink()
    subscription = bus.subscribe(TOPIC, "g", sink)
    bus.publish(TOPIC, "k", b"1")
    await sink.has(1)
    await settled(lambda: subscription.lag == 0, _PATIENCE_S)
    await subscription.aclose()
    bus.publish(TOPIC, "k", b"2")
    await bus.publish_and_wait(TOPIC, "k", b"3")
    await arm.close(bus)
    bus = await arm.open()
    again = Sink()
    bus.subscribe(TOPIC, "g", again)
    bus.publish(TOPIC, "k", b"4")
    await again.has(3)
    assert again.values == [b"2", b"3", b"4"]
    assert again.records[0].offset == sink.records[0].offset + 1


async def closing_lets_consumers_catch_up(arm: Arm[Bus]) -> None:
    """And then refuses everything."""
    bus = await arm.open()
    sink = Sink()
    bus.subscribe(TOPIC, "g", sink)
    for n in range(10):
        bus.publish(TOPIC, "k", b"%d" % n)
    await arm.close(bus)
    assert len(sink.records) == 10
    with refuses(BackingUnavailable):
        bus.publish(TOPIC, "k", b"x")
    with refuses(BackingUnavailable):
        bus.subscribe(TOPIC, "g", sink)


async def a_handler_may_close_its_own_subscription(arm: Arm[Bus]) -> None:
    """Without waiting for itself; the batch counts as handled."""
    bus = await arm.open()
    seen: list[bytes] = []

    async def once(records: Sequence[Record]) -> None:
        seen.extend(record.value for record in records)
        await subscription.aclose()

    subscription = bus.subscribe(TOPIC, "g", once)
    bus.publish(TOPIC, "k", b"1")
    await settled(lambda: bool(seen), _PATIENCE_S)
    bus.publish(TOPIC, "k", b"2")
    rest = Sink()
    bus.subscribe(TOPIC, "g", rest)
    await rest.has(1)
    assert (seen, rest.values) == ([b"1"], [b"2"])


BEHAVIOURS: tuple[Behaviour[Bus], ...] = (
    a_group_gets_every_record_in_order_of_its_key,
    every_group_gets_everything,
    members_of_a_group_share_the_work,
    a_member_that_joins_does_not_overtake_a_running_handler,
    a_record_whose_handler_failed_comes_again,
    a_record_that_always_fails_becomes_a_dead_letter,
    a_tail_sees_what_comes_from_now_on,
    what_was_not_consumed_is_delivered_after_a_restart,
    closing_lets_consumers_catch_up,
    a_handler_may_close_its_own_subscription,
)
