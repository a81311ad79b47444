"""Discovery on ZooKeeper.

    <folder>/instances/<service>:<id>        ephemeral, one JSON `Entry` each

`zookeeper_session.py` bridges kazoo's threads; view and registrations are each kept up by an
`Upkeep`. docs/design/discovery.md tells what happens in an outage.
"""

from collections.abc import Collection
from urllib.parse import quote

import structlog

from parley.backing.discovery.base import Instance, WatchCallback
from parley.backing.discovery.watches import ServiceWatch, Watches
from parley.backing.discovery.zookeeper_registration import ZookeeperRegistration
from parley.backing.discovery.zookeeper_session import ZookeeperSession
from parley.backing.discovery.zookeeper_url import parse_zookeeper_url
from parley.backing.discovery.zookeeper_view import ZookeeperView
from parley.backing.errors import BackingUnavailable
from parley.service.ids import RandomIds
from parley.service.tasks import TaskOwner
from parley.service.tls import TlsFiles

_START_TIMEOUT_S = 3.0
_RECONNECT_S = 1.5  # kazoo's longest pause between two attempts, and a little
_TOKEN_BYTES = 8

_logger = structlog.stdlib.get_logger(__name__)


class ZookeeperDiscovery:
    """Implements `Discovery` on a ZooKeeper ensemble.

    Args:
        url: `zookeeper://host:port,host:port/folder`, or `zookeeper+tls://...`.
        session_s: how long a silent process stays in view; the ensemble bounds it.
        tls: files for a URL with TLS.

    Raises:
        ValueError: the URL cannot be understood.
        StartError: the TLS files cannot be used.
    """

    def __init__(
        self,
        url: str,
        session_s: float,
        tls: TlsFiles,
    ) -> None:
        place = parse_zookeeper_url(url)
        self._writer = RandomIds().token(_TOKEN_BYTES)
        self._instances_folder = f"{place.folder}/instances"
        self._session = ZookeeperSession(place, session_s, tls)
        self._watches = Watches(self.instances)
        self._view = ZookeeperView(
            self._session,
            self._instances_folder,
            settle_s=session_s + _RECONNECT_S,
            on_change=self._watches.notify,
            on_read=self._look_after,
        )
        self._registrations: dict[str, ZookeeperRegistration] = {}
        self._tasks = TaskOwner()
        self._is_closed = False

    async def start(self) -> None:
        """Connects; when ZooKeeper is away, goes on with an empty view after a moment."""
        self._session.add_listener(self._view)
        self._session.start()
        self._view.upkeep.start(self._tasks)
        if not await self._view.upkeep.wait_done(_START_TIMEOUT_S):
            _logger.warning("discovery away at the start; the view is empty until it is back")

    async def aclose(self) -> None:
        """Ends the session: registrations of this process go."""
        self._is_closed = True
        for registration in self._registrations.values():
            registration.is_closed = True
        self._watches.close()
        self._view.close()
        await self._tasks.aclose()
        await self._session.aclose()

    @property
    def is_settled(self) -> bool:
        """True while who is missing in a view is really gone."""
        return self._view.is_settled

    async def register(self, instance: Instance) -> ZookeeperRegistration:
        """Announces an instance; during an outage it returns and announces it later."""
        self._refuse_when_closed()
        name = f"{_quoted(instance.service)}:{_quoted(instance.id)}"
        if name in self._registrations:
            raise ValueError(f"instance {instance.id} is registered already")
        path = f"{self._instances_folder}/{name}"
        registration = ZookeeperRegistration(self._session, path, instance, self._writer)
        self._registrations[name] = registration
        try:
            await self._begin(registration, name)
            if registration.upkeep.refusal is not None:
                raise registration.upkeep.refusal
        except BaseException:
            registration.upkeep.cancel()
            raise
        return registration

    def instances(self, service: str) -> list[Instance]:
        """Returns the last-known view, ordered by id."""
        return self._view.of_service(service)

    def watch(self, service: str, callback: WatchCallback) -> ServiceWatch:
        """Calls back soon with the present view, and after every change."""
        self._refuse_when_closed()
        return self._watches.add(service, callback)

    async def _begin(self, registration: ZookeeperRegistration, name: str) -> None:
        def over() -> None:
            self._session.remove_listener(registration)
            self._registrations.pop(name, None)

        self._session.add_listener(registration)
        registration.upkeep.start(self._tasks, over)
        if self._session.is_connected:
            await registration.upkeep.wait_done(self._session.session_s)

    def _look_after(self, names: Collection[str]) -> None:
        """Restores own nodes that others do not see."""
        for name, registration in self._registrations.items():
            if name not in names:
                registration.missing()

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise BackingUnavailable("the discovery session is closed")


def _quoted(text: str) -> str:
    return quote(text, safe="")
