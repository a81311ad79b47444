"""Retention of CDRs: those that are older than the platform keeps are deleted, a few at a time."""

import asyncio
from datetime import timedelta

import structlog

from parley.accounting.metrics import AccountingMetrics
from parley.backing.db.cdrs import CdrRepository
from parley.backing.db.engine import Database
from parley.backing.errors import BackingError

_BATCH = 1000
_PAUSE_S = 0.2  # between batches: whoever writes CDRs goes first
_INTERVAL_S = 600.0

_logger = structlog.stdlib.get_logger(__name__)


class CdrRetention:
    """Deletes what is too old, oldest first; several processes may do it at once."""

    def __init__(self, db: Database, days: int, metrics: AccountingMetrics) -> None:
        """Takes how many days after its call's end a CDR is kept."""
        self._cdrs = CdrRepository(db)
        self._clock = db.clock
        self._kept = timedelta(days=days)
        self._metrics = metrics

    async def run(self) -> None:
        """Looks every ten minutes until it is cancelled."""
        while True:
            try:
                await self._pass()
            except BackingError as error:
                _logger.warning("old CDRs not deleted", reason=str(error))
            await asyncio.sleep(_INTERVAL_S)

    async def _pass(self) -> None:
        before = self._clock.wall() - self._kept
        while True:
            count = await self._cdrs.delete_ended(before, _BATCH)
            self._metrics.expired(count)
            if not count:
                return
            await asyncio.sleep(_PAUSE_S)
