"""The Prometheus series of the edge proxy.

On the path of a message a count is one addition; once a second `publish` hands the sums to
Prometheus, whose own counters cost a lock each.
"""

from typing import Final

from parley.service.metrics import Metrics, Registry
from parley.service.series import Counter

REGISTRATION_CHANGES: Final = ("added", "refreshed", "removed", "expired")
REFUSALS: Final = ("rate", "strangers", "room", "avalanche", "banned", "no_token", "loop")
CANCEL_RESULTS: Final = ("taken", "unknown", "limited")
_OTHER: Final = "other"
_METHODS: Final = frozenset(
    (
        *("ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY"),
        *("OPTIONS", "PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE"),
    )
)


class Tally:
    """A counter that is handed to Prometheus later.

    Attributes:
        count: since the last time; whoever counts adds to it.
    """

    __slots__ = ("_counter", "count")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.count = 0

    def publish(self) -> None:
        """Hands over what was counted since the last time."""
        if self.count:
            self._counter.inc(self.count)
            self.count = 0


class EdgeMetrics:
    """All series of one edge; edges of one process add to the same series.

    Attributes:
        challenges: requests answered with 401 or 407.
        auth_failures: credentials that did not prove anything.
        bans: sources banned for failing too often.
        refused: requests turned away before authentication, by cause.
        registrations: bindings by what happened to them.
        conflicts: bindings written again because another edge was faster.
        no_callmanager: requests that found no call manager.
        retries: requests sent to another call manager after one failed.
        redirects: requests that a call manager sent on to the owner of the call.
        rerouted: responses sent to another call manager than had asked.
        repaired: bindings written again that shared state had lost.
        unwritten: refreshes answered while shared state was away, to be written later.
        stray_responses: responses without transaction.
        stray_cancels: CANCELs without their INVITE, by what became of them.
        events_dropped: events that the bus could not take.
        state_errors: readings and writings of shared state that failed.
    """

    def __init__(self, registry: Registry) -> None:
        self._tallies: list[Tally] = []
        self._metrics = metrics = Metrics(registry, "edgeproxy")
        requests = metrics.counter("requests", "SIP requests received.", ("side", "method"))
        self._requests = {
            (side, method): self._tally(requests.labels(side, method))
            for side in ("inside", "outside")
            for method in (*_METHODS, _OTHER)
        }
        self.challenges = self._plain("challenges", "Requests challenged by digest.")
        self.auth_failures = self._plain("auth_failures", "Credentials refused.")
        self.bans = self._plain("bans", "Sources banned for failed authentication.")
        refused = metrics.counter("refused", "Requests refused unauthenticated.", ("cause",))
        self.refused = {cause: self._tally(refused.labels(cause)) for cause in REFUSALS}
        changes = metrics.counter("registrations", "Changes of bindings.", ("change",))
        self.registrations = {
            change: self._tally(changes.labels(change)) for change in REGISTRATION_CHANGES
        }
        self.conflicts = self._plain("state_conflicts", "Writes of bindings repeated.")
        self.no_callmanager = self._plain("no_callmanager", "Requests without call manager.")
        self.retries = self._plain("callmanager_retries", "Requests sent to another one.")
        self.redirects = self._plain("callmanager_redirects", "Requests sent to the owner.")
        self.rerouted = self._plain("responses_rerouted", "Responses sent to a successor.")
        self.repaired = self._plain("bindings_repaired", "Bindings written again.")
        self.unwritten = self._plain("refreshes_unwritten", "Refreshes answered without state.")
        self.stray_responses = self._plain("stray_responses", "Responses to no transaction.")
        cancels = metrics.counter("stray_cancels", "CANCELs of no INVITE known here.", ("result",))
        self.stray_cancels = {
            result: self._tally(cancels.labels(result)) for result in CANCEL_RESULTS
        }
        self.events_dropped = self._plain("events_dropped", "Events the bus did not take.")
        self.state_errors = self._plain("state_errors", "Failed uses of shared state.")

    def count_request(self, side: str, method: str) -> None:
        """Counts a request; methods nobody knows share one label, or a peer could make series."""
        self._requests[side, method if method in _METHODS else _OTHER].count += 1

    def publish(self) -> None:
        """Hands everything over to Prometheus."""
        for tally in self._tallies:
            tally.publish()

    def _plain(self, name: str, doc: str) -> Tally:
        return self._tally(self._metrics.counter(name, doc))

    def _tally(self, counter: Counter) -> Tally:
        tally = Tally(counter)
        self._tallies.append(tally)
        return tally
