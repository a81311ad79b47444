"""The registration events that an edge publishes: topic `registration`, key and subject the AOR."""

from datetime import UTC, datetime
from typing import Final

import structlog

from parley.backing.bus.base import Bus
from parley.backing.errors import BackingError
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.registrar.decision import Accepted
from parley.model.events import (
    RegistrationAdded,
    RegistrationExpired,
    RegistrationRefreshed,
    RegistrationRemoved,
    encode_event,
)
from parley.model.ids import InstanceId, TenantId
from parley.model.registration import Binding
from parley.sip.ids import Ids

TOPIC: Final = "registration"

RegistrationEvent = (
    RegistrationAdded | RegistrationRefreshed | RegistrationRemoved | RegistrationExpired
)

_logger = structlog.stdlib.get_logger(__name__)


class RegistrationEvents:
    """Tells others what happened to bindings; never waits, loses an event rather than a call."""

    def __init__(self, bus: Bus, ids: Ids, instance: InstanceId, metrics: EdgeMetrics) -> None:
        self._bus = bus
        self._ids = ids
        self._instance = instance
        self._metrics = metrics

    def publish(self, tenant: TenantId, outcome: Accepted, wall_s: float) -> None:
        """Publishes and counts one event per changed binding."""
        for one in outcome.expired:
            self._publish(tenant, RegistrationExpired, "expired", one, wall_s)
        for one in outcome.removed:
            self._publish(tenant, RegistrationRemoved, "removed", one, wall_s)
        for one in outcome.added:
            self._publish(tenant, RegistrationAdded, "added", one, wall_s)
        for one in outcome.refreshed:
            self._publish(tenant, RegistrationRefreshed, "refreshed", one, wall_s)

    def _publish(
        self,
        tenant: TenantId,
        kind: type[RegistrationEvent],
        change: str,
        binding: Binding,
        wall_s: float,
    ) -> None:
        self._metrics.registrations[change].inc()
        event = kind(
            id=self._ids.token(),
            source=self._instance,
            time=datetime.fromtimestamp(wall_s, UTC),
            subject=binding.aor,
            tenantid=tenant,
            data=binding,
        )
        try:
            self._bus.publish(TOPIC, binding.aor, encode_event(event))
        except BackingError as error:
            self._metrics.events_dropped.inc()
            _logger.warning("registration event dropped", change=change, reason=repr(error))
