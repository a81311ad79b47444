"""Sources from which somebody proved who he is: they keep their share when strangers crowd in.

A source (`parley.service.sources`) proves nothing about a message; that of a datagram may be
forged. So this decides who is served where not all can be, and never what somebody may do.
"""

from collections.abc import Callable, Iterable

from parley.edgeproxy.limits.guard import DEFAULT_TABLE_SIZE, Network, is_inside
from parley.service.clock import Clock
from parley.service.sources import source_key
from parley.sip.hop import Hop


class KnownSources:
    """The sources, bounded in number; the one that was noted first makes room.

    Args:
        vouch: told of each connection whose peer proved himself.
        always: addresses that need no proof: of trusted peers.
        networks: the same by network.
        clock: for their life.
        life_s: how long one stays known after its last proof.
        size: how many are remembered.
    """

    __slots__ = ("_always", "_clock", "_life_s", "_networks", "_size", "_until", "_vouch")

    def __init__(
        self,
        vouch: Callable[[Hop], None],
        always: Iterable[str],
        networks: Iterable[Network],
        clock: Clock,
        life_s: float,
        size: int = DEFAULT_TABLE_SIZE,
    ) -> None:
        self._vouch = vouch
        self._always = frozenset(always)
        self._networks = tuple(networks)
        self._clock = clock
        self._life_s = life_s
        self._size = size
        self._until: dict[str, float] = {}

    def note(self, source: Hop) -> None:
        """Learns that what came from there was sent by whom it says."""
        self.note_connection(source)
        key, until = source_key(source.host), self._clock.now() + self._life_s
        if key in self._until and self._until[key] > until - self._life_s / 2:
            return
        self._until.pop(key, None)
        if len(self._until) >= self._size:
            del self._until[next(iter(self._until))]
        self._until[key] = until

    def note_connection(self, source: Hop) -> None:
        """Learns so of a connection, which makes nobody else at its address known."""
        if source.transport != "udp":
            self._vouch(source)

    def knows(self, host: str) -> bool:
        """Says whether somebody at the source of this address proved himself lately."""
        if host in self._always or self._until.get(source_key(host), 0.0) > self._clock.now():
            return True
        return is_inside(host, self._networks)
