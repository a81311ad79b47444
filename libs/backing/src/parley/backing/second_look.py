"""Cache misses: how often the database is asked for what the cache of a warm tenant lacks.

Somebody who was created a moment ago may come before the event that tells of it. One look answers
that; the bounds keep those who try out names from making the database work.
"""

from collections.abc import Callable

from parley.model.ids import TenantId

SECOND_LOOK_TTL_S = 1.0
"""A name is looked up again at most this often."""
_RATE = 20.0
_BURST = 200.0
_MAX_ENTRIES = 10_000


class SecondLooks:
    """Grants looks: one per name and second, and so many a second per tenant.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: dict[str, float] = {}
        self._buckets: dict[TenantId, tuple[float, float]] = {}

    def is_open(self, tenant_id: TenantId, name: str) -> bool:
        """Says whether `take` would grant this look."""
        now = self._now()
        return not self._is_recent(tenant_id, name, now) and self._tokens(tenant_id, now) >= 1.0

    def take(self, tenant_id: TenantId, name: str) -> bool:
        """Grants a look at a name of a tenant, or refuses it."""
        now = self._now()
        tokens = self._tokens(tenant_id, now)
        if self._is_recent(tenant_id, name, now) or tokens < 1.0:
            return False
        if len(self._until) >= _MAX_ENTRIES:
            self._until.clear()
        if len(self._buckets) >= _MAX_ENTRIES:
            self._buckets.clear()
        self._until[f"{tenant_id} {name}"] = now + SECOND_LOOK_TTL_S
        self._buckets[tenant_id] = (tokens - 1.0, now)
        return True

    def _is_recent(self, tenant_id: TenantId, name: str, now: float) -> bool:
        return self._until.get(f"{tenant_id} {name}", now) > now

    def _tokens(self, tenant_id: TenantId, now: float) -> float:
        tokens, counted = self._buckets.get(tenant_id, (_BURST, now))
        return min(_BURST, tokens + (now - counted) * _RATE)
