"""Failover and retries: which call manager gets a request, and which one next (no I/O).

A request looks for the call manager that has its call. One that is out of reach is left for the
successor that rendezvous hashing names; one that names the owner is followed there; a stand-in for
an owner that was silent is not believed when it knows nothing. One that cannot tell whose the call
is, for it does not reach shared state, is no answer: the others are asked, and again after a while.

To ask around is safe whatever the truth is. Who cannot tell does not have the call, so it has not
acted and will not before it has claimed it; who is asked acts under the epoch that state gives it.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from parley.edgeproxy.border.headers import OWNER_HEADER, UNKNOWN_HEADER
from parley.edgeproxy.proxy.callmanagers import CallManagers, Candidate
from parley.edgeproxy.proxy.forwarding import Forwarding
from parley.service.clock import Clock
from parley.sip.message import Response

MAX_ATTEMPTS: Final = 4
MAX_REDIRECTS: Final = 3
REDIRECT_PAUSE_S: Final = 0.1
UNKNOWN_PAUSE_S: Final = 0.4
"""Between two rounds in which nobody could tell whose a call is."""
UNKNOWN_S: Final = 5.0
"""For how long such rounds begin; the phone's transaction lasts 32 s (RFC 3261 17.1)."""


class Onward(NamedTuple):
    """Whom a request is sent to next, and after how many seconds."""

    target: Candidate
    pause_s: float = 0.0


class Pursuit:
    """Chooses among the live call managers."""

    def __init__(self, callmanagers: CallManagers, clock: Clock) -> None:
        self._callmanagers = callmanagers
        self._clock = clock

    def first(self, forwarding: Forwarding) -> Candidate | None:
        """Names who gets a request first."""
        now = self._clock.now()
        if forwarding.new_from is not None:
            return self._callmanagers.choose(forwarding.call_id, now)
        return self._callmanagers.owner_or_successor(forwarding.owner, forwarding.call_id, now)

    def successor(self, forwarding: Forwarding) -> Candidate | None:
        """Names who takes the call over when the present call manager is out of reach."""
        if forwarding.server.is_answered or len(forwarding.tried) >= MAX_ATTEMPTS:
            return None
        tried: Collection[str] = forwarding.tried
        if forwarding.named and forwarding.tried[-1] == forwarding.named:
            # Others reach the owner, we do not, not even sent there by them: one has to take over.
            tried = (forwarding.named,)
        return self._callmanagers.successor(forwarding.call_id, self._clock.now(), tried)

    def after(self, forwarding: Forwarding, response: Response) -> Onward | None:
        """Follows a 503, or what a stand-in says; None when it is the answer."""
        owner = response.get(OWNER_HEADER)
        if owner:
            return self._redirect(forwarding, owner)
        if forwarding.new_from is not None:
            return self._another(forwarding) if response.status == 503 else None
        is_unknown = response.status == 503 and response.has(UNKNOWN_HEADER)
        if is_unknown:
            forwarding.unknowing += (forwarding.tried[-1],)
        onward = None
        # An owner that could not tell either was not silent, and has no answer on the way.
        if forwarding.owner not in (forwarding.tried[-1], *forwarding.unknowing):
            onward = self._go_back(forwarding)
        return self._ask_around(forwarding) if onward is None and is_unknown else onward

    def _another(self, forwarding: Forwarding) -> Onward | None:
        """Names another call manager for a new call."""
        if len(forwarding.tried) >= MAX_ATTEMPTS:
            return None
        now = self._clock.now()
        candidate = self._callmanagers.choose(forwarding.call_id, now, forwarding.tried)
        return None if candidate is None else Onward(candidate)

    def _ask_around(self, forwarding: Forwarding) -> Onward | None:
        """Names who else may have the call; when all were asked, the owner in a while."""
        now = self._clock.now()
        if forwarding.unknown_at is None:
            forwarding.unknown_at = now
        candidate = self.successor(forwarding)
        if candidate is not None:
            return Onward(candidate)
        candidate = self._callmanagers.owner_or_successor(forwarding.owner, forwarding.call_id, now)
        if candidate is None or now + UNKNOWN_PAUSE_S > forwarding.unknown_at + UNKNOWN_S:
            return None
        forwarding.tried = forwarding.unknowing = ()
        forwarding.redirects = 0
        return Onward(candidate, UNKNOWN_PAUSE_S)

    def _go_back(self, forwarding: Forwarding) -> Onward | None:
        """Returns to the owner, if it lives, for what a stand-in could not answer.

        That does not know the call while shared state is away, or has forgotten; the owner, which
        was slow for the same reason, does. At once: its answer may be on the way, and needs a
        transaction of this branch to be taken by.
        """
        owner = self._callmanagers.find(forwarding.owner)
        forwarding.redirects += 1
        if owner is None or forwarding.redirects > MAX_REDIRECTS:
            return None
        return Onward(owner)

    def _redirect(self, forwarding: Forwarding, owner: str) -> Onward | None:
        now = self._clock.now()
        forwarding.redirects += 1
        candidate = self._callmanagers.find(owner) or self._callmanagers.successor(
            forwarding.call_id, now
        )
        if candidate is None or forwarding.redirects > MAX_REDIRECTS:
            return None
        forwarding.owner = forwarding.named = owner
        if candidate.instance != owner or self._callmanagers.is_suspect(owner, now):
            # The one that failed just now, or one that we have not heard of yet.
            return Onward(candidate, REDIRECT_PAUSE_S)
        return Onward(candidate)
