"""Follows the registration events of the edges, so that phones are found while state is away."""

from collections.abc import Sequence
from typing import Final

import structlog

from parley.backing.bus.base import Bus, Record, Subscription
from parley.callmanager.bindings_cache import BindingsCache
from parley.model.errors import MalformedEvent
from parley.model.events import (
    RegistrationAdded,
    RegistrationExpired,
    RegistrationRefreshed,
    RegistrationRemoved,
    decode_event,
)

TOPIC: Final = "registration"

_logger = structlog.stdlib.get_logger(__name__)


class BindingNews:
    """Fills the cache from the bus; what the bus does not bring is asked of state, as ever."""

    def __init__(self, bus: Bus, cache: BindingsCache) -> None:
        self._bus = bus
        self._cache = cache
        self._tail: Subscription | None = None

    def start(self) -> None:
        """Begins to follow."""
        self._tail = self._bus.tail(TOPIC, self._on_records)

    async def aclose(self) -> None:
        """Stops following."""
        tail, self._tail = self._tail, None
        if tail is not None:
            await tail.aclose()

    async def _on_records(self, records: Sequence[Record]) -> None:
        for record in records:
            try:
                event = decode_event(record.value)
            except MalformedEvent as error:
                _logger.warning("registration event is unreadable", reason=repr(error))
                continue
            match event:
                case RegistrationAdded() | RegistrationRefreshed():
                    self._cache.note_bound(event.data)
                case RegistrationRemoved() | RegistrationExpired():
                    self._cache.note_gone(event.data)
                case _:
                    continue
