"""Leases of the call managers: who of those that may own calls is alive.

`lease:{callmanager}:<instance>` is a key with a short time to live, written by compare-and-set:
while it is there, the others take its holder for alive. `owners:{callmanager}` is the index of the
instances that may own calls, the dead ones whose calls are not all taken yet included.
"""

from collections.abc import Sequence
from typing import Final

from parley.backing.state.base import State, Versioned

_OWNERS: Final = "owners:{callmanager}"


class Leases:
    """All leases. Methods raise what the state port raises and do not time out."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def renew(self, instance: str, value: bytes, version: int, ttl_s: float) -> int | None:
        """Takes a lease, or prolongs it: if `version` (0: none) is what is there.

        Returns:
            The new version; None when something else is there.
        """
        return await self._state.put_if_version(_lease(instance), value, version, ttl_s)

    async def read(self, instance: str) -> Versioned | None:
        """Returns a lease as it was written last; None when it ran out or was given up."""
        return await self._state.get_versioned(_lease(instance))

    async def give_up(self, instance: str) -> None:
        """Ends a lease at once."""
        await self._state.delete(_lease(instance))

    async def living(self, instances: Sequence[str]) -> set[str]:
        """Returns those of the instances that have a lease."""
        leases = await self._state.get_many([_lease(one) for one in instances])
        return {one for one, lease in zip(instances, leases, strict=True) if lease is not None}

    async def owners(self) -> list[str]:
        """Lists the instances that may own calls, the oldest first."""
        return [instance for instance, _ in await self._state.index_range(_OWNERS)]

    async def add_owner(self, instance: str, wall_s: float) -> None:
        """Lists an instance among those that may own calls, since a time in Unix seconds."""
        await self._state.index_add(_OWNERS, instance, wall_s)

    async def remove_owner(self, instance: str) -> None:
        """Takes out an instance of which no call is left."""
        await self._state.index_remove(_OWNERS, instance)


def _lease(instance: str) -> str:
    # All in one slot of a Redis Cluster: who lost a shard must not look cut off beside the others.
    return f"lease:{{callmanager}}:{instance}"
