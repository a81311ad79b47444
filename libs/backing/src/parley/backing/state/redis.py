"""The state in Redis: one server, one that Sentinels watch, or a cluster.

Every operation is one command or one script on one key. What is asked for in one turn of the loop
leaves in one batch (`redis_pipeline`). Keys are stored as they are; strings have a head that holds
version, owner and epoch (`redis_records`).

Operations raise `BackingUnavailable` when Redis is away, too slow or overloaded. Unless its text
says that nothing was done, a write may have been done or not; only reads are repeated here.
"""

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from parley.backing.errors import BackingUnavailable
from parley.backing.state import redis_records as records
from parley.backing.state import redis_scripts as scripts
from parley.backing.state.base import Claimed, Owned, Versioned
from parley.backing.state.keyspace import check_epoch, check_owner
from parley.backing.state.redis_limits import Limits, Statistics
from parley.backing.state.redis_link import Command, Word
from parley.backing.state.redis_scripts import Script
from parley.backing.state.redis_servers import Servers, create_servers
from parley.backing.state.redis_url import parse_redis_url
from parley.service.clock import Clock
from parley.service.tls import TlsFiles

_START_S = 5.0
_OWNER_PART = 10 + 255 - 1

_logger = structlog.stdlib.get_logger(__name__)


class RedisState:
    """Implements `State` for many processes.

    Attributes:
        statistics: what happened so far.
    """

    is_immediate = False

    def __init__(
        self,
        url: str,
        clock: Clock,
        limits: Limits | None = None,
        tls: TlsFiles = TlsFiles(),  # noqa: B008 - immutable
    ) -> None:
        """Connects to nothing yet; `tls` are the files of TLS where the URL names none.

        Raises:
            ValueError: the URL is not one of Redis; the text names no secret.
        """
        self._url = parse_redis_url(url, tls)
        self._wall_s = clock.wall_s
        self._limits = limits or Limits()
        self.statistics = Statistics()
        self._listeners: list[Callable[[], None]] = []
        self._servers: Servers | None = None
        self._loop: asyncio.AbstractEventLoop
        self._last_us = 0
        self._writer = random.SystemRandom().getrandbits(records.WRITER_BITS)

    async def start(self) -> None:
        """Connects.

        Raises:
            BackingUnavailable: that did not succeed within 5 s.
        """
        self._loop = asyncio.get_running_loop()
        self._servers = servers = create_servers(
            self._url, self._limits, self.statistics, self._forgotten
        )
        try:
            servers.start()
            async with asyncio.timeout(_START_S):
                await servers.wait_connected()
        except BaseException as error:
            self._servers = None
            trouble = servers.trouble
            await servers.abandon()
            if isinstance(error, TimeoutError):
                raise BackingUnavailable(
                    f"{self._url} cannot be reached: {trouble or 'no answer in time'}"
                ) from error
            raise

    async def aclose(self) -> None:
        """Waits for what was asked for, within its time-out, and disconnects."""
        servers, self._servers = self._servers, None
        if servers is not None:
            await servers.aclose()

    def flush(self) -> None:
        """Does nothing: a write that returned was acknowledged."""

    def on_new_generation(self, callback: Callable[[], None]) -> None:
        """Registers a callback for a connection to a server that is another one than before."""
        self._listeners.append(callback)

    def _forgotten(self) -> None:
        _logger.warning("Redis may have forgotten acknowledged writes", redis=str(self._url))
        for listener in self._listeners:
            self._loop.call_soon(listener)

    # -- sending -----------------------------------------------------------------------------

    def _deadline(self) -> float:
        return self._loop.time() + self._limits.timeout_s

    def _submit(self, command: Command) -> asyncio.Future[Any]:
        try:
            self._servers_now().submit(command)
        except BackingUnavailable as error:
            # As of a reply: of several commands that are awaited together none is left alone.
            command.fail(error)
        return command.future

    def _servers_now(self) -> Servers:
        if self._servers is None:
            raise BackingUnavailable("the state is not open")
        return self._servers

    def _read(self, key: str, word: str, *words: Word) -> asyncio.Future[Any]:
        self._servers_now()
        name = _any(key)
        return self._submit(
            Command(
                self._loop.create_future(),
                self._deadline(),
                (word, name, *words),
                name,
                is_read=True,
            )
        )

    def _write(self, key: bytes, word: str, *words: Word) -> asyncio.Future[Any]:
        self._servers_now()
        return self._submit(
            Command(self._loop.create_future(), self._deadline(), (word, key, *words), key)
        )

    def _run(self, script: Script, *words: Word, owned: bool = False) -> asyncio.Future[Any]:
        self._servers_now()
        command = Command.of_script(self._loop.create_future(), self._deadline(), script, words)
        command.needs_replicas = owned
        return self._submit(command)

    def _next_version(self, after: int = 0) -> int:
        """Returns a version that this writer never used, higher than the given one."""
        now = int(self._wall_s() * 1e6)
        self._last_us = max(now, self._last_us + 1, (after >> records.WRITER_BITS) + 1)
        return self._last_us << records.WRITER_BITS | self._writer

    # -- values ------------------------------------------------------------------------------

    async def get(self, key: str) -> bytes | None:
        """Returns the value, or None."""
        return records.value_of(await self._read(key, "GET"))

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Returns one item per key, in order."""
        blobs = await asyncio.gather(*[self._read(key, "GET") for key in keys])
        return [records.value_of(blob) for blob in blobs]

    async def delete(self, key: str) -> None:
        """Removes a key of any kind."""
        await self._write(_any(key), "UNLINK")

    async def get_versioned(self, key: str) -> Versioned | None:
        """Returns the value with its version."""
        return records.versioned(await self._read(key, "GET"))

    async def put_if_version(
        self, key: str, value: bytes, version: int, ttl_s: float | None = None
    ) -> int | None:
        """Writes if the current version is `version` (0: absent)."""
        expected = records.value_head(version) if version else b""
        new = self._next_version(after=version)
        blob = records.value_head(new) + value
        is_done = await self._run(
            scripts.PUT_IF_VERSION, key.encode(), expected, blob, records.milliseconds(ttl_s)
        )
        return new if is_done else None

    # -- owned records -----------------------------------------------------------------------

    async def claim(
        self, key: str, owner: str, epoch: int, ttl_s: float | None = None
    ) -> Claimed | None:
        """Takes ownership and raises the epoch by one."""
        check_owner(owner)
        reply = await self._run(
            scripts.CLAIM,
            key.encode(),
            epoch,
            records.owner_part(owner),
            records.stamp(self._next_version()),
            records.milliseconds(ttl_s),
            owned=True,
        )
        if reply is None:
            return None
        new_epoch, rest = reply
        return Claimed(new_epoch, rest[1:])

    async def create_owned(
        self, key: str, owner: str, value: bytes, ttl_s: float | None = None
    ) -> int | None:
        """Makes a record with its first value."""
        check_owner(owner)
        blob = records.record(records.record_prefix(owner, 1), self._next_version(), value)
        is_done = await self._run(
            scripts.CREATE_OWNED, key.encode(), blob, records.milliseconds(ttl_s), owned=True
        )
        return 1 if is_done else None

    async def restore_owned(
        self, key: str, owner: str, epoch: int, value: bytes, ttl_s: float | None = None
    ) -> bool:
        """Writes a record again unless somebody took it meanwhile."""
        check_epoch(epoch)
        check_owner(owner)
        return await self._write_record(scripts.RESTORE_OWNED, key, (owner, epoch), value, ttl_s)

    async def owner_of(self, key: str) -> Owned | None:
        """Returns owner and epoch of a record."""
        return records.owned(await self._read(key, "GETRANGE", 0, _OWNER_PART))

    async def put_owned(
        self, key: str, owner: str, epoch: int, value: bytes, ttl_s: float | None = None
    ) -> bool:
        """Writes if owner and epoch are the record's; False means fenced."""
        return await self._write_record(scripts.PUT_OWNED, key, (owner, epoch), value, ttl_s)

    async def _write_record(
        self,
        script: Script,
        key: str,
        owned: tuple[str, int],
        value: bytes,
        ttl_s: float | None,
    ) -> bool:
        prefix = records.record_prefix(*owned)
        if not prefix:
            return False
        blob = records.record(prefix, self._next_version(), value)
        return bool(
            await self._run(
                script, key.encode(), prefix, blob, records.milliseconds(ttl_s), owned=True
            )
        )

    async def end_owned(self, key: str, owner: str, epoch: int, ttl_s: float) -> bool:
        """Leaves a mark of the record if owner and epoch are its own."""
        prefix = records.record_prefix(owner, epoch)
        if not prefix:
            return False
        mark = records.ended(owner, self._next_version())
        ttl = records.milliseconds(ttl_s)
        is_done = await self._run(scripts.PUT_OWNED, key.encode(), prefix, mark, ttl, owned=True)
        return bool(is_done)

    async def restore_ended(self, key: str, owner: str, ttl_s: float) -> None:
        """Marks a record as ended, whoever has it."""
        check_owner(owner)
        mark = records.ended(owner, self._next_version())
        ttl = records.milliseconds(ttl_s)
        await self._run(scripts.RESTORE_ENDED, key.encode(), mark, ttl, owned=True)

    # -- hashes ------------------------------------------------------------------------------

    async def hash_put(self, key: str, field: str, value: bytes) -> None:
        """Sets one field."""
        await self._write(key.encode(), "HSET", field.encode(), value)

    async def hash_get_all(self, key: str) -> dict[str, bytes]:
        """Returns all fields."""
        reply = await self._read(key, "HGETALL")
        return {reply[n].decode(): reply[n + 1] for n in range(0, len(reply), 2)}

    async def hash_delete(self, key: str, *fields: str) -> None:
        """Removes fields; the key goes with its last one."""
        if fields:
            await self._write(_any(key), "HDEL", *map(_any, fields))

    # -- indexes: sorted sets ----------------------------------------------------------------

    async def index_add(self, key: str, member: str, score: float) -> None:
        """Adds a member or changes its score."""
        if not math.isfinite(score):
            raise ValueError("a score is a finite number")
        await self._write(key.encode(), "ZADD", _number(score), member.encode())

    async def index_remove(self, key: str, *members: str) -> None:
        """Removes members of an index."""
        if members:
            await self._write(_any(key), "ZREM", *map(_any, members))

    async def index_range(
        self,
        key: str,
        max_score: float | None = None,
        limit: int | None = None,
        after: tuple[str, float] | None = None,
    ) -> list[tuple[str, float]]:
        """Returns (member, score) ordered by score, then member."""
        lowest = "-inf" if after is None else _number(after[1])
        highest = "+inf" if max_score is None else _number(max_score)
        found: list[tuple[str, float]] = []
        skipped = 0
        while True:
            # Members of one score may lie before the place: they are read past, page by page.
            part: tuple[Word, ...] = () if limit is None else ("LIMIT", skipped, limit)
            reply = await self._read(key, "ZRANGEBYSCORE", lowest, highest, "WITHSCORES", *part)
            page = [(reply[n].decode(), float(reply[n + 1])) for n in range(0, len(reply), 2)]
            found += page if after is None else [one for one in page if _is_behind(one, after)]
            if limit is None or len(page) < limit or len(found) >= limit:
                return found[:limit]
            skipped += len(page)


def _any(text: str) -> bytes:
    """Encodes a name that is only looked up; what is not Unicode is never found."""
    return text.encode("utf-8", "surrogatepass")


def _is_behind(one: tuple[str, float], place: tuple[str, float]) -> bool:
    return (one[1], one[0]) > (place[1], place[0])


def _number(value: float) -> str:
    return repr(float(value))
