"""When Python's garbage collector may run: not while calls wait for it.

The hot paths leave no reference cycles: reference counts free what a transaction or a call held.
What is left in cycles (errors with their tracebacks, libraries) is little, and a collection stops
everything for as long as it walks. So it never runs by itself after the start: a full one is made
when the process is idle, at the latest after an hour or when so many objects have been added that
they may be garbage. What the start has made, modules, settings and tables, stays until the end and
is never walked.
"""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time
from typing import Final

import structlog

LOOK_S: Final = 10.0
"""How often it looks whether the process is idle."""
IDLE_SHARE: Final = 0.03
"""Share of a core below which it is."""
IDLE_WAIT_S: Final = 60.0
"""How long it rests between two collections of an idle process."""
MAX_WAIT_S: Final = 3600.0
"""How long a busy process may go without one."""
MAX_OBJECTS: Final = 3_000_000
"""Containers made and not freed since the last one, dead in cycles or alive: some 300 to 600 MB.

A registrar at 2,000 a second has a million that live, half a minute of transactions most of them,
and to walk those stops it for most of a second. Where memory is less there may be fewer of them.
"""
_OBJECT_BYTES: Final = 200
"""What a container takes, with what it alone holds."""
_GARBAGE_SHARE: Final = 4
"""The part of a limited memory that garbage may take, as its divisor."""
_MEMORY_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")
"""Of the container that this process runs in (cgroup v2)."""

_logger = structlog.stdlib.get_logger(__name__)


class CollectionPlan:
    """Decides when to collect; times in seconds, of any two clocks that go on.

    Args:
        now: monotonic time.
        cpu: CPU time of the process.
        max_objects: containers added after which it is due however busy the process is.
    """

    def __init__(self, now: float, cpu: float, max_objects: int = MAX_OBJECTS) -> None:
        self._max_objects = max_objects
        self._collected_at = now
        self._looked = (now, cpu)

    def is_due(self, now: float, cpu: float, objects: int) -> bool:
        """Says whether to collect now; ask it every `LOOK_S`.

        Args:
            now: monotonic time.
            cpu: CPU time of the process.
            objects: containers added since the last collection.
        """
        before, spent = self._looked
        self._looked = (now, cpu)
        waited = now - self._collected_at
        is_idle = cpu - spent < IDLE_SHARE * (now - before)
        if waited < (IDLE_WAIT_S if is_idle else MAX_WAIT_S) and objects < self._max_objects:
            return False
        self._collected_at = now
        return True


def objects_that_fit(limit: Path = _MEMORY_LIMIT) -> int:
    """How many containers may be garbage: `MAX_OBJECTS`, fewer where memory is limited."""
    try:
        limit_bytes = int(limit.read_text())
    except (OSError, ValueError):  # There is no such file, or it says "max".
        return MAX_OBJECTS
    return min(MAX_OBJECTS, limit_bytes // (_GARBAGE_SHARE * _OBJECT_BYTES))


@contextmanager
def collector_off() -> Iterator[None]:
    """Collects once, exempts all that is there from collections, and lets none start by itself."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


async def collect_when_idle() -> None:
    """Collects by plan, for ever."""
    now = asyncio.get_running_loop().time
    plan = CollectionPlan(now(), process_time(), objects_that_fit())
    while True:
        await asyncio.sleep(LOOK_S)
        if plan.is_due(now(), process_time(), gc.get_count()[0]):
            began = now()
            found = gc.collect()
            pause_ms = round((now() - began) * 1000)
            _logger.debug("garbage collected", objects=found, pause_ms=pause_ms)
