"""The discovery port: live instances and leaders, with the semantics of ZooKeeper.

Policy. An instance's registration lives as long as its process's session. Views are last-known:
when the service is away, the view stays as it was. Watchers are called in the event loop, first
with the present view, then after every change; quick changes may be joined into one call.
"""

import enum
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import msgspec


class InstanceState(enum.Enum):
    """What an instance is ready for."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a process. `id` is name + incarnation and is never used again."""

    service: str
    id: str
    address: str
    zone: str = ""
    version: str = ""
    state: InstanceState = InstanceState.STARTING


WatchCallback: TypeAlias = Callable[[Sequence[Instance]], None]


class Registration(Protocol):
    """An instance's own entry."""

    async def update(
        self, *, state: InstanceState | None = None, address: str | None = None
    ) -> None:
        """Changes what others see."""
        ...

    async def aclose(self) -> None:
        """Removes the entry."""
        ...


class Watch(Protocol):
    """A running watch."""

    def close(self) -> None:
        """Ends the calls."""
        ...


class Leadership(Protocol):
    """One candidacy: waiting, leading, or over."""

    @property
    def is_leader(self) -> bool:
        """True while this candidate leads."""
        ...

    @property
    def epoch(self) -> int:
        """Grows with every new leader of the name: a fencing number; 0 before leading."""
        ...

    async def wait_elected(self) -> None:
        """Returns when this candidate leads. Raises `BackingUnavailable` if it resigned."""
        ...

    async def wait_lost(self) -> None:
        """Returns when this candidate does not lead any more (resigned or session lost)."""
        ...

    async def aclose(self) -> None:
        """Resigns; the next candidate leads."""
        ...


class Discovery(Protocol):
    """Who is there. See the module's docstring."""

    async def start(self) -> None:
        """Opens the session."""
        ...

    async def aclose(self) -> None:
        """Ends the session: registrations and candidacies of this process go."""
        ...

    async def register(self, instance: Instance) -> Registration:
        """Announces an instance. Raises `ValueError` if its id is already there."""
        ...

    def instances(self, service: str) -> list[Instance]:
        """Returns the last-known view, ordered by id."""
        ...

    def watch(self, service: str, callback: WatchCallback) -> Watch:
        """Calls back with the present view and after every change."""
        ...

    async def elect(self, name: str, candidate: str) -> Leadership:
        """Stands for election; returns at once, leading or waiting in order of arrival."""
        ...
