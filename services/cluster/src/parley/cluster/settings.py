"""Settings of a local cluster: `PARLEY_CLUSTER_*`."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from parley.allinone.settings import Address, Addresses, Port
from parley.service.settings import LogLevel, PortRange, Ports, Settings

_MAX_INSTANCES = 9
_PORTS_EACH = 8


class ClusterSettings(Settings):
    """What a local cluster is made of. Settings of the services themselves are passed on.

    Attributes:
        data: folder of everything: data of the servers, logs, secrets, `control.json`, `demo.json`.
        instances: processes of each service.
        host: IP address of all listeners.
        edge_hosts: IP addresses of further edge proxies, each alone on the ports of the first ones.
        sip_port: SIP over UDP and TCP, shared by all edge proxies.
        sip_tls_port: SIP over TLS, shared by all edge proxies.
        api_port: REST API of the first gateway; the others get free ports.
        wsi_port: WebSocket events of the first gateway; the others get free ports.
        rtp_ports: media ports, first to last, divided among the relays.
        restart_s: seconds after which a process or server that died is started again; none: never.
        drain_s: seconds that a stop waits for calls to be closed.
        log_level: of the supervisor and of all services.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_CLUSTER_")
    foreign_prefixes: ClassVar[tuple[str, ...]] = ()

    data: Path = Path("var/cluster")
    instances: int = Field(2, ge=1, le=_MAX_INSTANCES)
    host: Address = "127.0.0.1"
    edge_hosts: Addresses = ()
    sip_port: Port = 5060
    sip_tls_port: Port = 5061
    api_port: Port = 8080
    wsi_port: Port = 8081
    rtp_ports: Ports = PortRange(20000, 29999)
    restart_s: float | None = Field(None, ge=0)
    drain_s: float = Field(10.0, gt=0, le=600)
    log_level: LogLevel = "info"

    @model_validator(mode="after")
    def _check(self) -> "ClusterSettings":
        named = (self.sip_port, self.sip_tls_port, self.api_port, self.wsi_port)
        if len(set(named)) != len(named):
            raise ValueError("two of the ports are the same")
        if len({self.host, *self.edge_hosts}) != 1 + len(self.edge_hosts):
            raise ValueError("PARLEY_CLUSTER_EDGE_HOSTS names an address twice")
        first, last = self.rtp_ports
        if first <= self.sip_port <= last:
            raise ValueError("PARLEY_CLUSTER_SIP_PORT lies within PARLEY_CLUSTER_RTP_PORTS")
        if last - first + 1 < _PORTS_EACH * self.instances:
            raise ValueError("PARLEY_CLUSTER_RTP_PORTS are too few for the relays")
        return self
