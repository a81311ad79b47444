"""Who gets which event: pure filter logic.

A subscription is a topic of one tenant, or of all. A tenant's token sees its own tenant only,
whatever it asks for; a platform token sees the tenant it names, all of them when it names none.
"""

from collections.abc import Iterable

from parley.model.errors import Forbidden, InvalidValue

TOPICS = ("call", "registration", "cdr", "config")

_ALL = None


class Subscriptions:
    """The subscriptions of one connection.

    Args:
        own_tenant: the only tenant this client may see; None: it may see all.
        limit: how many pairs of topic and tenant it may have.
    """

    def __init__(self, own_tenant: str | None, limit: int) -> None:
        self._own_tenant = own_tenant
        self._limit = limit
        self._tenants: dict[str, set[str | None]] = {}

    def add(self, topics: Iterable[str], tenant: str | None) -> list[str]:
        """Subscribes; returns the topics the client now gets of that tenant.

        Raises:
            InvalidValue: no topic, an unknown one, or more subscriptions than allowed; nothing is
                changed.
            Forbidden: the tenant is not the client's.
        """
        wanted, tenant = self._checked(topics, tenant)
        new = sum(tenant not in self._tenants.get(topic, ()) for topic in wanted)
        if new + sum(map(len, self._tenants.values())) > self._limit:
            raise InvalidValue("too many subscriptions", error_id="too-many-subscriptions")
        for topic in wanted:
            self._tenants.setdefault(topic, set()).add(tenant)
        return self._topics_of(tenant)

    def remove(self, topics: Iterable[str], tenant: str | None) -> list[str]:
        """Unsubscribes; returns the topics the client still gets of that tenant.

        Raises:
            InvalidValue: no topic, or an unknown one.
            Forbidden: the tenant is not the client's.
        """
        unwanted, tenant = self._checked(topics, tenant)
        for topic in unwanted:
            self._tenants.get(topic, set()).discard(tenant)
        return self._topics_of(tenant)

    def wants(self, topic: str, tenant: str) -> bool:
        """Says whether an event of this topic and tenant is for this client."""
        tenants = self._tenants.get(topic)
        return tenants is not None and (tenant in tenants or _ALL in tenants)

    def _checked(self, topics: Iterable[str], tenant: str | None) -> tuple[set[str], str | None]:
        named = set(topics)
        unknown = sorted(named.difference(TOPICS))
        if unknown or not named:
            raise InvalidValue(f"topics are {', '.join(TOPICS)}", error_id="unknown-topic")
        if self._own_tenant is None:
            return named, tenant
        if tenant is not None and tenant != self._own_tenant:
            raise Forbidden("this token sees its own tenant only", error_id="tenant-forbidden")
        return named, self._own_tenant

    def _topics_of(self, tenant: str | None) -> list[str]:
        return [topic for topic in TOPICS if tenant in self._tenants.get(topic, ())]
