"""Runs a coroutine at once and makes a task only of what is left when it has to wait.

With embedded backing nothing on the path of a REGISTER waits, and a task would cost more than the
work. The first step runs outside any task, so what it calls must not ask for the current task
before its first real wait (`asyncio.timeout` does); the rest runs in an ordinary task of the
owner.
"""

from collections.abc import Coroutine, Generator
from typing import Any

from parley.service.tasks import TaskOwner


def run_eagerly(coroutine: Coroutine[Any, Any, None], owner: TaskOwner, name: str) -> None:
    """Runs the coroutine until it waits; the owner runs the remainder, if any.

    An exception before the first wait is raised here, one after it goes to the owner.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return
    owner.spawn(_finish(coroutine, awaited), name=name)


async def _finish(coroutine: Coroutine[Any, Any, None], awaited: Any) -> None:
    await _Remainder(coroutine, awaited)


class _Remainder:
    """The part of a started coroutine that begins with the future it waits for."""

    __slots__ = ("_awaited", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, None], awaited: Any) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, None]:
        coroutine, awaited = self._coroutine, self._awaited
        try:
            while True:
                try:
                    sent = yield awaited
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 - belongs to the inner one
                    awaited = coroutine.throw(error)
                else:
                    awaited = coroutine.send(sent)
        except StopIteration:
            return
        finally:
            coroutine.close()
