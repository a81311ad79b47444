"""CANCELs without their INVITE: that came by another edge, which is gone, or by us before a start.

A CANCEL has the Via branch of its INVITE (RFC 3261 9.1), so what any edge wrote as branch towards
the call manager is derived from it again (`derivation.py`). Which call manager got the INVITE
cannot be told. They are asked one after another, the busiest first, until one has it; when some
of them did not answer, once more a moment later, for a call whose owner died is taken over by then.

A proxy that knows nothing of the request passes its CANCEL on (16.10). Here it does so within
bounds: nobody but call managers is sent anything, few searches run at once, few begin in a second
and fewer for one source, and nothing is kept of one that is over. Half of all that is kept for
sources from which somebody proved himself lately. A CANCEL beyond the bounds is told 481.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from parley.edgeproxy.border.headers import assert_dialog
from parley.edgeproxy.limits.avalanche import Avalanche
from parley.edgeproxy.limits.guard import SourceLimiter
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.proxy.callmanagers import CallManagers, Candidate
from parley.edgeproxy.proxy.forwarding import Sender
from parley.edgeproxy.proxy.proxy import SILENCE_S, Proxy
from parley.edgeproxy.routing.derivation import Derivation
from parley.edgeproxy.routing.routes import Routes
from parley.service.clock import Clock
from parley.sip.message import Request, Response
from parley.sip.transaction import ClientTransaction, ServerTransaction

MAX_ASKED: Final = 16
"""Call managers asked in one round."""
MAX_SEARCHES: Final = 500
PATIENCE_S: Final = 4.0
"""After that no round begins; a phone waits for its answer, and repeats the CANCEL, for 32 s."""
ROUND_PAUSE_S: Final = 1.0
SEARCH_RATE: Final = 100.0
"""Searches a second, for all phones together, half of it for known sources."""
SEARCH_BURST: Final = 1000.0
"""How many more at once: an edge that dies leaves many calls ringing."""
SOURCE_RATE: Final = 10.0
"""Searches a second for one address, behind which there may be a whole office; as many again over
connections and with a token of that address."""
SOURCE_BURST: Final = 100.0
"""How many more at once."""

_HOPS: Final = "70"
_COPIED: Final = ("from", "to", "call-id", "cseq", "reason")


@dataclass(slots=True, eq=False)
class Search:
    """One CANCEL looking for its INVITE.

    Attributes:
        server: the transaction that waits for the answer.
        request: what call managers are sent, without our Via.
        branch: that of the INVITE.
        owner: who has the call, where a token says it.
        ends_at: no round begins later.
        left: whom to ask in this round.
        is_unsure: somebody in this round said neither yes nor no.
        client: the question under way; None between rounds.
        asked: the instance that it went to.
        due: when that is too late, or when the next round begins.
    """

    server: ServerTransaction
    request: Request
    branch: str
    owner: str
    ends_at: float
    left: list[Candidate] = field(default_factory=list)
    is_unsure: bool = False
    client: ClientTransaction | None = None
    asked: str = ""
    due: float = 0.0


class StrayCancels:
    """Finds who has the INVITE; `check` is called every tenth of a second."""

    def __init__(  # noqa: PLR0913 - wiring, by keyword
        self,
        *,
        sender: Sender,
        proxy: Proxy,
        callmanagers: CallManagers,
        derivation: Derivation,
        routes: Routes,
        knows: Callable[[str], bool],
        clock: Clock,
        metrics: EdgeMetrics,
    ) -> None:
        self._knows = knows
        self._sender = sender
        self._proxy = proxy
        self._callmanagers = callmanagers
        self._derivation = derivation
        self._routes = routes
        self._clock = clock
        self._metrics = metrics
        self._sources, self._heard = (SourceLimiter(SOURCE_RATE, SOURCE_BURST) for _ in range(2))
        self._for_known, self._for_all = (
            Avalanche(SEARCH_RATE / 2, SEARCH_BURST / 2) for _ in range(2)
        )
        self._searches: dict[Search, None] = {}

    def __len__(self) -> int:
        return len(self._searches)

    def take(self, server: ServerTransaction, request: Request) -> None:
        """Begins to look for the INVITE of a phone's CANCEL.

        Raises:
            RemoteProtocolError: its Route is malformed.
        """
        now = self._clock.now()
        if not self._has_room(request, now):
            self._metrics.stray_cancels["limited"].inc()
            self._proxy.refuse(server, 481)
            return
        token = self._routes.take_own(request.copy())
        search = Search(
            server,
            _bare(request),
            self._derivation.branch(request),
            owner="" if token is None else token.owner,
            ends_at=now + PATIENCE_S,
        )
        self._searches[search] = None
        self._begin_round(search, now)

    def on_response(self, client: ClientTransaction, response: Response) -> None:
        """Takes what a call manager says."""
        search = client.user
        if not isinstance(search, Search) or search.client is not client or response.status < 200:
            return
        if response.status < 300:
            self._end(search, 200, "taken")
            return
        if response.status >= 500:
            search.is_unsure = True
        self._ask_next(search, self._clock.now())

    def on_failure(self, client: ClientTransaction) -> None:
        """Learns that a call manager was not reached."""
        search = client.user
        if isinstance(search, Search) and search.client is client:
            self._leave(search, self._clock.now())

    def check(self) -> None:
        """Goes on where somebody is silent, and begins the rounds that are due."""
        now = self._clock.now()
        for search in [one for one in self._searches if one.due <= now]:
            if search.client is None:
                self._begin_round(search, now)
            else:
                self._sender.abandon(search.client)
                self._leave(search, now)

    def _has_room(self, request: Request, now: float) -> bool:
        source = request.source
        if source is None:
            return False
        is_known = self._knows(source.host)
        # Of a datagram without token the address may be forged.
        is_heard = source.transport != "udp" or self._routes.is_heard(request, source)
        of_source = self._heard if is_heard else self._sources
        return (
            len(self._searches) < (MAX_SEARCHES if is_known else MAX_SEARCHES // 2)
            and of_source.admit(source.host, now)
            and ((is_known and self._for_known.admit(now)) or self._for_all.admit(now))
        )

    def _begin_round(self, search: Search, now: float) -> None:
        search.left = self._callmanagers.by_likelihood(search.owner, now)[:MAX_ASKED]
        search.is_unsure = not search.left
        self._ask_next(search, now)

    def _ask_next(self, search: Search, now: float) -> None:
        search.client = None
        if not search.left:
            self._end_round(search, now)
            return
        candidate = search.left.pop(0)
        search.asked = candidate.instance
        search.due = now + SILENCE_S
        request = search.request.copy()
        try:
            search.client = self._sender.send_request(
                request, candidate.hop, search, branch=search.branch
            )
        except ValueError:
            # A CANCEL of this branch is under way already, so who sent that has the INVITE.
            self._end(search, 481, "unknown")

    def _leave(self, search: Search, now: float) -> None:
        self._callmanagers.mark_unreachable(search.asked, now)
        search.is_unsure = True
        self._ask_next(search, now)

    def _end_round(self, search: Search, now: float) -> None:
        search.due = now + ROUND_PAUSE_S
        if not search.is_unsure or search.due > search.ends_at:
            self._end(search, 481, "unknown")

    def _end(self, search: Search, status: int, result: str) -> None:
        search.client = None
        del self._searches[search]
        self._answer(search.server, status, result)

    def _answer(self, server: ServerTransaction, status: int, result: str) -> None:
        self._metrics.stray_cancels[result].inc()
        self._proxy.respond(server, status)


def _bare(cancel: Request) -> Request:
    """What call managers need of a phone's CANCEL, and where it came from."""
    request = Request("CANCEL", cancel.uri_text)
    request.add("max-forwards", _HOPS)
    for name in _COPIED:
        request.copy_lines(name, cancel)
    if cancel.source is not None:
        assert_dialog(request, "", cancel.source.host)
    return request
