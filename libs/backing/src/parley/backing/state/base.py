"""The state port: what instances share about registrations, calls and who is alive.

Policy. Every method is one atomic operation on one key (`get_many` excepted: atomic per key), so
it can be one Redis command or script. Keys carry a hash tag (`reg:{<aor>}`), values
are bytes, times to live are seconds. A `ttl_s` of None in a write means "does not expire", one that
is not positive "gone at once".

Two kinds of values exist, `get` reads both:

* `put_if_version`: optimistic; versions grow and are never used twice for a key, even across
  deletion, so a stale writer always loses;
* `create_owned` / `claim` / `put_owned` / `end_owned`: a record owned by one instance at a
  time. Safety comes from the epoch alone: a write with another owner or epoch than the record's is
  fenced. A real store may forget acknowledged writes when it fails over; it says so through
  `on_new_generation`, and owners then write again what they hold with `restore_owned`. A record
  that was ended leaves a mark for a while, which no writer gets past: a former owner that wakes up
  after such a failover shall not make it again (`restore_ended`: the mark, too, can be forgotten).

The embedded adapter completes every method without suspending; `is_immediate` says so, and
`run_now` drives such a call from synchronous code.
"""

from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from msgspec import Struct

_T = TypeVar("_T")


class Versioned(Struct, frozen=True):
    """A value and the version that `put_if_version` must name to replace it."""

    value: bytes
    version: int


class Claimed(NamedTuple):
    """Result of a successful claim: the new epoch and the record's last value."""

    epoch: int
    value: bytes


ENDED_EPOCH: Final = (1 << 53) - 1
"""Of the mark that an ended record leaves: higher than any that a claim gives."""


class Owned(NamedTuple):
    """Who owns a record, and since which epoch; of the mark of an ended one, who ended it."""

    owner: str
    epoch: int

    @property
    def has_ended(self) -> bool:
        """Whether this is all that is left of a record."""
        return self.epoch == ENDED_EPOCH


class State(Protocol):
    """Shared state. See the module's docstring for what holds for all methods."""

    @property
    def is_immediate(self) -> bool:
        """True when no method ever suspends, so that `run_now` may be used."""
        ...

    async def start(self) -> None:
        """Connects, or loads what was kept."""
        ...

    async def aclose(self) -> None:
        """Writes what is queued and releases everything."""
        ...

    def flush(self) -> None:
        """Makes what was written outlive this process; called before others are told of it.

        Does nothing where a write is that sure when it returns. A disk that refuses holds nobody
        up: what waits for it is then in memory alone.
        """
        ...

    def on_new_generation(self, callback: Callable[[], None]) -> None:
        """Registers a callback for the moment when the store may have forgotten something.

        It is called in the loop, for each callback registered, when the store turns out to be
        another one than before (a replica promoted, a server restarted), so that acknowledged
        writes may be missing. It must not raise. The embedded store never calls it.
        """
        ...

    async def get(self, key: str) -> bytes | None:
        """Returns the value, or None."""
        ...

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Returns one item per key, in order."""
        ...

    async def delete(self, key: str) -> None:
        """Removes a key of any kind."""
        ...

    async def get_versioned(self, key: str) -> Versioned | None:
        """Returns the value with its version."""
        ...

    async def put_if_version(
        self, key: str, value: bytes, version: int, ttl_s: float | None = None
    ) -> int | None:
        """Writes if the current version is `version` (0: absent).

        Returns:
            The new version, or None when somebody else was faster.

        Raises:
            WrongKind: the key holds an owned record.
        """
        ...

    async def hash_put(self, key: str, field: str, value: bytes) -> None:
        """Sets one field. Hashes and indexes do not expire."""
        ...

    async def hash_get_all(self, key: str) -> dict[str, bytes]:
        """Returns all fields; empty when absent."""
        ...

    async def hash_delete(self, key: str, *fields: str) -> None:
        """Removes fields; the key goes with its last one."""
        ...

    async def index_add(self, key: str, member: str, score: float) -> None:
        """Adds a member to an index, which is a sorted set, or changes its score."""
        ...

    async def index_remove(self, key: str, *members: str) -> None:
        """Removes members of an index."""
        ...

    async def index_range(
        self,
        key: str,
        max_score: float | None = None,
        limit: int | None = None,
        after: tuple[str, float] | None = None,
    ) -> list[tuple[str, float]]:
        """Returns (member, score) of an index, ordered by score, then member.

        Args:
            key: the index.
            max_score: the highest score, included; None: any.
            limit: how many at most; fewer than that means that there are no more.
            after: only what comes behind this (member, score), which need not be there any more:
                the last one of the page before.
        """
        ...

    async def claim(
        self, key: str, owner: str, epoch: int, ttl_s: float | None = None
    ) -> Claimed | None:
        """Takes ownership of a record that has this epoch, and raises the epoch by one.

        Returns:
            None when the epoch is another one, the record was ended, or there is none.

        Raises:
            ValueError: the owner is empty.
            WrongKind: the key holds a value without owner.
        """
        ...

    async def create_owned(
        self, key: str, owner: str, value: bytes, ttl_s: float | None = None
    ) -> int | None:
        """Makes a record with its first value.

        Returns:
            The epoch, 1; None when there is a record already, whoever owns it, or was until a
            short while ago.

        Raises:
            WrongKind: the key holds a value without owner.
        """
        ...

    async def restore_owned(
        self, key: str, owner: str, epoch: int, value: bytes, ttl_s: float | None = None
    ) -> bool:
        """Writes a record again, with its owner and epoch, that the store may have forgotten.

        Returns:
            False when somebody took it meanwhile: the record has a higher epoch, or this epoch and
            another owner, or was ended. Nothing was written then; the caller owns it no more.

        Raises:
            ValueError: the owner is empty or the epoch less than 1.
            WrongKind: the key holds a value without owner.
        """
        ...

    async def owner_of(self, key: str) -> Owned | None:
        """Returns owner and epoch of a record; None when nothing is there or it has no owner."""
        ...

    async def put_owned(
        self, key: str, owner: str, epoch: int, value: bytes, ttl_s: float | None = None
    ) -> bool:
        """Writes if owner and epoch are the record's; False means fenced: stop acting."""
        ...

    async def end_owned(self, key: str, owner: str, epoch: int, ttl_s: float) -> bool:
        """Removes the value if owner and epoch are the record's; False means fenced or absent.

        Args:
            key: the record.
            owner: that ends it.
            epoch: of the record.
            ttl_s: how long the mark stays.
        """
        ...

    async def restore_ended(self, key: str, owner: str, ttl_s: float) -> None:
        """Marks a record as ended, whoever has it: state may have forgotten that it was.

        Raises:
            ValueError: the owner is empty.
            WrongKind: the key holds a value without owner.
        """
        ...


