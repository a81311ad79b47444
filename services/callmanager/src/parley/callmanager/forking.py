"""The branches of a call: all phones ring at once, the first 2xx wins, the best failure counts."""

from collections.abc import Iterable, Sequence
from typing import Final

from parley.callmanager.call_events import Fail
from parley.callmanager.callee_leg import CalleeLeg
from parley.callmanager.invite import InviteTemplate
from parley.callmanager.leg import LegContext
from parley.callmanager.party_description import PartyDescription
from parley.callmanager.redirection import MOVED
from parley.callmanager.routing import Target
from parley.model.media import LocalStream

# RFC 3261 16.7 step 6 leaves the choice within a class open: the more a status says about the
# person, the better; what only says that a phone did not work comes last.
_RANKS: Final = {486: 0, 480: 1, 403: 2, 488: 3, 404: 8, 408: 9, 430: 9, 481: 9, 487: 9}
_DEFAULT_RANK: Final = 5
_SILENT: Final = 480


class Fork:
    """The phones that a call rings, by leg id.

    Attributes:
        branches: in the order in which they were tried.
        failures: statuses of those that came to nothing.
        redirected_to: Contact values of the first one that redirected the call.
        template: makes their INVITEs.
    """

    __slots__ = ("_context", "_party", "branches", "failures", "redirected_to", "template")

    def __init__(self, party: str, template: InviteTemplate, context: LegContext) -> None:
        self._party = party
        self.template = template
        self._context = context
        self.failures: list[int] = []
        self.redirected_to: tuple[str, ...] = ()
        self.branches: dict[str, CalleeLeg] = {}

    def add(self, targets: Iterable[Target], now: float) -> list[CalleeLeg]:
        """Makes a branch per target; nothing is sent yet."""
        added = []
        for target in targets:
            leg_id = f"b{len(self.branches) + 1}"
            leg = CalleeLeg(leg_id, self._party, target, self._context, now)
            self.branches[leg_id] = leg
            added.append(leg)
        return added

    def send(
        self,
        branches: Iterable[CalleeLeg],
        offer: PartyDescription | None,
        streams: Sequence[LocalStream],
        now: float,
    ) -> None:
        """Sends the INVITEs with the caller's offer, its media at the relay."""
        for leg in branches:
            body = leg.told.relay(offer.sdp, streams) if offer is not None else b""
            if not leg.invite(self.template, body):
                self.failures.append(_SILENT)
                leg.close(now)

    def receive_failure(self, event: Fail) -> Target | None:
        """Notes a branch's failure; returns another flow to the same phone worth a try."""
        alternates = self.branches[event.leg].target.alternates
        if event.alternate and alternates:
            first, *rest = alternates
            return Target(first.contact, first.route, first.source, first.edge, tuple(rest))
        self.redirected_to = self.redirected_to or event.redirected_to
        leads_somewhere = event.status >= 400 or event.redirected_to
        self.failures.append(event.status if leads_somewhere else _SILENT)
        return None

    @property
    def is_over(self) -> bool:
        """No branch can answer any more."""
        return all(leg.is_closed for leg in self.branches.values())

    def best_failure(self) -> int:
        """The status that says most (RFC 3261 16.7 step 6): 6xx first, else the lowest class."""
        decisive = [status for status in self.failures if status >= 600]
        if decisive:
            return decisive[0]
        if self.redirected_to:
            return MOVED
        return min(self.failures, key=_preference, default=_SILENT)

    def give_up_others(self, winner: CalleeLeg | None, reason: str | None, now: float) -> None:
        """Cancels every branch but the winner that has not ended."""
        for leg in self.branches.values():
            if leg is not winner and not leg.is_closed and not leg.is_cancelled:
                leg.give_up(reason, now)


def _preference(status: int) -> tuple[int, int]:
    return status // 100, _RANKS.get(status, _DEFAULT_RANK)
