"""Responses without a transaction here, and responses whose way back is gone.

A response belongs to the call, not to the process that asked. Its Vias tell where to: a call
manager's names the service, the listener of the instance, and by its branch the call. The
instance gets it as long as it can be reached, then the successor that rendezvous hashing names,
which makes the transaction again from the call's snapshot.

RFC 6026 7 forbids to forward strays at large, for that makes a reflector. A call manager is
trusted. From a phone only what carries the branch that we derive for the next Via passes: the
request was forwarded by one of us, which is gone (`derivation.py`).

What a phone wrote into its Via opens no connection. A response to a phone goes over the connection
of the request, or by UDP to the address that its Via was stamped with, or it is lost.
"""

from typing import Final

from parley.edgeproxy.border.headers import strip_foreign, strip_internal
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.proxy.callmanagers import CallManagers, Candidate
from parley.edgeproxy.proxy.forwarding import Sender
from parley.edgeproxy.routing.addresses import EdgeAddresses
from parley.edgeproxy.routing.derivation import Derivation, call_of, next_via
from parley.edgeproxy.routing.hidden_vias import HiddenVias
from parley.edgeproxy.routing.routes import Routes
from parley.service.clock import Clock
from parley.sip.errors import ProtocolError
from parley.sip.headers import Via
from parley.sip.hop import Hop
from parley.sip.message import Response
from parley.siptransport.vias import listener_of

MAX_REROUTES: Final = 3
_MAX_REMEMBERED: Final = 4096


class Strays:
    """Finds ways for responses."""

    def __init__(  # noqa: PLR0913 - wiring
        self,
        sender: Sender,
        callmanagers: CallManagers,
        derivation: Derivation,
        addresses: EdgeAddresses,
        routes: Routes,
        hidden_vias: HiddenVias,
        clock: Clock,
        metrics: EdgeMetrics,
    ) -> None:
        self._sender = sender
        self._callmanagers = callmanagers
        self._derivation = derivation
        self._addresses = addresses
        self._routes = routes
        self._hidden_vias = hidden_vias
        self._clock = clock
        self._metrics = metrics
        # What could not be delivered lately -> how often it was tried again.
        self._reroutes: dict[tuple[str | None, str, int], int] = {}

    def on_stray(self, response: Response, *, is_inside: bool) -> None:
        """Passes on a response that matches no transaction of ours, if it may.

        Raises:
            RemoteProtocolError: a Via is malformed.
        """
        if response.status == 100:
            return
        if is_inside:
            via = next_via(response)
            if via is not None and via.transport == "udp":
                strip_internal(response)
                self._routes.hide_inside(response)
                self._sender.send(response, _way_to_phone(via))
            return
        top = response.via
        if not self._addresses.is_own_sent_by(top.host, top.sent_by_port):
            return
        self._hidden_vias.reveal(response)
        if not self._derivation.is_own(response):
            return
        via = next_via(response)
        candidate = None if via is None else self._receiver(via)
        if candidate is not None:
            strip_foreign(response)
            self._routes.add_inside(response)
            response.listener = self._addresses.inside  # by its branch the request came from there
            self._sender.send(response, candidate.hop)

    def reroute(self, response: Response, failed: Hop) -> Hop | None:
        """Implements `NodePolicy.reroute`: only what call managers asked for has another way."""
        if not self._addresses.is_inside(response.listener):
            return None
        try:
            via = response.via
            key = (via.branch, response.cseq.method, response.status)
        except ProtocolError:
            return None
        count = self._reroutes.pop(key, 0)
        if count >= MAX_REROUTES:
            return None
        if len(self._reroutes) >= _MAX_REMEMBERED:
            del self._reroutes[next(iter(self._reroutes))]
        self._reroutes[key] = count + 1
        if not failed.flow:
            instance = self._callmanagers.instance_at(failed.host, failed.port)
            self._callmanagers.mark_unreachable(instance, self._clock.now())
        candidate = self._receiver(via)
        if candidate is None:
            return None
        self._metrics.rerouted.inc()
        return candidate.hop

    def _receiver(self, via: Via) -> Candidate | None:
        now = self._clock.now()
        candidate = self._callmanagers.at(*listener_of(via))
        if candidate is not None and not self._callmanagers.is_suspect(candidate.instance, now):
            return candidate
        call_id = call_of(via)
        return self._callmanagers.successor(call_id, now) if call_id else candidate


def _way_to_phone(via: Via) -> Hop:
    return Hop("udp", via.received or via.host, via.rport or via.sent_by_port)
