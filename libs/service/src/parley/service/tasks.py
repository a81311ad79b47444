"""Owned tasks: none is lost, none outlives its owner.

A task that ends by an exception is logged; whoever needs the result awaits the task as well. On
Python 3.12 and later tasks start at once, so one that finishes without waiting costs no turn of the
loop.
"""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

_logger = structlog.stdlib.get_logger(__name__)

if sys.version_info >= (3, 12):

    def _start(coro: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        loop = asyncio.get_running_loop()
        return asyncio.Task(coro, loop=loop, name=name, eager_start=True)

else:

    def _start(coro: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        return asyncio.get_running_loop().create_task(coro, name=name)


class TaskOwner:
    """Starts tasks and ends them all in `aclose`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, coro: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Starts a task that this owner cancels when it is closed.

        Raises:
            RuntimeError: the owner is closed.
        """
        if self._is_closed:
            coro.close()
            raise RuntimeError(f"cannot start {name}: its owner is closed")
        task = _start(coro, name)
        if task.done():
            self._check(task)
        else:
            self._tasks.add(task)
            task.add_done_callback(self._forget)
        return task

    async def aclose(self) -> None:
        """Cancels every task and returns when all have ended."""
        self._is_closed = True
        current = asyncio.current_task()
        while tasks := [task for task in self._tasks if task is not current]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            # Their done callbacks may not have run yet; without this the loop would spin.
            self._tasks.difference_update(tasks)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._check(task)

    def _check(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            _logger.error("task crashed", task=task.get_name(), exc_info=error)
