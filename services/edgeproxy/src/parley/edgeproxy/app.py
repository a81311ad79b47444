"""Wires one edge proxy: the only file that knows all parts.

Several edges may live in one process; nothing here is global. They share state, directory and
secret, so any of them takes what another one sealed.
"""

import asyncio
import os
from importlib.metadata import version
from typing import Final

import structlog

from parley.backing.directory import TenantDirectory
from parley.backing.discovery.base import Instance, InstanceState, Registration, Watch
from parley.backing.errors import BackingError
from parley.backing.factory import Backing
from parley.edgeproxy.admission import Admission
from parley.edgeproxy.drain import SHARED_UDP_S, Drain
from parley.edgeproxy.identity.authentication import Authenticator
from parley.edgeproxy.identity.peers import TrustedPeers
from parley.edgeproxy.identity.tenants import Tenants
from parley.edgeproxy.limits.avalanche import Avalanche
from parley.edgeproxy.limits.guard import FailureLimiter, parse_networks
from parley.edgeproxy.limits.known_sources import KnownSources
from parley.edgeproxy.limits.room import Room
from parley.edgeproxy.listeners import open_listeners, transport_limits
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.proxy.callmanagers import SERVICE_NAME, CallManagers
from parley.edgeproxy.proxy.inside import InsideRequests
from parley.edgeproxy.proxy.outside import OutsideParts, OutsideRequests
from parley.edgeproxy.proxy.proxy import Proxy
from parley.edgeproxy.proxy.stray_cancels import StrayCancels
from parley.edgeproxy.proxy.strays import Strays
from parley.edgeproxy.registrar.binding_memory import BindingMemory
from parley.edgeproxy.registrar.binding_repair import BindingRepair
from parley.edgeproxy.registrar.connection_bindings import ConnectionBindings
from parley.edgeproxy.registrar.decision import RegistrarLimits
from parley.edgeproxy.registrar.events import RegistrationEvents
from parley.edgeproxy.registrar.expiry import ExpirySweep
from parley.edgeproxy.registrar.registration import RegisterRequests
from parley.edgeproxy.registrar.store import Registrations
from parley.edgeproxy.routing.addresses import EdgeAddresses
from parley.edgeproxy.routing.derivation import Derivation
from parley.edgeproxy.routing.hidden_vias import HiddenVias
from parley.edgeproxy.routing.routes import Routes
from parley.edgeproxy.routing.token import TokenCodec
from parley.edgeproxy.settings import EdgeSettings
from parley.edgeproxy.sip_handlers import EdgeHandler, EdgeParts
from parley.model.errors import DomainError
from parley.model.ids import InstanceId
from parley.service.clock import Clock
from parley.service.inside import Inside
from parley.service.metrics import Metrics, Registry
from parley.service.tasks import TaskOwner
from parley.sip.ids import Ids
from parley.siptransport.local import LocalNetwork
from parley.siptransport.node import SipNode
from parley.siptransport.policy import NodePolicy

ROLE: Final = "edgeproxy"
PEERS: Final = frozenset((SERVICE_NAME,))
_VERSION: Final = version("parley-edgeproxy")
_REFRESHES: Final = 2
"""For how many of the longest registrations a source stays known; at each it proves itself."""
TICK_S: Final = 1.0
CHECK_S: Final = 0.1
STATE_TIMEOUT_S: Final = 5.0
_SECRET_BYTES: Final = 32
_INCARNATION_BYTES: Final = 5

_logger = structlog.stdlib.get_logger(__name__)


