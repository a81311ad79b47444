"""Wires the media relay: the engine and its core, and the gRPC front of a process of its own.

`allinone` takes `RelayService` alone and calls its `relay` directly.
"""

import asyncio
import resource
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

import grpc
import structlog

from parley.backing.factory import Backing
from parley.backing.media.trust import ROLE, is_proved, listen
from parley.mediaengine import Engine, EngineError
from parley.mediarelay.announcer import Announcer
from parley.mediarelay.grpc_api import MediaRelayApi
from parley.mediarelay.metrics import RelayMetrics
from parley.mediarelay.net_policy import NetPolicy
from parley.mediarelay.relay import Relay
from parley.mediarelay.settings import MediaRelaySettings
from parley.model.relay_load import RelayLoad
from parley.rpc.media.v1.media_pb2_grpc import add_MediaRelayServicer_to_server
from parley.service.clock import Clock
from parley.service.errors import StartError
from parley.service.http import listen_tcp
from parley.service.ids import RandomIds
from parley.service.inside import Inside
from parley.service.lifecycle import Service
from parley.service.metrics import Registry

CALLMANAGERS: Final = frozenset(("callmanager",))
"""Who commands a relay."""
MAX_CONNECTIONS: Final = 512
"""Call managers, and strangers for the moment until they are found out."""
_WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104 - refused
_STOP_GRACE_S = 0.5
_SHOWN = 10
_WHAT = "The media relay's gRPC server"
_GRPC_OPTIONS = (
    # Two relays on one port would share it in silence.
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 3000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),
    # Pings that pile up while a machine is busy must not cost the connection.
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.http2.max_pings_without_data", 0),
    # Whoever is no call manager has no stream, and leaves its place within seconds.
    ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
    ("grpc.max_concurrent_streams", 16),
    ("grpc.server_handshake_timeout_ms", 3000),
    ("grpc.max_connection_idle_ms", 3000),
)

_logger = structlog.stdlib.get_logger(__name__)


def _nobody() -> bool:
    return False


