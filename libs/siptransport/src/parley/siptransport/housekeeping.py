"""What a node does every few seconds: idle connections end."""

import asyncio
from collections.abc import Mapping

from parley.service.clock import Clock
from parley.siptransport.transport import Transport

_ROUND_S = 5.0


class Housekeeping:
    """Runs from `start` to `stop`.

    Args:
        transports: of the node, by name.
        clock: of the idle times.
    """

    def __init__(self, transports: Mapping[str, Transport], clock: Clock) -> None:
        self._transports = transports
        self._clock = clock
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins; once it runs nothing more happens."""
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(_ROUND_S, self._run)

    def stop(self) -> None:
        """Ends; may be called twice."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _run(self) -> None:
        now = self._clock.now()
        for transport in self._transports.values():
            transport.sweep(now)
        self._handle = asyncio.get_running_loop().call_later(_ROUND_S, self._run)
