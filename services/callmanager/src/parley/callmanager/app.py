"""Wires one call manager: the only file that knows all parts."""

import asyncio
from typing import Final

import structlog

from parley.backing.directory import TenantDirectory
from parley.backing.discovery.base import Instance, InstanceState, Registration
from parley.backing.factory import Backing
from parley.backing.media.base import MediaControl
from parley.callmanager.admission import Admission
from parley.callmanager.call_services import CallServices
from parley.callmanager.calls import Calls
from parley.callmanager.ending import SHUT_DOWN
from parley.callmanager.events import CallEvents
from parley.callmanager.load import LoadReporter
from parley.callmanager.metrics import CallManagerMetrics
from parley.callmanager.orphans import Orphans
from parley.callmanager.settings import CallManagerSettings
from parley.callmanager.sip_handlers import CallManagerHandler
from parley.callmanager.store import CallStore
from parley.model.ids import InstanceId
from parley.service.clock import Clock
from parley.service.errors import StartError
from parley.service.metrics import Metrics, Registry
from parley.service.tasks import TaskOwner
from parley.sip.hop import Hop
from parley.sip.ids import Ids
from parley.siptransport.local import LocalNetwork
from parley.siptransport.node import SipNode

SERVICE_NAME: Final = "callmanager"
SNAPSHOT_GRACE_S: Final = 3600.0
"""How long a snapshot outlives the longest call, for a sweeper to find it."""
_INCARNATION_BYTES: Final = 5

_logger = structlog.stdlib.get_logger(__name__)


class CallManager:
    """One call manager as a `Service`.

    Attributes:
        instance: id of this run.
        node: its SIP face, for inspection.
        calls: what it owns.
    """

    def __init__(  # noqa: PLR0913 - wiring: what `create_app` takes
        self,
        settings: CallManagerSettings,
        backing: Backing,
        directory: TenantDirectory,
        media: MediaControl,
        clock: Clock,
        ids: Ids,
        network: LocalNetwork | None,
        registry: Registry,
    ) -> None:
        self.name = "call manager"
        self.instance = InstanceId(f"{settings.name}-{ids.token(_INCARNATION_BYTES)}")
        self._settings = settings
        self._backing = backing
        self._has_network = network is not None
        self._media = media
        self._tasks = TaskOwner()
        metrics = CallManagerMetrics(registry)
        self._handler = CallManagerHandler(ids, settings.max_calls)
        self.node = SipNode(
            clock, ids, self._handler, metrics=Metrics(registry, SERVICE_NAME), network=network
        )
        self.calls = Calls(metrics)
        ttl_s = settings.max_duration_s + SNAPSHOT_GRACE_S
        store = CallStore(backing.state, self.instance, ttl_s, metrics)
        services = CallServices(
            node=self.node,
            media=media,
            store=store,
            events=CallEvents(backing.bus, metrics),
            calls=self.calls,
            clock=clock,
            tasks=self._tasks,
            metrics=metrics,
        )
        admission = Admission(
            settings=settings,
            directory=directory,
            store=store,
            clock=clock,
            ids=ids,
            instance=self.instance,
        )
        self._handler.attach(services, admission)
        self._load = LoadReporter(
            backing.state, self.calls, clock, self.instance, settings.load_interval_s
        )
        self._orphans = Orphans(backing, SERVICE_NAME, self.instance, ttl_s, clock)
        self._registration: Registration | None = None
        self._is_started = False

    async def start(self) -> None:
        """Opens the listener for edges and announces itself.

        Raises:
            StartError: the address is taken or not ours.
        """
        try:
            hop = await self._listen()
            self._media.on_event(self._handler.on_media_event)
            await self._load.start(hop)
            self._registration = await self._backing.discovery.register(
                Instance(
                    service=SERVICE_NAME,
                    id=self.instance,
                    address=f"{hop.transport}:{hop.host}:{hop.port}",
                    zone=self._settings.zone,
                    state=InstanceState.READY,
                )
            )
        except BaseException:
            await self.aclose()
            raise
        self._tasks.spawn(self._load.run(), name="call manager load reports")
        self._tasks.spawn(self._orphans.run(), name="call manager closes orphans")
        self._is_started = True

    async def _listen(self) -> Hop:
        settings = self._settings
        if self._has_network:
            return await self.node.listen(Hop("local", settings.name, 0))
        hop = Hop("tcp", settings.host, settings.port)
        try:
            return await self.node.listen(hop, advertised=settings.advertised_host or None)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StartError(
                f"The call manager cannot listen on {hop.host} TCP port {hop.port}: {reason}."
            ) from error

    async def drain(self, timeout_s: float) -> None:
        """Takes no new calls; hangs up what is still up shortly before the time is over."""
        self._handler.is_draining = True
        self._load.is_draining = True
        await self._load.try_report()
        if self._registration is not None:
            await self._registration.update(state=InstanceState.DRAINING)
        hang_up_s = min(self._settings.hang_up_s, timeout_s / 2)
        if not await self._wait_idle(timeout_s - hang_up_s):
            _logger.warning("calls are hung up", calls=len(self.calls))
            self._hang_up_all()
            await self._wait_idle(hang_up_s)

    async def aclose(self) -> None:
        """Ends what calls there are and releases everything."""
        self._is_started = False
        self._handler.is_draining = True
        if len(self.calls):
            self._hang_up_all()
            await self._wait_idle(self._settings.hang_up_s)
        if self._registration is not None:
            registration, self._registration = self._registration, None
            await registration.aclose()
        await self._load.aclose()
        await self._tasks.aclose()
        await self.node.aclose()

    def is_ready(self) -> bool:
        """Whether edges may send calls here."""
        return self._is_started and not self._handler.is_draining

    def _hang_up_all(self) -> None:
        for mailbox in self.calls:
            mailbox.post(mailbox.call.terminate, SHUT_DOWN)

    async def _wait_idle(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                await self.calls.wait_idle()
        except TimeoutError:
            return False
        return True


def create_app(  # noqa: PLR0913 - the wiring of a service takes what it uses
    settings: CallManagerSettings,
    backing: Backing,
    directory: TenantDirectory,
    media: MediaControl,
    clock: Clock,
    ids: Ids,
    network: LocalNetwork | None = None,
    registry: Registry | None = None,
) -> CallManager:
    """Makes a call manager; backing, directory and media are started and closed by their owner.

    Args:
        settings: this instance's own.
        backing: shared with the edges.
        directory: tenants and extensions.
        media: the relays; this call manager becomes the one that hears its events.
        clock: of timers and records.
        ids: source of tags, branches and Call-IDs.
        network: where the edges of the same process are; None: they come by TCP.
        registry: where metrics go; nowhere anyone sees when None.
    """
    return CallManager(
        settings, backing, directory, media, clock, ids, network, registry or Registry()
    )
