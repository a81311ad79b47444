"""Owned tasks end with their owner and never fail in silence."""

import asyncio

import pytest
import structlog.testing

from parley.service.tasks import TaskOwner


async def test_closing_cancels_every_task_and_waits_for_it() -> None:
    owner = TaskOwner()
    cleaned = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    task = owner.spawn(work(), name="work")
    await asyncio.sleep(0)
    await owner.aclose()

    assert task.cancelled()
    assert cleaned.is_set()
    assert len(owner) == 0


async def test_crash_is_logged() -> None:
    owner = TaskOwner()

    async def work() -> None:
        raise ValueError("broken")

    with structlog.testing.capture_logs() as logs:
        await asyncio.wait([owner.spawn(work(), name="work")])
        await asyncio.sleep(0)

    assert [(line["event"], line["task"]) for line in logs] == [("task crashed", "work")]
    assert isinstance(logs[0]["exc_info"], ValueError)
    await owner.aclose()


async def test_result_can_be_awaited() -> None:
    owner = TaskOwner()

    async def work() -> int:
        return 5

    assert await owner.spawn(work(), name="work") == 5
    await asyncio.sleep(0)
    assert len(owner) == 0


async def test_closed_owner_starts_nothing() -> None:
    owner = TaskOwner()
    await owner.aclose()

    async def work() -> None:
        raise AssertionError("must not run")

    with pytest.raises(RuntimeError, match="its owner is closed"):
        owner.spawn(work(), name="work")


async def test_task_that_closes_its_own_owner_goes_on() -> None:
    owner = TaskOwner()
    other = owner.spawn(asyncio.Event().wait(), name="other")

    async def work() -> str:
        await owner.aclose()
        return "done"

    assert await owner.spawn(work(), name="work") == "done"
    assert other.cancelled()
