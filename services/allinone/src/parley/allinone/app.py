"""Every service in one process with embedded backing: wiring, and nothing else."""

from collections.abc import Iterator, Sequence

from parley.accounting.app import create_app as create_accounting
from parley.accounting.settings import AccountingSettings
from parley.allinone.data_folder import DataFolder, Secrets
from parley.allinone.demo import DEMO_FILE, DOMAIN, Addresses, Demo, prepare
from parley.allinone.media_link import InnerRelay, OuterRelays
from parley.allinone.settings import AllInOneSettings
from parley.backing.directory import TenantDirectory
from parley.backing.factory import Port, create_backing
from parley.backing.settings import BackingSettings
from parley.callmanager.app import create_app as create_callmanager
from parley.callmanager.app import inside_of
from parley.callmanager.settings import CallManagerSettings
from parley.edgeproxy.app import create_app as create_edge
from parley.edgeproxy.settings import EdgeSettings
from parley.mediarelay.app import RelayService
from parley.mediarelay.settings import MediaRelaySettings
from parley.restgateway.app import create_app as create_restgateway
from parley.restgateway.settings import RestGatewaySettings
from parley.service.clock import Clock
from parley.service.ids import RandomIds
from parley.service.lifecycle import Service
from parley.service.metrics import Registry
from parley.service.process import Resources
from parley.siptransport.local import LocalNetwork
from parley.wsigateway.app import create_app as create_wsigateway
from parley.wsigateway.settings import WsiGatewaySettings


class Platform:
    """The whole platform.

    Attributes:
        demo: the demo tenant; known once the services have started.
    """

    def __init__(self, settings: AllInOneSettings, clock: Clock, registry: Registry) -> None:
        self.demo: Demo | None = None
        self._settings = settings
        self._clock = clock
        self._ids = RandomIds()
        self._registry = registry
        self._network = LocalNetwork()
        backing_settings = BackingSettings.load(data=settings.data)
        self._backing = create_backing(
            Port.DATABASE | Port.STATE | Port.DISCOVERY | Port.BUS,
            backing_settings,
            clock,
            self._registry,
            migrates=True,
        )
        self._directory = TenantDirectory(
            self._backing.db, self._backing.bus, backing_settings.tenant_cache_extensions
        )

    def services(self) -> Sequence[Service]:
        """Makes every service, in the order of their start.

        Raises:
            SettingsError: a service refuses its settings.
            StartError: the data folder is another process's, or a part cannot be made.
        """
        settings = self._settings
        folder = DataFolder(settings.data)
        names = [DOMAIN, "localhost", *self._edge_hosts]
        secrets = folder.open(names, self._clock.wall())
        return (folder, *self._parts(secrets), _DemoSetUp(self))

    async def prepare_demo(self) -> None:
        """Makes the demo tenant and writes `demo.json`."""
        settings = self._settings
        addresses = Addresses(
            sip=f"{settings.host}:{settings.sip_port}",
            sip_tls=f"{settings.host}:{settings.sip_tls_port}",
            edges=[f"{host}:{settings.sip_port}" for host in self._edge_hosts],
            api_url=f"http://{settings.host}:{settings.api_port}",
            wsi_url=settings.events_url,
        )
        self.demo = await prepare(self._backing.db, settings.data / DEMO_FILE, addresses)

    @property
    def _edge_hosts(self) -> tuple[str, ...]:
        return (self._settings.host, *self._settings.edge_hosts)

    def _parts(self, secrets: Secrets) -> Iterator[Service]:
        settings, backing, clock = self._settings, self._backing, self._clock
        host = settings.host
        yield Resources("backing", backing, self._directory)
        yield create_accounting(AccountingSettings.load(), backing, clock, self._registry)
        media = self._media()
        yield media
        yield create_callmanager(
            CallManagerSettings.load(),
            backing,
            self._directory,
            media.control,
            clock,
            self._ids,
            self._network,
            self._registry,
        )
        yield create_restgateway(
            RestGatewaySettings.load(
                host=host,
                port=settings.api_port,
                lame_duck_s=0.0,
                events_url=settings.events_url,
                health_url=f"http://{host}:{settings.health_port}",
            ),
            backing,
            clock,
            self._registry,
        )
        yield create_wsigateway(
            WsiGatewaySettings.load(host=host, port=settings.wsi_port, lame_duck_s=0.0),
            backing,
            clock,
            self._registry,
        )
        yield from self._edges(secrets)

    def _media(self) -> InnerRelay | OuterRelays:
        settings = self._settings
        if settings.media_relays:
            inside = inside_of(CallManagerSettings.load(), self._clock)
            return OuterRelays(settings.media_relays, self._ids.instance("allinone"), inside)
        relay = MediaRelaySettings.load(host=settings.host, rtp_ports=settings.rtp_ports)
        return InnerRelay(RelayService(relay, self._registry))

    def _edges(self, secrets: Secrets) -> Iterator[Service]:
        settings = self._settings
        for number, host in enumerate(self._edge_hosts, start=1):
            yield create_edge(
                EdgeSettings.load(
                    name=f"edge-{number}",
                    host=host,
                    udp_port=settings.sip_port,
                    tcp_port=settings.sip_port,
                    tls_port=settings.sip_tls_port,
                    tls_certificate=secrets.certificate,
                    tls_key=secrets.key,
                    secret=secrets.edge,
                    trusted_peers=settings.trusted_peers,
                ),
                self._backing,
                self._directory,
                self._clock,
                self._ids,
                self._network,
                self._registry,
            )


class _DemoSetUp:
    """Prepares the demo tenant when everything else has started."""

    name = "demo tenant"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def start(self) -> None:
        """Makes the tenant and its file."""
        await self._platform.prepare_demo()

    async def drain(self, timeout_s: float) -> None:
        """Does nothing."""

    async def aclose(self) -> None:
        """Does nothing."""

    def is_ready(self) -> bool:
        """Says whether the tenant is there."""
        return self._platform.demo is not None
