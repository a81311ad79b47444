"""Several operations at once, without a task for each."""

import asyncio

import pytest

from parley.backing.state.base import in_one_turn


class Desk:
    """Operations that note when they begin and wait for futures of ours."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.waits: dict[str, asyncio.Future[int]] = {}

    async def ask(self, name: str) -> int:
        self.begun.append(name)
        self.waits[name] = asyncio.get_running_loop().create_future()
        return await self.waits[name] + 1

    async def know(self, name: str) -> str:
        self.begun.append(name)
        return name

    async def refuse(self, name: str) -> int:
        self.begun.append(name)
        raise ValueError(name)


async def test_all_begin_in_order_before_anything_is_waited_for() -> None:
    desk = Desk()
    asking = asyncio.create_task(in_one_turn(desk.ask("a"), desk.know("b"), desk.ask("c")))
    await asyncio.sleep(0)

    assert desk.begun == ["a", "b", "c"]
    desk.waits["c"].set_result(3)
    desk.waits["a"].set_result(1)
    assert await asking == [2, "b", 4]


async def test_what_never_waits_needs_no_turn_of_the_loop() -> None:
    desk = Desk()
    operation = in_one_turn(desk.know("a"), desk.know("b"))

    with pytest.raises(StopIteration) as stop:
        operation.send(None)

    assert stop.value.value == ["a", "b"]


async def test_a_failure_is_raised_and_leaves_nothing_behind() -> None:
    desk = Desk()
    asking = asyncio.create_task(in_one_turn(desk.ask("a"), desk.ask("b")))
    await asyncio.sleep(0)

    desk.waits["a"].set_exception(ValueError("no"))

    with pytest.raises(ValueError, match="no"):
        await asking
    assert desk.waits["b"].cancelled()


async def test_an_operation_that_fails_at_once_gives_up_the_others() -> None:
    desk = Desk()

    with pytest.raises(ValueError, match="b"):
        await in_one_turn(desk.ask("a"), desk.refuse("b"), desk.ask("c"))

    assert desk.begun == ["a", "b"]
    assert desk.waits["a"].cancelled()


async def test_cancelling_ends_every_operation() -> None:
    desk = Desk()
    asking = asyncio.create_task(in_one_turn(desk.ask("a"), desk.ask("b")))
    await asyncio.sleep(0)

    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    assert desk.waits["a"].cancelled()
    assert desk.waits["b"].cancelled()
