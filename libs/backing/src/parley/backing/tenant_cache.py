"""The memory of the cache of tenants: snapshots by id and domain, the least recently used go first.

Who reads an entry sets its `is_used`. When there is too much, entries are gone through in the order
of their coming: one that was used since the last time stays (second chance), another one goes. So a
reader pays one attribute, not a list in order.
"""

from collections.abc import Iterator

from parley.model.ids import TenantId
from parley.model.tenant import TenantSnapshot


class CachedTenant:
    """A snapshot, and whether anybody asked for it lately."""

    __slots__ = ("is_used", "snapshot")

    def __init__(self, snapshot: TenantSnapshot) -> None:
        self.snapshot = snapshot
        self.is_used = True


class TenantCache:
    """Warm tenants.

    Attributes:
        by_id: every warm tenant.
        by_domain: the same entries by each of their domains.
    """

    def __init__(self, max_extensions: int) -> None:
        """Takes how many extensions may be warm; a tenant counts as one more."""
        self.by_id: dict[str, CachedTenant] = {}
        self.by_domain: dict[str, CachedTenant] = {}
        self._max = max_extensions
        self._size = 0

    def __contains__(self, tenant_id: str) -> bool:
        return tenant_id in self.by_id

    def get(self, tenant_id: TenantId) -> TenantSnapshot | None:
        """Returns a tenant without counting that as a use."""
        entry = self.by_id.get(tenant_id)
        return None if entry is None else entry.snapshot

    def versions(self) -> Iterator[tuple[TenantId, int]]:
        """Yields which version of each tenant is warm."""
        for entry in self.by_id.values():
            yield entry.snapshot.id, entry.snapshot.version

    def put(self, snapshot: TenantSnapshot) -> None:
        """Takes a tenant in, or its new snapshot."""
        entry = self.by_id.get(snapshot.id)
        if entry is None:
            entry = self.by_id[snapshot.id] = CachedTenant(snapshot)
        else:
            self._leave_domains(entry)
            self._size -= _size(entry.snapshot)
            entry.snapshot = snapshot
        self._size += _size(snapshot)
        for domain in snapshot.domains:
            self.by_domain[domain] = entry
        self._make_room()

    def drop(self, tenant_id: str) -> None:
        """Forgets a tenant."""
        entry = self.by_id.pop(tenant_id, None)
        if entry is not None:
            self._size -= _size(entry.snapshot)
            self._leave_domains(entry)

    def _leave_domains(self, entry: CachedTenant) -> None:
        for domain in entry.snapshot.domains:
            # The domain may have moved to another tenant meanwhile.
            if self.by_domain.get(domain) is entry:
                del self.by_domain[domain]

    def _make_room(self) -> None:
        # The last one stays, however large it is: its calls would read it each time.
        while self._size > self._max and len(self.by_id) > 1:
            tenant_id, entry = next(iter(self.by_id.items()))
            if entry.is_used:
                entry.is_used = False
                self.by_id[tenant_id] = self.by_id.pop(tenant_id)
            else:
                self.drop(tenant_id)


def _size(snapshot: TenantSnapshot) -> int:
    return 1 + len(snapshot.extensions)
