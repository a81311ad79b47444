"""Who owns the calls of a cluster, read from shared state as the call managers themselves do."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tests.chaos.ground import Ground

from parley.backing.factory import Port, create_backing
from parley.backing.settings import BackingSettings
from parley.backing.state.base import State
from parley.backing.state.live_calls import LiveCalls
from parley.backing.state.loads import callmanager_loads
from parley.service.clock import SystemClock
from parley.service.metrics import Registry
from parley.testkit.farm.call import FarmCall

_PREFIX: Final = "PARLEY_BACKING_"
_CALL_ID: Final = re.compile(r"sips?:([^@]+)@")


class Owners:
    """Reads records of calls; `owners(ground)` makes one."""

    def __init__(self, state: State, ground: Ground) -> None:
        self._state = state
        self._ground = ground

    async def of(self, call: FarmCall) -> str:
        """The process that owns a call: `callmanager-1`; empty when nobody does, or a dead one."""
        dialog = call.dialog
        found = None if dialog is None else _CALL_ID.match(dialog.remote_target)
        if found is None:
            return ""
        owned = await LiveCalls(self._state).owner_of(found[1])
        return "" if owned is None or owned.has_ended else await self._process(owned.owner)

    async def _process(self, instance: str) -> str:
        load = (await callmanager_loads(self._state).read()).get(instance)
        return "" if load is None else self._name(load.address[2])

    def _name(self, port: int) -> str:
        for entry in self._ground.processes("callmanager"):
            if entry.ports["port"] == port:
                return entry.name
        return ""


@asynccontextmanager
async def owners(ground: Ground) -> AsyncIterator[Owners]:
    """Opens the shared state of a cluster."""
    values = {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in ground.control.backing.items()
        if name.startswith(f"{_PREFIX}STATE")
    }
    state = create_backing(
        Port.STATE, BackingSettings.load(**values), SystemClock(), Registry()
    ).state
    await state.start()
    try:
        yield Owners(state, ground)
    finally:
        await state.aclose()
