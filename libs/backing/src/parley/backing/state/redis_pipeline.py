"""The commands of one server: collected for a turn of the loop, sent in one write.

Policy:

* What is asked for in one turn leaves in one batch; batches follow each other on one connection
  without waiting for replies, so the server does everything in the order in which it was asked.
* Every command has a deadline. When the oldest one that was sent has no reply by then, the
  connection is given up.
* A command that was sent and not answered has an unknown outcome: reads are done again, all others
  fail. What was not sent yet, or refused untouched, waits for the next connection.
* While there is no connection commands wait until their deadline; when it has been away for longer
  than that, they fail at once.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator

import structlog

from parley.backing.errors import BackingUnavailable
from parley.backing.state.redis_connect import Connector
from parley.backing.state.redis_limits import Limits, Statistics
from parley.backing.state.redis_link import Barrier, Command, Link, Refused, ReplyError
from parley.backing.state.redis_refusals import Refusal, error_of, refusal_of
from parley.service.tasks import TaskOwner

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.25

_logger = structlog.stdlib.get_logger(__name__)


class Pipeline:
    """The way to one server; implements `Receiver`.

    Attributes:
        name: of the server, for messages.
        on_redirect: takes commands that another server has to do, with the refusal's text.
        on_down: called when the connection was lost, and after each vain try to make one.
        on_forgotten: called when the server is another one than before.
    """

    def __init__(
        self, name: str, connector: Connector, limits: Limits, statistics: Statistics
    ) -> None:
        self.name = name
        self.on_redirect: Callable[[Command, str], None] = self._fail_redirect
        self.on_down: Callable[[], None] = lambda: None
        self.on_forgotten: Callable[[], None] = lambda: None
        self._connector = connector
        self._limits = limits
        self._statistics = statistics
        self._loop = asyncio.get_running_loop()
        self._tasks = TaskOwner()
        self._link: Link | None = None
        self._connected = asyncio.Event()
        self._generation: str | None = None
        self._trouble = "no connection yet"
        self._away_since: float | None = None
        self._again: deque[Command] = deque()
        self._queue: deque[Command] = deque()
        self._bytes = 0
        self._flushing: asyncio.Handle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def is_connected(self) -> bool:
        """Says whether commands reach the server now, as far as is known."""
        return self._link is not None

    @property
    def trouble(self) -> str:
        """Why there is no connection, or why the last one ended."""
        return self._trouble

    def start(self) -> None:
        """Begins to connect, and to do so again whenever the connection is lost."""
        self._tasks.spawn(self._connect(), name=f"connect to {self.name}")

    async def wait_connected(self) -> None:
        """Returns when there is a connection; the caller bounds the time."""
        await self._connected.wait()

    def submit(self, *commands: Command) -> None:
        """Takes commands that stay together.

        Raises:
            BackingUnavailable: too much waits already, or the server has been away for long.
        """
        if self._is_closed:
            raise BackingUnavailable(f"{self.name} is closed")
        limits = self._limits
        waiting = len(self._queue) + len(self._again)
        if self._link is not None:
            waiting += len(self._link.pending)
        elif self._away_since is not None and (
            self._loop.time() - self._away_since > limits.timeout_s
        ):
            raise BackingUnavailable(f"{self.name} is away: {self._trouble}")
        if waiting >= limits.max_commands or self._bytes >= limits.max_bytes:
            self._statistics.refusals += 1
            raise BackingUnavailable(f"the queue of {self.name} is full")
        for command in commands:
            self._bytes += len(command.packed)
            self._queue.append(command)
        if self._flushing is None:
            self._flushing = self._loop.call_soon(self._flush)
        if self._watch is None:
            self._watch = self._loop.call_at(commands[0].deadline, self._check)

    async def aclose(self) -> None:
        """Waits for the replies to what was asked for, within its deadlines, and disconnects."""
        self._is_closed = True
        while waiting := [command.future for command in self._waiting()]:
            if self._link is None:
                break
            self._flush()
            await asyncio.wait(waiting)
        await self.abandon()

    async def abandon(self) -> None:
        """Disconnects at once; what waits fails."""
        for command in self.retire():
            command.fail(BackingUnavailable(f"{self.name} is closed"))
        await self._tasks.aclose()

    def retire(self) -> list[Command]:
        """Disconnects and returns what another server may do instead; the rest fails."""
        self._is_closed = True
        link, self._link = self._link, None
        for handle in (self._flushing, self._watch):
            if handle is not None:
                handle.cancel()
        if link is not None:
            link.abort()
            self._give_up(link.pending, "the connection was closed")
        left = [*self._again, *self._queue]
        self._again.clear()
        self._queue.clear()
        self._bytes = 0
        return left

    # -- sending -----------------------------------------------------------------------------

    def _flush(self) -> None:
        self._flushing = None
        link = self._link
        if link is None or link.is_spent or not link.is_writable:
            return
        batch = []
        needs_barrier = False
        for queue in (self._again, self._queue):
            for command in queue:
                if command.future.done():  # its caller was cancelled
                    self._bytes -= len(command.packed)
                    continue
                batch.append(command)
                needs_barrier = needs_barrier or command.needs_replicas
            queue.clear()
        if not batch:
            return
        if needs_barrier and self._limits.wait_replicas:
            batch.append(self._barrier(batch))
        self._statistics.commands += len(batch)
        self._statistics.batches += 1
        link.send(batch)

    def _barrier(self, batch: list[Command]) -> Barrier:
        timeout_s = self._limits.timeout_s
        deadline = self._loop.time() + timeout_s
        barrier = Barrier(
            self._loop.create_future(), deadline, self._limits.wait_replicas, timeout_s / 2
        )
        self._bytes += len(barrier.packed)
        for command in batch:
            if command.needs_replicas:
                command.barrier = barrier
        return barrier

    # -- Receiver ----------------------------------------------------------------------------

    def answered(self, command: Command, reply: object) -> None:
        """Takes a reply."""
        self._bytes -= len(command.packed)
        if isinstance(reply, ReplyError):
            self._refused(command, str(reply))
        elif isinstance(command, Barrier):
            self._passed(command, reply)
        elif command.barrier is not None:
            command.barrier.held.append((command, reply))
        elif not command.future.done():
            command.future.set_result(reply)
        link = self._link
        if link is not None and link.is_spent and not link.pending:
            self._drop(self._trouble)

    def lost(self, link: Link, reason: str) -> None:
        """Takes the end of the connection."""
        self._drop(reason)

    def writable(self) -> None:
        """Sends what has waited for the server."""
        self._flush()

    def _refused(self, command: Command, text: str) -> None:
        match refusal_of(text):
            case Refusal.NO_SCRIPT if command.carry_source():
                self._do_again(command)
            case Refusal.NOT_NOW if self._link is not None:
                # Nothing was done. The next connection may find a server that can do it.
                self._do_again(command)
                self._leave(text)
            case Refusal.ELSEWHERE:
                command.barrier = None
                self.on_redirect(command, text)
            case _ if isinstance(command, Barrier):
                self._fail_held(command, text)
            case _:
                command.fail(error_of(command.key, text))

    def _do_again(self, command: Command) -> None:
        command.barrier = None
        self._again.append(command)
        self._bytes += len(command.packed)
        if self._flushing is None:
            self._flushing = self._loop.call_soon(self._flush)

    def _fail_redirect(self, command: Command, text: str) -> None:
        command.fail(
            BackingUnavailable(f"{self.name} belongs to a cluster; use redis+cluster:// ({text})")
        )

    def _passed(self, barrier: Barrier, reply: object) -> None:
        if isinstance(reply, int) and reply >= barrier.replicas:
            for command, held in barrier.held:
                command.settle(held)
            barrier.settle(reply)
        else:
            self._fail_held(
                barrier, f"only {reply} of {barrier.replicas} replicas confirmed it in time"
            )

    def _fail_held(self, barrier: Barrier, reason: str) -> None:
        barrier.settle(None)
        for command, _ in barrier.held:
            command.fail(BackingUnavailable(f"{self.name} did it, but {reason}"))

    # -- deadlines ---------------------------------------------------------------------------

    def _check(self) -> None:
        self._watch = None
        now = self._loop.time()
        link = self._link
        if link is not None and link.pending and link.pending[0].deadline <= now:
            self._drop(f"no answer within {self._limits.timeout_s:g} s")
        for queue in (self._again, self._queue):
            while queue and (queue[0].deadline <= now or queue[0].future.done()):
                command = queue.popleft()
                self._bytes -= len(command.packed)
                command.fail(BackingUnavailable(f"{self.name} is away: {self._trouble}"))
        oldest = min((command.deadline for command in self._heads()), default=None)
        if oldest is not None:
            self._watch = self._loop.call_at(oldest, self._check)

    def _heads(self) -> Iterator[Command]:
        pending = self._link.pending if self._link is not None else None
        return (queue[0] for queue in (self._again, self._queue, pending) if queue)

    def _waiting(self) -> Iterator[Command]:
        if self._link is not None:
            yield from (command for command in self._link.pending if not command.future.done())
        for queue in (self._again, self._queue):
            yield from (command for command in queue if not command.future.done())

    # -- the connection ----------------------------------------------------------------------

    def _drop(self, reason: str) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        link.abort()
        self._connected.clear()
        self._trouble = reason
        self._away_since = self._loop.time()
        self._statistics.failures += 1
        _logger.warning("connection to Redis lost", server=self.name, reason=reason)
        self._give_up(link.pending, reason)
        self.on_down()
        if not self._is_closed:
            self.start()

    def _leave(self, reason: str) -> None:
        """Takes another connection as soon as what was sent is answered."""
        link = self._link
        if link is None:
            return
        self._trouble = reason
        link.is_spent = True
        if not link.pending:
            self._drop(reason)

    def _give_up(self, pending: deque[Command], reason: str) -> None:
        now = self._loop.time()
        for command in pending:
            if command.is_read and command.deadline > now and not command.future.done():
                self._again.append(command)
                continue
            self._bytes -= len(command.packed)
            if isinstance(command, Barrier):
                self._fail_held(command, f"replicas could not be asked: {reason}")
                continue
            command.fail(
                BackingUnavailable(f"{self.name}: {reason}; whether it was done is unknown")
            )
        pending.clear()

    async def _connect(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                async with asyncio.timeout(self._limits.timeout_s):
                    link, generation = await self._connector.connect()
            except (OSError, Refused) as error:
                self._trouble = str(error) or "no answer in time"
                if self._away_since is None:
                    self._away_since = self._loop.time()
                self.on_down()
            else:
                if self._use(link, generation):
                    return
            # Everybody lost the server at the same moment; they shall not come back as one.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _use(self, link: Link, generation: str) -> bool:
        if self._is_closed or not link.is_open:
            link.abort()
            return self._is_closed
        link.receiver = self
        self._link = link
        self._statistics.connections += 1
        self._away_since = None
        self._connected.set()
        before, self._generation = self._generation, generation
        _logger.info("connected to Redis", server=self.name, generation=generation)
        # A server that hides what it is may be any server.
        if before is not None and (before != generation or not generation):
            self.on_forgotten()
        self._flush()
        if self._connector.check_s is not None:
            self._tasks.spawn(
                self._follow(link, self._connector.check_s), name=f"follow {self.name}"
            )
        return True

    async def _follow(self, link: Link, check_s: float) -> None:
        while True:
            await asyncio.sleep(check_s)
            if self._link is not link:
                return
            try:
                async with asyncio.timeout(self._limits.timeout_s):
                    has_moved = await self._connector.has_moved()
            except (OSError, Refused):
                continue  # the master may well be there
            if has_moved and self._link is link:
                self._leave("another server has become the master")
