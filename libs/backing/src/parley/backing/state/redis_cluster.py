"""Redis Cluster: a pipeline per master, commands by the slot of their key.

The map of slots is asked for when a connection is lost and when a node says that a slot is
elsewhere. Commands that were refused untouched (MOVED, ASK, no node for the slot) are handed to
another node, or tried again after a pause, until their deadline.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import structlog
from redis.crc import key_slot

from parley.backing.errors import BackingUnavailable
from parley.backing.state.redis_connect import Direct
from parley.backing.state.redis_limits import Limits, Statistics
from parley.backing.state.redis_link import Command, Link, Refused
from parley.backing.state.redis_pipeline import Pipeline
from parley.backing.state.redis_slots import SlotMap
from parley.backing.state.redis_url import Address, RedisUrl
from parley.service.tasks import TaskOwner

_PAUSE_S = 0.05
_REFRESH_PAUSE_S = 0.1

_logger = structlog.stdlib.get_logger(__name__)


class Cluster:
    """Implements `Servers` for a cluster."""

    def __init__(
        self,
        url: RedisUrl,
        limits: Limits,
        statistics: Statistics,
        on_forgotten: Callable[[], None],
    ) -> None:
        self._url = url
        self._limits = limits
        self._statistics = statistics
        self._on_forgotten = on_forgotten
        self._loop = asyncio.get_running_loop()
        self._tasks = TaskOwner()
        self._pipelines: dict[Address, Pipeline] = {}
        self._map = SlotMap()
        self._stale = asyncio.Event()
        self._mapped = asyncio.Event()
        self._parked: dict[Command, asyncio.TimerHandle] = {}
        self._trouble = "no connection yet"
        self._turn = 0
        self._is_closed = False

    @property
    def trouble(self) -> str:
        """Why there is no connection."""
        lost = (line.trouble for line in self._pipelines.values() if not line.is_connected)
        return self._trouble or next(lost, "")

    def start(self) -> None:
        """Begins to learn the map of slots."""
        self._stale.set()
        self._tasks.spawn(self._keep_map(), name=f"map of {self._url}")

    async def wait_connected(self) -> None:
        """Returns when every slot's node is connected."""
        await self._mapped.wait()
        while lines := [line for line in self._pipelines.values() if not line.is_connected]:
            # A node that leaves the map meanwhile is never connected.
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE_S):
                    await lines[0].wait_connected()

    def submit(self, command: Command) -> None:
        """Takes a command."""
        if self._is_closed:
            raise BackingUnavailable(f"{self._url} is closed")
        pipeline = self._pipeline_of(command)
        if pipeline is None:
            self._park(command, "no node has the key's slot")
        else:
            pipeline.submit(command)

    async def aclose(self) -> None:
        """Waits for the replies to what was asked for and disconnects."""
        self._is_closed = True
        await asyncio.gather(*(line.aclose() for line in self._pipelines.values()))
        await self.abandon()

    async def abandon(self) -> None:
        """Disconnects at once."""
        self._is_closed = True
        for command, timer in self._parked.items():
            timer.cancel()
            command.fail(BackingUnavailable(f"{self._url} is closed"))
        self._parked.clear()
        await self._tasks.aclose()
        for pipeline in self._pipelines.values():
            await pipeline.abandon()

    def _pipeline_of(self, command: Command) -> Pipeline | None:
        address = self._map.at(key_slot(command.key))
        return None if address is None else self._pipeline_at(address)

    def _pipeline_at(self, address: Address) -> Pipeline:
        pipeline = self._pipelines.get(address)
        if pipeline is None:
            pipeline = Pipeline(
                f"Redis at {address}",
                Direct(address, self._url.login),
                self._limits,
                self._statistics,
            )
            pipeline.on_redirect = self._redirect
            pipeline.on_down = self._stale.set
            pipeline.on_forgotten = self._on_forgotten
            self._pipelines[address] = pipeline
            pipeline.start()
        return pipeline

    # -- commands that were refused ----------------------------------------------------------

    def _redirect(self, command: Command, text: str) -> None:
        if self._is_closed:
            command.fail(BackingUnavailable(f"{self._url} is closed"))
            return
        self._stale.set()
        word, *rest = text.split()
        if word not in {"MOVED", "ASK"} or len(rest) != 2:
            self._park(command, text)
            return
        host, _, port = rest[1].rpartition(":")
        if not host or not port.isdecimal():
            self._park(command, text)
            return
        address = Address(host, int(port))
        try:
            if word == "MOVED":
                self._map.move(int(rest[0]), address)
                self._pipeline_at(address).submit(command)
            else:
                asking = Command(self._loop.create_future(), command.deadline, ("ASKING",))
                # Its outcome is told by the command behind it.
                asking.future.add_done_callback(
                    lambda future: future.cancelled() or future.exception()
                )
                self._pipeline_at(address).submit(asking, command)
        except BackingUnavailable as error:
            command.fail(error)

    def _park(self, command: Command, reason: str) -> None:
        """Tries a command again in a moment.

        The cluster may be choosing a master, or moving the slot.
        """
        self._stale.set()
        if len(self._parked) >= self._limits.max_commands:
            self._statistics.refusals += 1
            command.fail(BackingUnavailable(f"the queue of {self._url} is full"))
        elif self._loop.time() + _PAUSE_S >= command.deadline:
            command.fail(BackingUnavailable(f"{self._url}: {reason}"))
        else:
            self._parked[command] = self._loop.call_later(_PAUSE_S, self._unpark, command)

    def _unpark(self, command: Command) -> None:
        self._parked.pop(command, None)
        if command.future.done():
            return
        try:
            self.submit(command)
        except BackingUnavailable as error:
            command.fail(error)

    # -- the map -----------------------------------------------------------------------------

    async def _keep_map(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            await self._refresh()
            await asyncio.sleep(_REFRESH_PAUSE_S)

    async def _refresh(self) -> None:
        for address in self._candidates():
            try:
                async with asyncio.timeout(self._limits.timeout_s / 3):
                    found = await self._ask(address)
            except (OSError, Refused, ValueError) as error:  # a time-out is an OSError
                self._trouble = f"node {address}: {error or 'no answer in time'}"
                continue
            if not found.addresses():
                self._trouble = f"node {address} knows of no slots"
                continue
            self._adopt(found)
            return
        self._stale.set()

    def _candidates(self) -> Iterator[Address]:
        """Names nodes that are connected first, beginning with another one each time.

        One node that is cut off from the others, and so has an old map, is not asked for ever.
        """
        known = sorted(self._pipelines)
        self._turn += 1
        turned = [known[(self._turn + n) % len(known)] for n in range(len(known))]
        yield from sorted(turned, key=lambda address: not self._pipelines[address].is_connected)
        yield from (address for address in self._url.addresses if address not in known)

    async def _ask(self, address: Address) -> SlotMap:
        link = await Link.open(address, self._url.login)
        try:
            await link.greet(self._url.login)
            reply: list[Any] = await link.ask_all([("CLUSTER", "SLOTS")])
        finally:
            link.abort()
        return SlotMap.parse(reply[0], address)

    def _adopt(self, found: SlotMap) -> None:
        before, self._map = self._map, found
        wanted = found.addresses()
        for address in wanted:
            self._pipeline_at(address)
        for address in self._pipelines.keys() - wanted:
            self._retire(self._pipelines.pop(address))
        if found.is_complete:
            self._trouble = ""
            self._mapped.set()
        else:
            self._trouble = "some slots have no node"
            self._stale.set()
        if not all(line.is_connected for line in self._pipelines.values()):
            self._stale.set()
        if found.has_changed_hands(before):
            _logger.warning("slots of the Redis Cluster have other masters", cluster=str(self._url))
            self._on_forgotten()

    def _retire(self, pipeline: Pipeline) -> None:
        for command in pipeline.retire():
            self._unpark(command)
        self._tasks.spawn(pipeline.abandon(), name=f"close {pipeline.name}")
