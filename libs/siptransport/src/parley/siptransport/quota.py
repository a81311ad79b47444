"""How many connections a transport accepts, of whom (sans I/O).

A stranger is whoever came to a public listener from an address that nobody vouches for, or to an
inside one, and has not proved himself on the connection yet. Strangers have a small share of their
own: few for one address, and when the share is full the one that came first makes room, so that a
phone which proves itself within seconds gets in however many idle strangers there are.
"""

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

from parley.service.sources import source_key
from parley.siptransport.limits import TransportLimits

G = TypeVar("G", bound=Hashable)


class ConnectionQuota(Generic[G]):
    """Accepted connections by source, strangers in the order they came."""

    def __init__(self, limits: TransportLimits) -> None:
        self._limits = limits
        self._hosts: dict[G, str] = {}
        self._strangers: dict[G, None] = {}
        self._by_host: Counter[str] = Counter()
        self._strangers_by_host: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._hosts)

    @property
    def stranger_count(self) -> int:
        """How many of them are strangers."""
        return len(self._strangers)

    def admit(self, guest: G, host: str, *, is_stranger: bool) -> bool:
        """Says whether a connection may stay, and counts it then."""
        limits, host = self._limits, source_key(host)
        if len(self._hosts) >= limits.connections:
            return False
        if self._by_host[host] >= limits.connections_per_source:
            return False
        if is_stranger:
            if self._strangers_by_host[host] >= limits.strangers_per_source:
                return False
            self._strangers[guest] = None
            self._strangers_by_host[host] += 1
        self._hosts[guest] = host
        self._by_host[host] += 1
        return True

    def surplus(self) -> G | None:
        """Returns the stranger who has to leave because there are too many; None: nobody."""
        if len(self._strangers) <= self._limits.strangers:
            return None
        return next(iter(self._strangers))

    def vouch(self, guest: G) -> None:
        """Learns that this one is no stranger any more."""
        if guest in self._strangers:
            del self._strangers[guest]
            _decrement(self._strangers_by_host, self._hosts[guest])

    def release(self, guest: G) -> None:
        """Learns that a connection is over; one that is not counted is no error."""
        self.vouch(guest)
        host = self._hosts.pop(guest, None)
        if host is not None:
            _decrement(self._by_host, host)


def _decrement(counter: Counter[str], host: str) -> None:
    counter[host] -= 1
    if not counter[host]:
        del counter[host]
