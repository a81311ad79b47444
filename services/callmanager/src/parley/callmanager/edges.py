"""The live edges, by which phones are reached.

A request goes to the edge that its Route names. When that edge is gone another one takes its place:
any edge reads the token, and all share the address that phones know. An edge that discovery never
named is left alone, for it may be new, or not an edge.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

from parley.backing.discovery.base import Discovery, Instance, InstanceState, Watch
from parley.callmanager.hops import hop_at
from parley.model.rendezvous import choose
from parley.service.clock import Clock
from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.sip.transaction import sent_by_hop
from parley.siptransport.policy import by_via

SERVICE_NAME: Final = "edgeproxy"
SUSPECT_S: Final = 2.0
"""How long an edge that could not be reached is avoided; discovery will know by then."""
CLOSED_S: Final = 6.0
"""How long a closed connection means that its edge may be gone: discovery knows by then, too."""
_MANY_REMEMBERED: Final = 1000
_T = TypeVar("_T")


class Edges:
    """Follows discovery and remembers which edges could not be reached."""

    def __init__(self, discovery: Discovery, clock: Clock) -> None:
        self._discovery = discovery
        self._clock = clock
        self._live: dict[str, Hop] = {}
        self._draining: dict[str, Hop] = {}
        self._gone: dict[Hop, None] = {}
        self._suspects: dict[Hop, float] = {}
        self._closed: dict[Hop, float] = {}
        self._watch: Watch | None = None

    def start(self) -> None:
        """Begins to follow discovery."""
        self._watch = self._discovery.watch(SERVICE_NAME, self._on_view)

    def close(self) -> None:
        """Ends it."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def living(self, hop: Hop, key: str) -> Hop:
        """The hop itself, or that of another edge when it belongs to one that is gone."""
        if not self._gone and not self._suspects:
            return hop
        if hop in self._gone or self._is_suspect(hop):
            return self._choose(hop, key) or hop
        return hop

    def is_leaving(self, hop: Hop) -> bool:
        """Whether the edge at this hop drains, or is gone: its phones over UDP are others' now."""
        place = hop._replace(flow=0)
        return place in self._draining.values() or place in self._gone

    def note_closed(self, flow: Hop) -> None:
        """Learns that a connection of an edge is gone."""
        _put_bounded(self._closed, flow, self._clock.now() + CLOSED_S)

    def is_lost(self, request: Request) -> bool:
        """Whether the edge that brought a request is gone or about to go, or may be.

        Raises:
            RemoteProtocolError: the topmost Via cannot be used.
        """
        place = sent_by_hop(request.via)
        if request.source is not None and self._clock.now() < self._closed.get(request.source, 0.0):
            return True
        return self.is_leaving(place) or self._is_suspect(place)

    def another(self, failed: Hop, key: str) -> Hop | None:
        """Another edge than one that was just not reached; None when there is none."""
        place = failed._replace(flow=0)
        self._suspects[place] = self._clock.now() + SUSPECT_S
        return self._choose(place, key)

    def reroute(self, response: Response, failed: Hop) -> Hop | None:
        """Another edge for a response whose way is gone (`NodePolicy.reroute`)."""
        return by_via(response, failed) or self.another(failed, response.via.branch or "")

    # --- inside ----------------------------------------------------------------------------

    def _choose(self, gone: Hop, key: str) -> Hop | None:
        for edges in (self._live, self._draining):
            usable = [
                name
                for name, hop in edges.items()
                if hop.transport == gone.transport and hop != gone and not self._is_suspect(hop)
            ]
            chosen = choose(key, usable)
            if chosen is not None:
                return edges[chosen]
        return None

    def _is_suspect(self, hop: Hop) -> bool:
        until = self._suspects.get(hop)
        if until is None:
            return False
        if self._clock.now() < until:
            return True
        del self._suspects[hop]
        return False

    def _on_view(self, instances: Sequence[Instance]) -> None:
        before = {*self._live.values(), *self._draining.values()}
        live: dict[str, Hop] = {}
        draining: dict[str, Hop] = {}
        for each in instances:
            hop = hop_at(each.address)
            if hop is not None:
                (draining if each.state is InstanceState.DRAINING else live)[each.id] = hop
        for name in live.keys() - self._live.keys() - self._draining.keys():
            # Another run of the edge that was not reached there.
            self._suspects.pop(live[name], None)
        self._live, self._draining = live, draining
        after = {*live.values(), *draining.values()}
        for hop in before - after:
            _put_bounded(self._gone, hop, None)
        for hop in after:
            self._gone.pop(hop, None)


def _put_bounded(hops: dict[Hop, _T], hop: Hop, value: _T) -> None:
    hops[hop] = value
    if len(hops) > _MANY_REMEMBERED:
        del hops[next(iter(hops))]
