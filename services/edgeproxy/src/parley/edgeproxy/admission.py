"""Who is served where not all can be: rate limits, and the share of those who are known.

Nothing here says what somebody may do. A source address may be forged, so each bound has a part
that forgers cannot use up: of datagrams those that show that their source hears us, of places and
of floods those whose address proved itself lately.
"""

from collections.abc import Callable

from parley.edgeproxy.limits.avalanche import Avalanche
from parley.edgeproxy.limits.guard import SourceLimiter, parse_networks
from parley.edgeproxy.limits.known_sources import KnownSources
from parley.edgeproxy.limits.room import Room
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.settings import EdgeSettings
from parley.service.clock import Clock
from parley.sip.errors import RemoteProtocolError
from parley.sip.hop import Hop
from parley.sip.message import Request


class Admission:
    """The bounds of one edge's outside.

    Args:
        settings: rates and bursts.
        known: addresses that proved themselves lately.
        clock: of the buckets.
        metrics: counts what is refused.
    """

    def __init__(
        self, settings: EdgeSettings, known: KnownSources, clock: Clock, metrics: EdgeMetrics
    ) -> None:
        exempt = parse_networks(settings.unlimited_sources)
        self._sources, self._heard = (
            SourceLimiter(settings.source_rate, settings.source_burst, exempt) for _ in range(2)
        )
        self._strangers = Avalanche(settings.stranger_rate, settings.stranger_burst)
        self._known = known
        self._clock = clock
        self._metrics = metrics

    def attach(self, room: Room, is_heard: Callable[[Request, Hop], bool]) -> None:
        """Connects what needs the node, which needs this; before it listens.

        Args:
            room: places for requests.
            is_heard: says whether a request shows that its source hears us; may raise
                `RemoteProtocolError`.
        """
        self._room = room
        self._is_heard = is_heard

    def hears(self, host: str) -> bool:
        """Says whether a datagram is read at all: a flood is dropped where it costs least."""
        if self._known.knows(host) or self._strangers.admit(self._clock.now()):
            return True
        self._metrics.refused["strangers"].inc()
        return False

    def is_within_rate(self, source: Hop, request: Request | None = None) -> bool:
        """Takes from the rate of a source; the request is None for what is no request."""
        host, now = source.host, self._clock.now()
        if source.transport != "udp":
            is_admitted = self._heard.admit(host, now)
        else:
            # Whoever forges an address can empty its bucket, but has no token or nonce of its own.
            is_admitted = self._sources.admit(host, now) or (
                request is not None
                and self._shows(request, source)
                and self._heard.admit(host, now)
            )
        if not is_admitted:
            self._metrics.refused["rate"].inc()
        return is_admitted

    def has_place(self, host: str) -> bool:
        """Says whether a request from this address may have a transaction."""
        if self._room.admits(host):
            return True
        self._metrics.refused["room"].inc()
        return False

    def _shows(self, request: Request, source: Hop) -> bool:
        try:
            return self._is_heard(request, source)
        except RemoteProtocolError:
            return False
