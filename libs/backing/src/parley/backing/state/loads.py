"""Load reports: what the instances of a service say of themselves, for those who choose among them.

`load:{<service>}` is a hash of reports in JSON by instance. Nothing expires there, and a killed
instance leaves its report behind: readers judge the age by `at`. What cannot be read, as a report
of another version, counts as none.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from parley.backing.state.base import State
from parley.model.load import Load
from parley.model.relay_load import RelayLoad

_R = TypeVar("_R", Load, RelayLoad)
_encode = msgspec.json.Encoder().encode


class Loads(Generic[_R]):
    """The reports of one service. Methods raise what the state port raises and do not time out."""

    def __init__(self, state: State, service: str, kind: type[_R]) -> None:
        self._state = state
        self._key = f"load:{{{service}}}"
        self._decode: Callable[[bytes], _R] = msgspec.json.Decoder(kind).decode

    async def publish(self, report: _R) -> None:
        """Writes an instance's report in place of its last one."""
        await self._state.hash_put(self._key, report.instance, _encode(report))

    async def read(self) -> dict[str, _R]:
        """Returns all reports by instance."""
        return {name: one for name, one in await self._all() if one is not None}

    async def withdraw(self, instance: str) -> None:
        """Takes an instance's report back."""
        await self._state.hash_delete(self._key, instance)

    async def remove_older(self, oldest_s: float) -> None:
        """Removes reports made before that, Unix seconds, and those that cannot be read."""
        reports = await self._all()
        old = [name for name, one in reports if one is None or one.at < oldest_s]
        await self._state.hash_delete(self._key, *old)

    async def _all(self) -> list[tuple[str, _R | None]]:
        found = await self._state.hash_get_all(self._key)
        return [(name, self._read(data)) for name, data in found.items()]

    def _read(self, data: bytes) -> _R | None:
        try:
            return self._decode(data)
        except msgspec.MsgspecError:
            return None


def callmanager_loads(state: State) -> Loads[Load]:
    """The reports of call managers, by which edges choose."""
    return Loads(state, "callmanager", Load)


def relay_loads(state: State) -> Loads[RelayLoad]:
    """The reports of media relays, by which call managers choose."""
    return Loads(state, "mediarelay", RelayLoad)
