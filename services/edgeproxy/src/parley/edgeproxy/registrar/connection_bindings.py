"""Bindings that hang on a connection, and what becomes of them when it closes.

A phone that registered over TCP or TLS is reached over that connection only. When it closes the
binding cannot be used any more and is taken out, after a moment in which the phone may come back
and replace it; at some of a time, for thousands close when a network fails. What closed with an
edge that died nobody sees: such bindings end with their expiry, or give way to new ones.
"""

from asyncio import Event, sleep, timeout
from collections import deque
from collections.abc import Sequence
from typing import Final

import structlog

from parley.backing.discovery.base import Discovery
from parley.backing.errors import BackingError
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.registrar.decision import Accepted
from parley.edgeproxy.registrar.events import RegistrationEvents
from parley.edgeproxy.registrar.store import Registrations
from parley.edgeproxy.routing.routes import Routes
from parley.model.errors import DomainError
from parley.model.ids import InstanceId, TenantId
from parley.model.registration import Binding
from parley.service.clock import Clock
from parley.sip.hop import Hop

GRACE_S: Final = 1.0
"""A phone that comes back at once replaces its binding, and nobody need hear that it was gone."""
BATCH: Final = 50
PAUSE_S: Final = 0.05
RETRY_S: Final = 1.0
OPERATION_TIMEOUT_S: Final = 5.0

_logger = structlog.stdlib.get_logger(__name__)


class ConnectionBindings:
    """Knows which AORs are bound to the connections of this edge; run `run` as a task."""

    def __init__(  # noqa: PLR0913 - wiring, by keyword
        self,
        *,
        registrations: Registrations,
        events: RegistrationEvents,
        routes: Routes,
        discovery: Discovery,
        instance: InstanceId,
        clock: Clock,
        metrics: EdgeMetrics,
    ) -> None:
        self._registrations = registrations
        self._events = events
        self._routes = routes
        self._discovery = discovery
        self._instance = instance
        self._clock = clock
        self._metrics = metrics
        self._open: dict[Hop, dict[str, TenantId]] = {}
        # (when it is due, the connection, its AOR and tenant)
        self._closed: deque[tuple[float, Hop, str, TenantId]] = deque()
        self._has_closed = Event()

    def note_open(self, flow: Hop) -> None:
        """A REGISTER has just come over this connection."""
        self._open.setdefault(flow, {})

    def note_bound(self, flow: Hop, tenant: TenantId, aor: str) -> None:
        """An AOR was bound to a connection, which may have closed meanwhile."""
        aors = self._open.get(flow)
        if aors is not None:
            aors[aor] = tenant
        else:
            self._put_off(flow, {aor: tenant})

    def on_closed(self, flow: Hop) -> None:
        """Takes out what is bound to a connection, in a moment."""
        self._put_off(flow, self._open.pop(flow, {}))

    def is_gone(self, binding: Binding) -> bool:
        """Says whether the connection of a binding is closed, or was of an edge that is gone."""
        flow = self._routes.flow_of(binding.path[0]) if binding.path else None
        if flow is None or flow.transport == "udp":
            return False
        if binding.edge == self._instance:
            return flow not in self._open
        edges = self._discovery.instances("edgeproxy")
        return self._discovery.is_settled and binding.edge not in {one.id for one in edges}

    async def run(self) -> None:
        """Takes out what is due, for ever."""
        count = 0
        while True:
            await self._has_closed.wait()
            due_at, flow, aor, tenant = self._closed[0]
            if due_at > self._clock.now():
                await sleep(due_at - self._clock.now())
            try:
                async with timeout(OPERATION_TIMEOUT_S):
                    await self._take_out(flow, aor, tenant)
            except DomainError:
                pass  # others write this AOR all the time
            except (BackingError, TimeoutError):
                self._metrics.state_errors.inc()
                await sleep(RETRY_S)
                continue
            self._closed.popleft()
            if not self._closed:
                self._has_closed.clear()
            count += 1
            if count % BATCH == 0:
                await sleep(PAUSE_S)

    def _put_off(self, flow: Hop, aors: dict[str, TenantId]) -> None:
        due_at = self._clock.now() + GRACE_S
        self._closed.extend((due_at, flow, aor, tenant) for aor, tenant in aors.items())
        if self._closed:
            self._has_closed.set()

    async def _take_out(self, flow: Hop, aor: str, tenant: TenantId) -> None:
        path = self._routes.path(flow)
        wall_s = self._clock.wall_s()

        def change(current: Sequence[Binding]) -> Accepted:
            known = self._registrations.with_owed(aor, current, wall_s)
            left = [one for one in known if one.path[:1] != [path]]
            return Accepted(left, removed=[one for one in known if one.path[:1] == [path]])

        outcome = await self._registrations.update(tenant, aor, wall_s, change)
        if isinstance(outcome, Accepted) and outcome.is_changed:
            _logger.debug("bindings closed with their connection", count=len(outcome.removed))
            self._events.publish(tenant, outcome, wall_s)
