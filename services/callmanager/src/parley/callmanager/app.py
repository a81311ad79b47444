"""Wires one call manager: the only file that knows all parts."""

import asyncio
from importlib.metadata import version
from typing import Final

import structlog

from parley.backing.directory import TenantDirectory
from parley.backing.discovery.base import Instance, InstanceState, Registration
from parley.backing.errors import BackingError
from parley.backing.factory import Backing
from parley.backing.media.base import MediaControl
from parley.backing.state.leases import Leases
from parley.callmanager.admission import PRODUCT, Admission
from parley.callmanager.binding_news import BindingNews
from parley.callmanager.call_services import CallServices
from parley.callmanager.calls import Calls
from parley.callmanager.edges import SERVICE_NAME as EDGES
from parley.callmanager.edges import Edges
from parley.callmanager.ending import SHUT_DOWN
from parley.callmanager.events import CallEvents
from parley.callmanager.handover import Handover
from parley.callmanager.hops import address_of
from parley.callmanager.lease import LeaseTimes
from parley.callmanager.lease_keeper import LeaseKeeper
from parley.callmanager.load import LoadReporter
from parley.callmanager.metrics import CallManagerMetrics
from parley.callmanager.orphans import OrphanCloser
from parley.callmanager.peers import SERVICE_NAME, SHARED_HOST, Peers
from parley.callmanager.restorer import Restorer
from parley.callmanager.settings import CallManagerSettings
from parley.callmanager.sip_handlers import CallManagerHandler
from parley.callmanager.store import CallStore
from parley.callmanager.sweeper import Sweeper
from parley.callmanager.takeover import Takeovers
from parley.model.ids import InstanceId
from parley.service.clock import Clock
from parley.service.errors import StartError
from parley.service.inside import Inside
from parley.service.metrics import Metrics, Registry
from parley.service.tasks import TaskOwner
from parley.sip.hop import Hop
from parley.sip.ids import Ids
from parley.siptransport.local import LocalNetwork
from parley.siptransport.node import SipNode
from parley.siptransport.policy import NodePolicy
from parley.siptransport.transport import ListenOptions

PEERS: Final = frozenset((EDGES, SERVICE_NAME))
SNAPSHOT_GRACE_S: Final = 3600.0
"""How long a snapshot outlives the longest call, for a sweeper to find it."""
_VERSION: Final = version("parley-callmanager")
_RENEWALS_PER_LEASE: Final = 3.3
_INCARNATION_BYTES: Final = 5

_logger = structlog.stdlib.get_logger(__name__)


