"""How many connections a transport accepts, of whom (sans I/O).

A stranger is whoever came to a public listener from an address that nobody vouches for, or to an
inside one, and has not proved himself on the connection yet. Strangers have a small share of their
own, and few of it for one address. When it is full the one that came first makes room, of one
address if he had some seconds, so that a phone which proves itself at once gets in however many
idle strangers there are.
"""

from collections import Counter
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from parley.service.sources import source_key
from parley.siptransport.limits import TransportLimits

G = TypeVar("G", bound=Hashable)

GRACE_S: Final = 5.0
"""How long a stranger may stay for sure while others of his address want his place."""


class ConnectionQuota(Generic[G]):
    """Accepted connections by source, strangers in the order they came."""

    def __init__(self, limits: TransportLimits) -> None:
        self._limits = limits
        self._hosts: dict[G, str] = {}
        self._strangers: dict[G, float] = {}  # since when
        self._by_host: Counter[str] = Counter()
        self._strangers_by_host: dict[str, dict[G, None]] = {}

    def __len__(self) -> int:
        return len(self._hosts)

    def admit(self, guest: G, host: str, now: float, *, is_stranger: bool) -> bool:
        """Says whether a connection may stay, and counts it then; `surplus` may have to leave."""
        limits, host = self._limits, source_key(host)
        if len(self._hosts) >= limits.connections:
            return False
        if self._by_host[host] >= limits.connections_per_source:
            return False
        if is_stranger:
            same = self._strangers_by_host.get(host, {})
            oldest = self._strangers[next(iter(same))] if same else now
            if len(same) >= limits.strangers_per_source and now - oldest < GRACE_S:
                return False
            self._strangers[guest] = now
            self._strangers_by_host.setdefault(host, {})[guest] = None
        self._hosts[guest] = host
        self._by_host[host] += 1
        return True

    def surplus(self, guest: G) -> G | None:
        """Returns the stranger who has to leave for one who was admitted; None: nobody."""
        same = self._strangers_by_host.get(self._hosts[guest], {})
        if len(same) > self._limits.strangers_per_source:
            return next(iter(same))
        if len(self._strangers) <= self._limits.strangers:
            return None
        return next(iter(self._strangers))

    def vouch(self, guest: G) -> None:
        """Learns that this one is no stranger any more."""
        if guest in self._strangers:
            del self._strangers[guest]
            host = self._hosts[guest]
            same = self._strangers_by_host[host]
            del same[guest]
            if not same:
                del self._strangers_by_host[host]

    def release(self, guest: G) -> None:
        """Learns that a connection is over; one that is not counted is no error."""
        self.vouch(guest)
        host = self._hosts.pop(guest, None)
        if host is not None:
            self._by_host[host] -= 1
            if not self._by_host[host]:
                del self._by_host[host]