class _Begun:
    """An operation that runs up to its first wait when it is made; awaited for its result."""

    __slots__ = ("_awaited", "_operation", "_outcome")

    def __init__(self, operation: Coroutine[Any, Any, Any]) -> None:
        self._operation = operation
        self._awaited: Any = None
        self._outcome: Any = None
        try:
            self._awaited = operation.send(None)
        except StopIteration as stop:
            self._outcome = stop.value

    def __await__(self) -> Generator[Any, Any, Any]:
        operation, awaited = self._operation, self._awaited
        self._awaited = None
        try:
            while awaited is not None:
                try:
                    sent = yield awaited
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 - belongs to the operation
                    awaited = operation.throw(error)
                else:
                    awaited = operation.send(sent)
        except StopIteration as stop:
            return stop.value
        finally:
            operation.close()
        return self._outcome

    def abandon(self) -> None:
        """Gives up a result that nobody will ask for."""
        if self._awaited is not None:
            self._awaited.cancel()
            self._operation.close()


async def in_one_turn(*operations: Coroutine[Any, Any, Any]) -> list[Any]:
    """Asks for several things at once, in their order, and returns all results.

    Like `asyncio.gather`, without a task for each: the operations begin here and now, so that they
    leave in one batch. When one fails nobody learns whether those behind it were done.

    Raises:
        Exception: what the first of the operations that failed raised.
    """
    begun: list[_Begun] = []
    try:
        for operation in operations:
            begun.append(_Begun(operation))  # noqa: PERF401 - known when the next one fails
        return [await each for each in begun]
    finally:
        for each in begun:
            each.abandon()
        for operation in operations[len(begun) :]:
            operation.close()


def run_now(operation: Coroutine[Any, Any, _T]) -> _T:
    """Drives an operation of an immediate adapter to its end from synchronous code.

    Raises:
        RuntimeError: the operation suspended; the adapter is not immediate.
    """
    try:
        operation.send(None)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    operation.close()
    raise RuntimeError("the state adapter is not immediate; await the operation")