class CallManager:
    """One call manager as a `Service`.

    Attributes:
        instance: id of this run.
        node: its SIP face, for inspection.
        calls: what it owns.
        keeper: its lease.
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
        # With edges of the same process there is nothing to prove.
        self._inside = inside = inside_of(settings, clock) if network is None else None
        self._media = media
        self._clock = clock
        self._ids = ids
        self._tasks = TaskOwner()
        self._metrics = metrics = CallManagerMetrics(registry)
        self._handler = CallManagerHandler(ids, settings.max_calls)
        self._edges = Edges(backing.discovery, clock)
        self.node = SipNode(
            clock,
            ids,
            self._handler,
            metrics=Metrics(registry, SERVICE_NAME),
            network=network,
            sent_by=SHARED_HOST,
            policy=NodePolicy(
                follows=lambda request: True,
                reroute=self._edges.reroute,
                takes_cancels=True,
                before_sending=backing.state.flush,
                inside=inside,
                transports=None if inside is None else frozenset((inside.transport,)),
            ),
        )
        self.calls = Calls(metrics)
        self._peers = Peers(backing.discovery, self.node, ids, self.instance)
        ttl_s = settings.max_duration_s + SNAPSHOT_GRACE_S
        self._store = CallStore(backing.state, self.instance, ttl_s, metrics)
        self.keeper = self._make_keeper()
        self._events = CallEvents(backing.bus, metrics)
        self._news = BindingNews(backing.bus, self._store.seen)
        self._load = LoadReporter(
            backing.state, self.calls, clock, self.instance, settings.load_interval_s
        )
        self._attach(directory)
        self._registration: Registration | None = None
        self._is_started = False

    def _make_keeper(self) -> LeaseKeeper:
        lease_s = self._settings.lease_s
        keeper = LeaseKeeper(
            state=self._backing.state,
            store=self._store,
            peers=self._peers,
            clock=self._clock,
            instance=self.instance,
            times=LeaseTimes(lease_s, lease_s / _RENEWALS_PER_LEASE),
        )
        keeper.on_interruption = self._on_interruption
        keeper.on_leave = self._drop_all
        return keeper

    def _attach(self, directory: TenantDirectory) -> None:
        backing, instance, clock, ids = self._backing, self.instance, self._clock, self._ids
        services = CallServices(
            node=self.node,
            media=self._media,
            store=self._store,
            events=self._events,
            registry=self.calls,
            keeper=self.keeper,
            edges=self._edges,
            clock=clock,
            tasks=self._tasks,
            metrics=self._metrics,
        )
        admission = Admission(
            settings=self._settings,
            directory=directory,
            store=self._store,
            clock=clock,
            ids=ids,
            instance=instance,
        )
        closer = OrphanCloser(backing.bus, self._store, instance, clock)
        calls, state, peers = self.calls, backing.state, self._peers
        restorer = Restorer(services, calls, closer, instance=instance, product=PRODUCT, ids=ids)
        takeovers = Takeovers(services, calls, Leases(state), peers, restorer, instance)
        self._handler.attach(services, calls, admission, takeovers, peers)
        lease_s = self._settings.lease_s
        self._sweeper = Sweeper(
            state,
            self.keeper,
            peers,
            self._store,
            takeovers,
            clock,
            instance,
            lease_s / _RENEWALS_PER_LEASE,
        )
        self._handover = Handover(
            self._store, calls, self.keeper, takeovers, peers, clock, instance
        )

    async def start(self) -> None:
        """Opens the listener for edges, takes the lease and announces itself.

        Raises:
            StartError: the address is taken or not ours, or shared state does not answer.
        """
        try:
            hop = await self._listen()
            self._media.on_event(self._handler.on_media_event)
            await self._announce(hop)
        except (BackingError, TimeoutError) as error:
            await self.aclose()
            raise StartError(f"The call manager cannot start: {error or 'time-out'}.") from error
        except BaseException:
            await self.aclose()
            raise
        self._is_started = True

    async def _announce(self, hop: Hop) -> None:
        self._edges.start()
        if not self._store.is_immediate:
            self._news.start()
        self._registration = await self._backing.discovery.register(
            Instance(
                service=SERVICE_NAME,
                id=self.instance,
                address=address_of(hop),
                zone=self._settings.zone,
                version=_VERSION,
                state=InstanceState.STARTING,
            )
        )
        await self.keeper.start()
        self._tasks.spawn(self.keeper.run(), name="call manager lease")
        await self._sweeper.meet()
        self._tasks.spawn(self._sweeper.run(), name="call manager sweeper")
        self._tasks.spawn(self._events.run(), name="call manager late events")
        await self._load.start(hop)
        self._tasks.spawn(self._load.run(), name="call manager load reports")
        await self._registration.update(state=InstanceState.READY)

    async def _listen(self) -> Hop:
        settings = self._settings
        inside = self._inside
        if inside is None:
            return await self.node.listen(Hop("local", settings.name, 0))
        inside.check_hosts("The call manager", settings.host, settings.advertised_host)
        hop = Hop(inside.transport, settings.host, settings.port)
        options = ListenOptions(
            tls=inside.server, advertised=settings.advertised_host or None, is_inside=True
        )
        try:
            return await self.node.listen(hop, options)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StartError(
                f"The call manager cannot listen on {hop.host} TCP port {hop.port}: {reason}."
            ) from error

    async def drain(self, timeout_s: float) -> None:
        """Takes no new calls and hands its calls over; alone, hangs them up in the end."""
        self._handler.is_draining = True
        self._load.is_draining = True
        await self._load.try_report()
        if self._registration is not None:
            await self._registration.update(state=InstanceState.DRAINING)
        if self._handover.is_possible():
            await self._handover.run(timeout_s)
            return
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
            await self._leave()
        self._edges.close()
        await self._news.aclose()
        await self._peers.aclose()
        await self._tasks.aclose()
        await self.node.aclose()

    async def _leave(self) -> None:
        if not self.keeper.is_given_up:
            await self.keeper.give_up()
            if not len(self.calls):
                await self.keeper.leave()

    def is_ready(self) -> bool:
        """Whether edges may send calls here."""
        return self._is_started and not self._handler.is_draining

    def _hang_up_all(self) -> None:
        for mailbox in self.calls:
            mailbox.post(mailbox.call.terminate, SHUT_DOWN)

    def _drop_all(self) -> None:
        for mailbox in self.calls:
            mailbox.drop()

    def _on_interruption(self) -> None:
        self._tasks.spawn(self._catch_up(), name="calls look at their records")

    async def _catch_up(self) -> None:
        await self._store.mark_ended_again()
        await self.calls.look_at_all()
        await self._store.delete_owed()

    async def _wait_idle(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                await self.calls.wait_idle()
        except TimeoutError:
            return False
        return True


def inside_of(settings: CallManagerSettings, clock: Clock) -> Inside:
    """Makes a call manager's proof of itself, for edges and for relays.

    Raises:
        StartError: its certificate cannot be used.
    """
    return Inside(settings.inside, SERVICE_NAME, PEERS, clock)


def create_app(  # noqa: PLR0913 - the wiring of a service takes what it uses
    settings: CallManagerSettings,
    backing: Backing,
    directory: TenantDirectory,
    media: MediaControl,
    clock: Clock,
    ids: Ids,
    network: LocalNetwork | None,
    registry: Registry,
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
        registry: where metrics go.
    """
    return CallManager(settings, backing, directory, media, clock, ids, network, registry)
