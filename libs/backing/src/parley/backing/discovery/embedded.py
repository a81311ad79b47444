"""The embedded discovery: one process knows all its instances itself."""

import msgspec

from parley.backing.discovery.base import Instance, InstanceState, WatchCallback
from parley.backing.discovery.watches import ServiceWatch, Watches
from parley.backing.errors import BackingUnavailable


class EmbeddedDiscovery:
    """Implements `Discovery` for one process."""

    def __init__(self) -> None:
        self._services: dict[str, dict[str, Instance]] = {}
        self._watches = Watches(self.instances)
        self._is_closed = False

    async def start(self) -> None:
        """Nothing has to be opened."""

    async def aclose(self) -> None:
        """Ends all registrations and watches."""
        self._is_closed = True
        self._watches.close()
        self._services.clear()

    @property
    def is_settled(self) -> bool:
        """True while it is open: one process knows all its instances."""
        return not self._is_closed

    async def register(self, instance: Instance) -> "_Registration":
        """Announces an instance."""
        self._refuse_when_closed()
        if instance.id in self._services.get(instance.service, {}):
            raise ValueError(f"instance {instance.id} is registered already")
        self._show(instance)
        return _Registration(self, instance)

    def instances(self, service: str) -> list[Instance]:
        """Returns the view, ordered by id."""
        return sorted(self._services.get(service, {}).values(), key=_id)

    def watch(self, service: str, callback: WatchCallback) -> ServiceWatch:
        """Calls back soon with the present view, and after every change."""
        self._refuse_when_closed()
        return self._watches.add(service, callback)

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise BackingUnavailable("the discovery session is closed")

    def _show(self, instance: Instance) -> None:
        self._services.setdefault(instance.service, {})[instance.id] = instance
        self._watches.notify(instance.service)

    def _hide(self, instance: Instance) -> None:
        if self._services.get(instance.service, {}).pop(instance.id, None) is not None:
            self._watches.notify(instance.service)


class _Registration:
    """An instance's own entry."""

    def __init__(self, discovery: EmbeddedDiscovery, instance: Instance) -> None:
        self._discovery = discovery
        self._instance = instance
        self._is_closed = False

    async def update(
        self, *, state: InstanceState | None = None, address: str | None = None
    ) -> None:
        """Changes what others see."""
        if self._is_closed:
            raise BackingUnavailable(f"instance {self._instance.id} is not registered any more")
        self._discovery._refuse_when_closed()
        self._instance = msgspec.structs.replace(
            self._instance,
            state=self._instance.state if state is None else state,
            address=self._instance.address if address is None else address,
        )
        self._discovery._show(self._instance)

    async def aclose(self) -> None:
        """Removes the entry."""
        if not self._is_closed:
            self._is_closed = True
            self._discovery._hide(self._instance)


def _id(instance: Instance) -> str:
    return instance.id
