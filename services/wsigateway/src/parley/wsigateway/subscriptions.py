"""Who may get which event: pure filter logic.

A subscription is a topic of one tenant, or of all. A tenant's token sees its own tenant only,
whatever it asks for; a platform token sees the tenant it names, all of them when it names none.
"""

from collections.abc import Iterable, Iterator

from parley.model.errors import Forbidden, InvalidValue

TOPICS = ("call", "registration", "cdr", "config")

Subscription = tuple[str, str | None]
"""A topic, and the tenant whose events are wanted; None: all."""


class Subscriptions:
    """The subscriptions of one connection.

    Attributes:
        own_tenant: the only tenant this client may see; None: it may see all.

    Args:
        own_tenant: the attribute.
        limit: how many pairs of topic and tenant it may have.
    """

    def __init__(self, own_tenant: str | None, limit: int) -> None:
        self.own_tenant = own_tenant
        self._limit = limit
        self._all: set[Subscription] = set()

    def __iter__(self) -> Iterator[Subscription]:
        return iter(self._all)

    def add(self, topics: Iterable[str], tenant: str | None) -> set[Subscription]:
        """Subscribes; returns what is new.

        Raises:
            InvalidValue: no topic, an unknown one, or more subscriptions than allowed; nothing is
                changed.
            Forbidden: the tenant is not the client's.
        """
        new = self.checked(topics, tenant) - self._all
        if len(new) + len(self._all) > self._limit:
            raise InvalidValue("too many subscriptions", error_id="too-many-subscriptions")
        self._all |= new
        return new

    def remove(self, topics: Iterable[str], tenant: str | None) -> set[Subscription]:
        """Unsubscribes; returns what is gone.

        Raises:
            InvalidValue: no topic, or an unknown one.
            Forbidden: the tenant is not the client's.
        """
        gone = self.checked(topics, tenant) & self._all
        self._all -= gone
        return gone

    def topics_of(self, tenant: str | None) -> list[str]:
        """Lists the topics that the client gets of a tenant, or by None of all (or of its own)."""
        key = tenant if self.own_tenant is None else self.own_tenant
        return [topic for topic in TOPICS if (topic, key) in self._all]

    def checked(self, topics: Iterable[str], tenant: str | None) -> set[Subscription]:
        """Returns what is asked for, if the client may ask for it.

        Raises:
            InvalidValue: no topic, or an unknown one.
            Forbidden: the tenant is not the client's.
        """
        named = set(topics)
        if not named or not named.issubset(TOPICS):
            raise InvalidValue(f"topics are {', '.join(TOPICS)}", error_id="unknown-topic")
        if self.own_tenant is None:
            return {(topic, tenant) for topic in named}
        if tenant is not None and tenant != self.own_tenant:
            raise Forbidden("this token sees its own tenant only", error_id="tenant-forbidden")
        return {(topic, self.own_tenant) for topic in named}
