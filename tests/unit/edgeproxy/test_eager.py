"""Coroutines that run at once, and become a task only when they wait."""

import asyncio

import pytest

from parley.edgeproxy.eager import run_eagerly
from parley.service.tasks import TaskOwner


async def test_work_that_does_not_wait_is_done_at_once_without_a_task() -> None:
    owner = TaskOwner()
    done: list[str] = []

    async def work() -> None:
        done.append("all")

    run_eagerly(work(), owner, "work")

    assert done == ["all"]
    assert len(owner) == 0


async def test_work_that_waits_goes_on_as_a_task_of_the_owner() -> None:
    owner = TaskOwner()
    loop = asyncio.get_running_loop()
    first: asyncio.Future[int] = loop.create_future()
    done: list[int] = []
    finished = asyncio.Event()

    async def work() -> None:
        done.append(await first)
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        finished.set()

    run_eagerly(work(), owner, "work")
    assert len(owner) == 1
    first.set_result(7)

    await asyncio.wait_for(finished.wait(), 5)
    assert done == [7]
    await owner.aclose()


async def test_future_that_is_done_before_the_task_starts_is_not_missed() -> None:
    owner = TaskOwner()
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    finished = asyncio.Event()

    async def work() -> None:
        await future
        finished.set()

    run_eagerly(work(), owner, "work")
    future.set_result(None)

    await asyncio.wait_for(finished.wait(), 5)


async def test_failed_future_raises_inside_the_work() -> None:
    owner = TaskOwner()
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    caught = asyncio.Event()

    async def work() -> None:
        try:
            await future
        except LookupError:
            caught.set()

    run_eagerly(work(), owner, "work")
    future.set_exception(LookupError())

    await asyncio.wait_for(caught.wait(), 5)


async def test_closing_the_owner_cancels_the_work_and_runs_its_cleanup() -> None:
    owner = TaskOwner()
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append("up")

    run_eagerly(work(), owner, "work")
    await asyncio.sleep(0)
    await owner.aclose()

    assert cleaned == ["up"]


async def test_error_before_the_first_wait_is_the_callers() -> None:
    async def work() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        run_eagerly(work(), TaskOwner(), "work")
