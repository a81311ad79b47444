"""The timer queues: order, cancellation, re-arming while firing."""

from parley.sip.timers import TimerKind, TimerQueues


class Recorder:
    def __init__(self, name: str, log: list[tuple[str, float]]) -> None:
        self.name = name
        self.log = log

    def handle_timer(self, kind: TimerKind, now: float) -> None:
        self.log.append((self.name, now))


class Repeater(Recorder):
    """Starts itself again each time, with a duration that was never used before."""

    def __init__(self, log: list[tuple[str, float]], queues: TimerQueues) -> None:
        super().__init__("repeater", log)
        self.queues = queues
        self.interval = 1.0

    def handle_timer(self, kind: TimerKind, now: float) -> None:
        super().handle_timer(kind, now)
        self.interval *= 2
        self.queues.queue(self.interval).start(self, now)


def test_timers_fire_when_due_and_the_earliest_is_known() -> None:
    queues = TimerQueues(TimerKind.EXPIRE)
    log: list[tuple[str, float]] = []
    queues.queue(32).start(Recorder("slow", log), 0)
    queues.queue(5).start(Recorder("fast", log), 1)
    assert queues.earliest.at == 6

    queues.fire_due(5.9)
    assert log == []
    queues.fire_due(6)
    assert log == [("fast", 6)]
    assert queues.earliest.at == 32
    queues.fire_due(100)
    assert log == [("fast", 6), ("slow", 100)]
    assert queues.earliest.at == float("inf")
    assert len(queues) == 0


def test_a_cancelled_timer_is_gone_at_once() -> None:
    queues = TimerQueues(TimerKind.EXPIRE)
    log: list[tuple[str, float]] = []
    waiters = [Recorder(str(number), log) for number in range(3)]
    queue = queues.queue(5)
    for waiter in waiters:
        queue.start(waiter, 0)
    del queue.entries[waiters[0]]
    assert len(queues) == 2
    queues.fire_due(5)
    assert log == [("1", 5), ("2", 5)]


def test_a_timer_may_start_another_while_it_fires() -> None:
    queues = TimerQueues(TimerKind.RETRANSMIT)
    log: list[tuple[str, float]] = []
    queues.queue(1.0).start(Repeater(log, queues), 0)
    for now in (1.0, 3.0, 7.0):
        assert queues.earliest.at == now
        queues.fire_due(now)
    assert [at for _, at in log] == [1.0, 3.0, 7.0]
    assert queues.earliest.at == 15.0