class RelayService:
    """The relay's core as a part of a process.

    Attributes:
        relay: executes commands from the moment it is made; tells events once started.
    """

    name = "media relay"

    def __init__(
        self,
        settings: MediaRelaySettings,
        registry: Registry,
        has_others: Callable[[], bool] = _nobody,
    ) -> None:
        """Starts the engine's threads.

        Args:
            settings: of the relay.
            registry: where to count.
            has_others: says whether another relay could take the sessions of this one.

        Raises:
            StartError: the settings cannot work.
        """
        _raise_file_limit()
        engine = _make_engine(settings)
        self.relay = Relay(
            engine,
            settings.advertised_host or settings.host,
            RelayMetrics(registry),
            NetPolicy(
                settings.host,
                settings.rtp_ports,
                advertised=settings.advertised_host,
                allowed=settings.allowed_networks,
                forbidden=settings.forbidden_networks,
            ),
        )
        pairs = (settings.rtp_ports.last - settings.rtp_ports.first + 1) // 2
        if engine.free_pairs < pairs - 1:
            _logger.warning(
                "open files (ulimit -n) are too few for the RTP ports",
                port_pairs=pairs,
                usable=engine.free_pairs,
            )
        self._move_timeout_s = settings.move_timeout_s
        self._has_others = has_others
        self._is_started = False

    async def start(self) -> None:
        """Begins to tell events."""
        self.relay.start()
        self._is_started = True

    async def drain(self, timeout_s: float) -> None:
        """Takes no new session; ends the ones that outlast the time.

        Calls that can move to another relay get the shorter one of both times.
        """
        self.relay.is_draining = True
        if self._has_others():
            timeout_s = min(timeout_s, self._move_timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                await self.relay.wait_empty()
        except TimeoutError:
            left = self.relay.session_ids
            _logger.warning("sessions outlast the drain", count=len(left), sessions=left[:_SHOWN])
            self.relay.drop_all("the media relay shuts down")

    async def aclose(self) -> None:
        """Closes every session and ends the engine."""
        self._is_started = False
        self.relay.close()

    def is_ready(self) -> bool:
        """Whether new sessions are taken."""
        return self._is_started and self.relay.takes_sessions


class GrpcFront:
    """The gRPC server before a relay's core.

    Attributes:
        host: the address that is listened on, apart from that of media.
        port: the port that is listened on; known after `start` when 0 was asked for.
        instance_id: of this run.
    """

    name = "media relay gRPC"

    def __init__(self, relay: Relay, settings: MediaRelaySettings, clock: Clock) -> None:
        self.host = settings.grpc_host
        self.port = settings.grpc_port
        self._advertised_host = settings.grpc_advertised_host or settings.grpc_host
        self.instance_id = RandomIds().instance(settings.name)
        self._relay = relay
        self._zone = settings.zone
        self._clock = clock
        self._inside = Inside(settings.inside, ROLE, CALLMANAGERS, clock)
        self._api = MediaRelayApi(
            relay,
            clock,
            self.instance_id,
            lambda context: is_proved(context, self._inside, self.address),
            orphan_timeout_s=settings.orphan_timeout_s,
            heartbeat_s=settings.heartbeat_s,
        )
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listens.

        Raises:
            StartError: the port cannot be had, or others than this machine could command it.
        """
        self._inside.check_hosts("The media relay", self.host)
        if self._inside.needs_token and self._advertised_host in _WILDCARDS:
            raise StartError(
                "The media relay takes tokens for the address that call managers dial: set "
                "PARLEY_MEDIARELAY_GRPC_ADVERTISED_HOST."
            )
        server = grpc.aio.server(options=_GRPC_OPTIONS)
        add_MediaRelayServicer_to_server(self._api, server)
        try:
            self.port = listen(server, _host_port(self.host, self.port), self._inside)
        except RuntimeError as error:
            # gRPC does not say why; the same attempt by hand does.
            listen_tcp(self.host, self.port, what=_WHAT).close()
            raise StartError(f"{_WHAT} cannot listen on {self.host}:{self.port}.") from error
        await server.start()
        self._server = server
        self._api.start()
        _logger.info("media relay listens", host=self.host, port=self.port)

    async def drain(self, timeout_s: float) -> None:
        """Tells the call managers, once the core drains, to look elsewhere."""
        self._api.announce()

    async def aclose(self) -> None:
        """Ends every stream."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(_STOP_GRACE_S)
        await self._api.aclose()

    def is_ready(self) -> bool:
        """Whether call managers can connect."""
        return self._server is not None

    @property
    def address(self) -> str:
        """`host:port` by which call managers reach the server."""
        return _host_port(self._advertised_host, self.port)

    def report(self) -> RelayLoad:
        """How the relay is now."""
        return RelayLoad(
            instance=self.instance_id,
            address=self.address,
            sessions=self._relay.sessions,
            capacity=self._relay.capacity,
            zone=self._zone,
            at=self._clock.wall_s(),
            draining=not self._relay.takes_sessions,
        )

    @property
    def streams(self) -> int:
        """Call managers connected."""
        return self._api.streams

    def sweep(self) -> None:
        """Closes orphaned sessions now; done by itself every so often."""
        self._api.sweep()


def create_app(
    settings: MediaRelaySettings,
    registry: Registry,
    clock: Clock,
    backing: Backing | None,
) -> list[Service]:
    """Makes the services of a media relay process, in the order of their start.

    Args:
        settings: of the relay.
        registry: where to count.
        clock: of everything.
        backing: where to announce the relay, not started; its discovery and state are opened and
            closed here. None: the relay is not announced.

    Raises:
        StartError: the settings cannot work.
    """
    announcers: list[Announcer] = []
    core = RelayService(
        settings, registry, lambda: any(announcer.has_others() for announcer in announcers)
    )
    front = GrpcFront(core.relay, settings, clock)
    if backing is not None:
        _warn_of_loopback(settings)
        announcers.append(Announcer(backing.discovery, backing.state, clock, front.report))
    return [core, front, *announcers]


def _warn_of_loopback(settings: MediaRelaySettings) -> None:
    is_inside = ip_address(settings.grpc_host).is_loopback and not settings.grpc_advertised_host
    if is_inside and not ip_address(settings.host).is_loopback:
        _logger.warning(
            "only call managers on this machine can reach the relay",
            grpc_host=settings.grpc_host,
            setting="PARLEY_MEDIARELAY_GRPC_HOST",
        )


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _make_engine(settings: MediaRelaySettings) -> Engine:
    try:
        return Engine(
            settings.host,
            settings.rtp_ports.first,
            settings.rtp_ports.last,
            own=[settings.advertised_host] if settings.advertised_host else [],
            threads=settings.threads,
            quarantine_s=settings.quarantine_s,
            dscp=settings.dscp,
        )
    except EngineError as error:
        raise StartError(f"The media engine cannot start: {error}.") from error


def _raise_file_limit() -> None:
    """Lifts the soft limit of open files: a bridged stream takes four sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
