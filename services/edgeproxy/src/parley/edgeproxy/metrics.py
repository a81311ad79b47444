"""The Prometheus series of the edge proxy; on the path of a message a count is one addition."""

from typing import Final

from parley.service.metrics import Metrics, Registry

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
        metrics = Metrics(registry, "edgeproxy")
        requests = metrics.counter("requests", "SIP requests received.", ("side", "method"))
        self._requests = {
            (side, method): requests.labels(side, method)
            for side in ("inside", "outside")
            for method in (*_METHODS, _OTHER)
        }
        self.challenges = metrics.counter("challenges", "Requests challenged by digest.")
        self.auth_failures = metrics.counter("auth_failures", "Credentials refused.")
        self.bans = metrics.counter("bans", "Sources banned for failed authentication.")
        refused = metrics.counter("refused", "Requests refused unauthenticated.", ("cause",))
        self.refused = {cause: refused.labels(cause) for cause in REFUSALS}
        changes = metrics.counter("registrations", "Changes of bindings.", ("change",))
        self.registrations = {change: changes.labels(change) for change in REGISTRATION_CHANGES}
        self.conflicts = metrics.counter("state_conflicts", "Writes of bindings repeated.")
        self.no_callmanager = metrics.counter("no_callmanager", "Requests without call manager.")
        self.retries = metrics.counter("callmanager_retries", "Requests sent to another one.")
        self.redirects = metrics.counter("callmanager_redirects", "Requests sent to the owner.")
        self.rerouted = metrics.counter("responses_rerouted", "Responses sent to a successor.")
        self.repaired = metrics.counter("bindings_repaired", "Bindings written again.")
        self.unwritten = metrics.counter("refreshes_unwritten", "Refreshes answered without state.")
        self.stray_responses = metrics.counter("stray_responses", "Responses to no transaction.")
        cancels = metrics.counter("stray_cancels", "CANCELs of no INVITE known here.", ("result",))
        self.stray_cancels = {result: cancels.labels(result) for result in CANCEL_RESULTS}
        self.events_dropped = metrics.counter("events_dropped", "Events the bus did not take.")
        self.state_errors = metrics.counter("state_errors", "Failed uses of shared state.")

    def count_request(self, side: str, method: str) -> None:
        """Counts a request; methods nobody knows share one label, or a peer could make series."""
        self._requests[side, method if method in _METHODS else _OTHER].inc()
