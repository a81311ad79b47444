"""The lease of one instance: for how long the others take it for alive.

One key per instance with a time to live, renewed several times within it; ten thousand calls cost
the same as one. The lease is a hint only, safety comes from the epochs of the calls. It says two
things: while it is valid nobody else claims our calls, so we may act without asking; and when it
was interrupted, each call has to be looked at again before it acts.

This is the pure part: told what was sent, what came back and what time it is.
"""

from typing import Final

from msgspec import Struct

TTL_S: Final = 1.0
RENEW_S: Final = 0.3


class LeaseTimes(Struct, frozen=True):
    """Seconds that a lease lasts, and between renewals."""

    ttl_s: float = TTL_S
    renew_s: float = RENEW_S

    @property
    def held_up_s(self) -> float:
        """Who waited longer for state looks at leases that perhaps could not be renewed."""
        return (self.ttl_s - self.renew_s) / 2


class Lease:
    """State of a lease as its holder knows it.

    Attributes:
        version: of the key as last seen; what the next write has to name. 0: there is none.
        term: grows whenever the lease was interrupted. Who was sure of something in an earlier
            term is not sure any more.
        valid_until: nobody can have taken us for dead before; monotonic seconds.
        is_away: the last renewal got no answer.
    """

    __slots__ = ("_times", "is_away", "term", "valid_until", "version")

    def __init__(self, times: LeaseTimes) -> None:
        self._times = times
        self.version = 0
        self.term = 0
        self.valid_until = float("-inf")
        self.is_away = False

    def is_valid(self, now: float) -> bool:
        """Says whether nobody can have claimed from us."""
        return now < self.valid_until

    def renewed(self, sent_at: float, version: int) -> bool:
        """A write that was sent at that time succeeded.

        Its time to live began later than that, so counting from the sending errs on the safe side.

        Returns:
            Whether a new term has begun, that is, the lease was interrupted before.
        """
        is_new = sent_at >= self.valid_until
        if is_new:
            self.term += 1
        self.version = version
        self.valid_until = max(self.valid_until, sent_at + self._times.ttl_s)
        self.is_away = False
        return is_new

    def superseded(self, version: int) -> None:
        """The key is not what we wrote: it expired, or state forgot.

        `version` is what is there now, 0 for nothing. Calls may have been claimed, so nothing is
        valid until the next write succeeded.
        """
        self.version = version
        self.valid_until = float("-inf")
        self.is_away = False

    def unanswered(self) -> None:
        """A write got no answer; what was valid stays so until it runs out."""
        self.is_away = True

    def forget(self) -> None:
        """State may have forgotten writes: a new term, whatever the key holds."""
        self.term += 1
        self.valid_until = float("-inf")
