"""Reconciliation: work that makes ZooKeeper what it should be, retried until it succeeds.

Registrations and the view are wishes. Each has a piece of work that compares the wish
with what is there and changes it; it may be done any number of times. `wake` asks for it: after a
change of the wish, of what is watched, or of the session.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from parley.backing.discovery.zookeeper_session import ZookeeperSession
from parley.backing.errors import BackingError
from parley.service.tasks import TaskOwner

_PAUSE_S = 0.2
_LONG_PAUSE_S = 1.0

_logger = structlog.stdlib.get_logger(__name__)


class Refused(BackingError, ValueError):
    """It cannot be done as long as things are as they are; it is tried again, less often."""


class Upkeep:
    """Runs one piece of work.

    Args:
        session: it is done only while this is connected.
        work: returns True when it is over for good.
        name: for logs.
    """

    def __init__(
        self, session: ZookeeperSession, work: Callable[[], Awaitable[bool]], name: str
    ) -> None:
        self.refusal: Refused | None = None
        self._session = session
        self._work = work
        self._name = name
        self._due = asyncio.Event()
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, tasks: TaskOwner, on_over: Callable[[], None] | None = None) -> None:
        """Begins; the owner of the tasks ends it. `on_over` is called when it has ended."""
        self._due.set()
        self._task = tasks.spawn(self._run(), name=self._name)
        if on_over is not None:
            self._task.add_done_callback(lambda _: on_over())

    def wake(self) -> None:
        """Asks for the work to be done once more."""
        self._tried.clear()
        self._due.set()

    def cancel(self) -> None:
        """Ends it now, whatever is left to do."""
        if self._task is not None:
            self._task.cancel()

    async def wait_done(self, timeout_s: float) -> bool:
        """Returns when all that was asked for is done or refused; False if it takes longer."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._tried.wait()
        except TimeoutError:
            return False
        return True

    async def _run(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            await self._session.wait_connected()
            pause_s = 0.0
            try:
                is_over = await self._work()
            except Refused as error:
                is_over, pause_s = False, _LONG_PAUSE_S
                self._refuse(error)
            except BackingError as error:
                is_over, pause_s = False, _PAUSE_S
                _logger.info("discovery work waits", work=self._name, reason=str(error))
            except Exception:
                is_over, pause_s = False, _LONG_PAUSE_S
                _logger.exception("discovery work failed", work=self._name)
            else:
                self.refusal = None
                if is_over or not self._due.is_set():
                    self._tried.set()
            if is_over:
                return
            if pause_s:
                await asyncio.sleep(pause_s)
                self._due.set()

    def _refuse(self, error: Refused) -> None:
        if self.refusal is None:
            _logger.error("discovery work refused", work=self._name, reason=str(error))
        self.refusal = error
        self._tried.set()
