"""Backing services that keep nothing, for tests of what stands on them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley.backing.factory import Backing, Port, create_backing
from parley.backing.settings import BackingSettings
from parley.service.clock import Clock, SystemClock
from parley.service.metrics import Registry


@asynccontextmanager
async def in_memory(ports: Port, clock: Clock | None = None) -> AsyncIterator[Backing]:
    """Starts the embedded services, and closes them whatever becomes of the test."""
    settings = BackingSettings.load(is_durable=False)
    backing = create_backing(ports, settings, clock or SystemClock(), Registry())
    try:
        await backing.start()
        yield backing
    finally:
        await backing.aclose()