class EdgeProxy:
    """One edge proxy as a `Service`.

    Attributes:
        instance: id of this run.
        addresses: what it is called by; complete once started.
        node: its SIP face, for inspection.
    """

    def __init__(  # noqa: PLR0913 - wiring: what `create_app` takes
        self,
        settings: EdgeSettings,
        backing: Backing,
        directory: TenantDirectory,
        clock: Clock,
        ids: Ids,
        network: LocalNetwork | None,
        registry: Registry,
    ) -> None:
        self.name = f"edge proxy {settings.name}"
        self.instance = InstanceId(f"{settings.name}-{ids.token(_INCARNATION_BYTES)}")
        self.addresses = EdgeAddresses()
        self._settings = settings
        self._backing = backing
        self._clock = clock
        # With call managers of the same process there is nothing to prove.
        self._inside = Inside(settings.inside, ROLE, PEERS, clock) if network is None else None
        self._tasks = TaskOwner()
        self._handler = EdgeHandler()
        self._metrics = EdgeMetrics(registry)
        is_tls = self._inside is not None and self._inside.is_tls
        self._callmanagers = CallManagers(
            backing.state, backing.discovery, settings.zone, transport="tls" if is_tls else None
        )
        peers = TrustedPeers(settings.trusted_peers)
        self._known = KnownSources(
            lambda flow: self.node.vouch_for(flow),
            peers.hosts,
            parse_networks(settings.unlimited_sources),
            clock,
            _REFRESHES * settings.max_expires_s,
        )
        self._admission = Admission(settings, self._known, clock, self._metrics)
        self.node = SipNode(
            clock,
            ids,
            self._handler,
            metrics=Metrics(registry, "edgeproxy"),
            network=network,
            limits=transport_limits(settings),
            policy=NodePolicy(
                admits=self._handler.admits,
                hears=self._admission.hears,
                admits_source=self._handler.admits_source,
                knows=self._known.knows,
                follows=self._handler.follows,
                reroute=self._handler.reroute,
                takes_cancels=True,
                before_sending=backing.state.flush,
                inside=self._inside,
                is_service=lambda host, port: self._callmanagers.at(host, port) is not None,
            ),
        )
        memory = BindingMemory()
        registrations = Registrations(backing.state, self._metrics, memory)
        self._repair = BindingRepair(memory, registrations, clock, self._metrics)
        events = RegistrationEvents(backing.bus, ids, self.instance, self._metrics)
        self._sweep = ExpirySweep(registrations, events, clock)
        for callback in (self._repair.begin, self._sweep.rest):
            backing.state.on_new_generation(callback)
        self._attach(directory, ids, registrations, events, peers)
        self._news = asyncio.Event()
        self._watch: Watch | None = None
        self._registration: Registration | None = None
        self._is_started = self._is_draining = False

    async def start(self) -> None:
        """Opens the listeners and announces the edge.

        Raises:
            StartError: an address is taken or not ours, or the certificate cannot be used.
        """
        try:
            await self._refresh_callmanagers()
            await open_listeners(self.node, self._settings, self.addresses, self._inside)
            await self._announce()
        except BaseException:
            await self.aclose()
            raise
        self._tasks.spawn(self._follow_callmanagers(), name="edge call managers")
        self._tasks.spawn(self._sweep_expired(), name="edge expiry sweep")
        self._tasks.spawn(self._check_forwarded(), name="edge forwarded requests")
        self._tasks.spawn(self._repair.run(), name="edge binding repair")
        self._tasks.spawn(self._repair.pay(), name="edge owed bindings")
        self._tasks.spawn(self._connections.run(), name="edge bindings of closed connections")
        self._is_started = True

    async def drain(self, timeout_s: float) -> None:
        """Moves the phones to other edges and waits for the requests that are under way."""
        self._is_draining = True
        shared = self._settings.shared_address
        self._handler.is_refusing = not shared
        if self._registration is not None:
            await self._registration.update(state=InstanceState.DRAINING)
        drain = Drain(self.node, self.addresses, self._proxy, self._settings.drain_rate)
        try:
            async with asyncio.timeout(timeout_s):
                if shared:
                    await drain.leave_shared_address()
                    await drain.close_connections(timeout_s - SHARED_UDP_S)
                await self._proxy.wait_idle()
        except TimeoutError:
            _logger.warning("requests under way were given up", edge=self.instance)

    async def aclose(self) -> None:
        """Closes listeners and tasks and takes the announcement back."""
        self._is_started = False
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._registration is not None:
            registration, self._registration = self._registration, None
            await registration.aclose()
        await self._tasks.aclose()
        await self.node.aclose()

    def is_ready(self) -> bool:
        """Whether phones may be sent here."""
        return self._is_started and not self._is_draining

    def _attach(
        self,
        directory: TenantDirectory,
        ids: Ids,
        registrations: Registrations,
        events: RegistrationEvents,
        peers: TrustedPeers,
    ) -> None:
        settings, clock = self._settings, self._clock
        metrics, addresses = self._metrics, self.addresses
        secret = _secret(settings)
        routes = Routes(TokenCodec(secret), addresses)
        derivation, hidden_vias = Derivation(secret), HiddenVias(secret)
        tenants = Tenants(directory, addresses, settings.default_domain.lower())
        avalanche = Avalanche(settings.register_rate, settings.register_burst)
        failures = FailureLimiter(
            settings.auth_failures, settings.auth_window_s, settings.auth_ban_s
        )
        authenticator = Authenticator(
            tenants=tenants,
            secret=secret,
            nonce_life_s=settings.nonce_life_s,
            algorithms=settings.digest_algorithms,
            failures=failures,
            user_failures=FailureLimiter(
                settings.auth_user_failures, settings.auth_window_s, settings.auth_ban_s
            ),
            has_room=avalanche.admit,
            clock=clock,
            metrics=metrics,
        )
        self._proxy = proxy = Proxy(
            sender=self.node,
            routes=routes,
            callmanagers=self._callmanagers,
            derivation=derivation,
            clock=clock,
            ids=ids,
            metrics=metrics,
        )
        self._connections = ConnectionBindings(
            registrations=registrations,
            events=events,
            routes=routes,
            discovery=self._backing.discovery,
            instance=self.instance,
            clock=clock,
            metrics=metrics,
        )
        known = self._known
        registers = RegisterRequests(
            sender=self.node,
            authenticator=authenticator,
            registrations=registrations,
            events=events,
            connections=self._connections,
            known=known,
            routes=routes,
            tenants=tenants,
            limits=RegistrarLimits(
                settings.min_expires_s, settings.default_expires_s, settings.max_expires_s
            ),
            instance=self.instance,
            clock=clock,
            ids=ids,
        )
        outside = OutsideRequests(
            OutsideParts(
                proxy, routes, addresses, authenticator, tenants, peers, known, derivation, metrics
            )
        )
        room = Room(self.node.layer, self._tasks, known, settings.max_transactions)
        self._admission.attach(room, outside.is_heard)
        inside = InsideRequests(proxy, routes, hidden_vias, addresses, self._callmanagers)
        strays = Strays(
            self.node,
            self._callmanagers,
            derivation,
            addresses,
            routes,
            hidden_vias,
            clock,
            metrics,
        )
        self._stray_cancels = StrayCancels(
            knows=known.knows,
            sender=self.node,
            proxy=proxy,
            callmanagers=self._callmanagers,
            derivation=derivation,
            routes=routes,
            clock=clock,
            metrics=metrics,
        )
        parts = EdgeParts(
            proxy=proxy,
            inside=inside,
            outside=outside,
            registers=registers,
            connections=self._connections,
            addresses=addresses,
            admission=self._admission,
            strays=strays,
            stray_cancels=self._stray_cancels,
            tasks=self._tasks,
            metrics=metrics,
        )
        self._handler.attach(parts, self.node)

    async def _announce(self) -> None:
        inside = self.addresses.inside
        address = "" if inside is None else f"{inside.transport}:{inside.host}:{inside.port}"
        self._registration = await self._backing.discovery.register(
            Instance(
                service=ROLE,
                id=self.instance,
                address=address,
                zone=self._settings.zone,
                version=_VERSION,
                state=InstanceState.READY,
            )
        )
        self._watch = self._backing.discovery.watch(SERVICE_NAME, lambda _: self._news.set())

    async def _follow_callmanagers(self) -> None:
        """Reads the load reports every second, and at once when one comes or goes."""
        while True:
            try:
                async with asyncio.timeout(TICK_S):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            await self._refresh_callmanagers()

    async def _refresh_callmanagers(self) -> None:
        try:
            async with asyncio.timeout(STATE_TIMEOUT_S):
                gone = await self._callmanagers.refresh(self._clock.now(), self._clock.wall_s())
        except (BackingError, TimeoutError) as error:
            self._metrics.state_errors.inc()
            _logger.warning("load reports not read; the last view stays", reason=repr(error))
            return
        if gone:
            self._proxy.on_gone(gone)

    async def _check_forwarded(self) -> None:
        while True:
            await asyncio.sleep(CHECK_S)
            self._proxy.check()
            self._stray_cancels.check()

    async def _sweep_expired(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                async with asyncio.timeout(STATE_TIMEOUT_S):
                    await self._sweep.run_round()
            except (BackingError, DomainError, TimeoutError) as error:
                self._metrics.state_errors.inc()
                _logger.warning("expiry sweep failed", reason=repr(error))


def create_app(  # noqa: PLR0913 - the wiring of a service takes what it uses
    settings: EdgeSettings,
    backing: Backing,
    directory: TenantDirectory,
    clock: Clock,
    ids: Ids,
    network: LocalNetwork | None,
    registry: Registry,
) -> EdgeProxy:
    """Makes an edge proxy; backing and directory are started and closed by their owner.

    Args:
        settings: one edge's own; several edges of a process differ in `name` and `host`.
        backing: shared with all other edges and call managers.
        directory: tenants and users.
        clock: of timers, expiries and nonces.
        ids: source of tags, branches and call ids.
        network: where call managers of the same process are; None: they come by TCP.
        registry: where metrics go.
    """
    return EdgeProxy(settings, backing, directory, clock, ids, network, registry)


def _secret(settings: EdgeSettings) -> bytes:
    secret = settings.secret.get_secret_value().encode()
    if not secret:
        _logger.warning("no secret set; tokens and nonces of this edge end with it")
        return os.urandom(_SECRET_BYTES)
    return secret
