"""The discovery port: live instances, with the semantics of ZooKeeper.

Policy. An instance's registration lives as long as its process's session, and comes back by itself
with a new one. Views are last-known: when the service is away, the view stays as it was, and after
that nobody leaves it before all had time to come back. Watchers are called in the event loop, first
with the present view, then after every change; quick changes may be joined into one call. What is
asked for during an outage (to register, to change) is remembered and done when the service is back.
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


class Discovery(Protocol):
    """Who is there. See the module's docstring."""

    @property
    def is_settled(self) -> bool:
        """True while who is missing in a view is really gone.

        False before the first view, while the service is away, and afterwards until all had time
        to come back. Whoever acts upon an absence asks this first.
        """
        ...

    async def start(self) -> None:
        """Opens the session; when the service is away, with an empty view that fills later."""
        ...

    async def aclose(self) -> None:
        """Ends the session: registrations of this process go."""
        ...

    async def register(self, instance: Instance) -> Registration:
        """Announces an instance; during an outage it returns and announces it later.

        Raises:
            ValueError: its id is already there.
            BackingUnavailable: this discovery is closed.
        """
        ...

    def instances(self, service: str) -> list[Instance]:
        """Returns the last-known view, ordered by id."""
        ...

    def watch(self, service: str, callback: WatchCallback) -> Watch:
        """Calls back with the present view and after every change."""
        ...
