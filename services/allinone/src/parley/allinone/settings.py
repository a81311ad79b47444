"""Settings of the all-in-one process: `PARLEY_*`, every default runnable on a laptop."""

from pathlib import Path
from typing import ClassVar

from pydantic import model_validator

from parley.service.settings import CommaList, LogLevel, PortRange, Ports, Settings


class AllInOneSettings(Settings):
    """Where the platform listens and keeps its data.

    Attributes:
        host: IP address of every listener.
        sip_port: SIP over UDP and TCP.
        sip_tls_port: SIP over TLS.
        edge_hosts: IP addresses of further edge proxies, each on the same ports as the first.
        api_port: REST API.
        wsi_port: WebSocket events.
        health_port: `/healthz`, `/readyz` and `/metrics`.
        rtp_ports: media ports, first to last.
        media_relays: `host:port` of media relays that run as processes of their own; empty: inside.
        data: folder of everything that outlives a restart.
        trusted_peers: `ip[:port]=domain` of SIP peers whose calls need no password.
        drain_s: seconds that a stop waits for calls to be closed.
        log_level: debug, info, warning or error.
    """

    foreign_prefixes: ClassVar[tuple[str, ...]] = (
        "PARLEY_TEST_",
        "PARLEY_EDGEPROXY_",
        "PARLEY_CALLMANAGER_",
        "PARLEY_MEDIARELAY_",
        "PARLEY_ACCOUNTING_",
        "PARLEY_RESTGATEWAY_",
        "PARLEY_WSIGATEWAY_",
        "PARLEY_BACKING_",
    )

    host: str = "127.0.0.1"
    sip_port: int = 5060
    sip_tls_port: int = 5061
    edge_hosts: CommaList = ()
    api_port: int = 8080
    wsi_port: int = 8081
    health_port: int = 9090
    rtp_ports: Ports = PortRange(20000, 29999)
    media_relays: CommaList = ()
    data: Path = Path("var")
    trusted_peers: CommaList = ()
    drain_s: float = 10.0
    log_level: LogLevel = "info"

    @model_validator(mode="after")
    def _check_hosts(self) -> "AllInOneSettings":
        if self.host in self.edge_hosts or len(set(self.edge_hosts)) != len(self.edge_hosts):
            raise ValueError("PARLEY_EDGE_HOSTS names an address twice")
        return self
