import asyncio

from parley.backing.media.pacing import Paced


async def test_items_leave_in_batches_with_a_pause_between() -> None:
    loop = asyncio.get_running_loop()
    told: list[tuple[int, float]] = []
    done = asyncio.Event()

    def deliver(item: int) -> None:
        told.append((item, loop.time()))
        if item == 499:
            done.set()

    began = loop.time()
    paced = Paced(deliver, batch=100, pause_s=0.02)
    paced.add(range(250))
    assert len(told) == 100
    paced.add(range(250, 500))
    assert len(told) == 100
    await asyncio.wait_for(done.wait(), 3)
    assert [item for item, _ in told] == list(range(500))
    # Timers may be a tick early.
    assert told[499][1] - began >= 4 * 0.02 - 0.01
    paced.close()


async def test_the_pace_holds_between_two_floods() -> None:
    told: list[int] = []
    paced = Paced(told.append, batch=2, pause_s=0.01)
    paced.add([1, 2])
    paced.add([3])
    assert told == [1, 2]
    async with asyncio.timeout(3):
        while len(told) < 3:  # noqa: ASYNC110 - the queue has no event
            await asyncio.sleep(0.001)
    paced.close()


async def test_nothing_is_told_after_the_close() -> None:
    told: list[int] = []
    paced = Paced(told.append, batch=1, pause_s=0.001)
    paced.add([1, 2, 3])
    paced.close()
    await asyncio.sleep(0.01)
    assert told == [1]
    assert len(paced) == 0
