"""The accounting service: call events in, CDRs out."""

from parley.accounting.bus_handlers import CallRecordsHandler
from parley.accounting.metrics import AccountingMetrics
from parley.accounting.retention import CdrRetention
from parley.accounting.settings import AccountingSettings
from parley.accounting.store import CdrStore
from parley.backing.bus.base import Subscription
from parley.backing.db.outbox import OutboxPublisher
from parley.backing.factory import Backing
from parley.service.clock import Clock
from parley.service.lifecycle import Service
from parley.service.metrics import Metrics, Registry
from parley.service.tasks import TaskOwner

CALL_TOPIC = "call"
GROUP = "accounting"

_LAST_ANNOUNCEMENTS_S = 3.0


class Accounting:
    """Consumes the topic `call`; publishes the outbox of the database it writes to."""

    name = "accounting"

    def __init__(
        self, settings: AccountingSettings, backing: Backing, clock: Clock, registry: Registry
    ) -> None:
        metrics = AccountingMetrics(registry)
        self._bus = backing.bus
        self._tasks = TaskOwner()
        self._retention = (
            None
            if settings.cdr_retention_days is None
            else CdrRetention(backing.db, settings.cdr_retention_days, metrics)
        )
        self._handler = CallRecordsHandler(
            CdrStore(backing.db),
            backing.bus,
            clock,
            metrics,
            settings.max_retry_s,
            settings.gather_s,
        )
        self._outbox = OutboxPublisher(backing.db, backing.bus, Metrics(registry, self.name))
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begins to publish and to consume."""
        await self._outbox.start()
        if self._retention is not None:
            self._tasks.spawn(self._retention.run(), name="CDR retention")
        self._subscription = self._bus.subscribe(CALL_TOPIC, GROUP, self._handler)

    def is_ready(self) -> bool:
        """Says whether it consumes."""
        return self._subscription is not None

    async def drain(self, timeout_s: float) -> None:
        """Does nothing: calls that still end while others drain need their CDRs."""

    async def aclose(self) -> None:
        """Finishes the batch in hand and publishes what it announced."""
        await self._tasks.aclose()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.aclose()
            await self._outbox.drain(_LAST_ANNOUNCEMENTS_S)
        await self._outbox.aclose()


def create_app(
    settings: AccountingSettings,
    backing: Backing,
    clock: Clock,
    registry: Registry,
) -> Service:
    """Makes the service; it starts after the backing and closes before it."""
    return Accounting(settings, backing, clock, registry)
