"""Which call manager a session belongs to, and what it has not been told yet.

A session belongs to the instance that last commanded it. Its events go to the newest stream of that
instance and wait while there is none. Sessions of an instance that stays away are closed once they
are silent too: nobody will, otherwise.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from parley.model.media import MediaEvent

Deliver = Callable[[MediaEvent], None]


@dataclass(slots=True)
class Owner:
    """One call manager's instance."""

    sessions: set[str] = field(default_factory=set)
    deliver: Deliver | None = None
    away_since: float = 0.0
    waiting: list[MediaEvent] = field(default_factory=list)


class Owners:
    """The owners of all sessions."""

    def __init__(self) -> None:
        self._owners: dict[str, Owner] = {}
        self._by_session: dict[str, Owner] = {}

    def attach(self, instance: str, deliver: Deliver) -> None:
        """Notes an instance's newest stream and tells it what has waited."""
        owner = self._owners.setdefault(instance, Owner())
        owner.deliver = deliver
        waiting, owner.waiting = owner.waiting, []
        for event in waiting:
            deliver(event)

    def detach(self, instance: str, deliver: Deliver, now: float) -> None:
        """Notes that a stream ended; an older one than the instance's newest changes nothing."""
        owner = self._owners.get(instance)
        if owner is not None and owner.deliver == deliver:
            owner.deliver = None
            owner.away_since = now

    def take(self, session_id: str, instance: str) -> None:
        """Gives a session to an instance that has attached."""
        owner = self._owners[instance]
        former = self._by_session.get(session_id)
        if former is owner:
            return
        owner.sessions.add(session_id)
        self._by_session[session_id] = owner
        if former is not None:
            former.sessions.discard(session_id)
            self._hand_over(former, session_id)

    def _hand_over(self, former: Owner, session_id: str) -> None:
        untold = [event for event in former.waiting if event.session_id == session_id]
        former.waiting = [event for event in former.waiting if event.session_id != session_id]
        for event in untold:
            self.tell(event)

    def forget(self, session_id: str) -> None:
        """Notes that a session is closed."""
        owner = self._by_session.pop(session_id, None)
        if owner is not None:
            owner.sessions.discard(session_id)

    def tell(self, event: MediaEvent) -> None:
        """Passes an event to the session's owner, now or when it is back."""
        owner = self._by_session.get(event.session_id)
        if owner is None:
            return
        if owner.deliver is not None:
            owner.deliver(event)
        else:
            owner.waiting.append(event)

    def orphans(self, now: float, after_s: float) -> Iterator[str]:
        """Sessions whose owner has been away for so long; forgets owners that have none."""
        for instance, owner in list(self._owners.items()):
            if owner.deliver is not None or now - owner.away_since < after_s:
                continue
            if not owner.sessions:
                del self._owners[instance]
            yield from list(owner.sessions)
