"""Settings of a local cluster: `PARLEY_CLUSTER_*`."""

import enum
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict
from tests.cluster.topology import SERVICES

from parley.allinone.settings import Address, Addresses, Port
from parley.service.settings import CommaList, LogLevel, PortRange, Ports, Settings

_MAX_INSTANCES = 9
_PORTS_EACH = 8


def _from_json(value: object) -> object:
    try:
        return msgspec.json.decode(value) if isinstance(value, str) else value
    except msgspec.DecodeError as error:
        raise ValueError(f"is no JSON: {error}") from error


Environments = Annotated[dict[str, dict[str, str]], BeforeValidator(_from_json)]


class StateServers(enum.Enum):
    """The ways to run Redis."""

    ONE = "redis"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class ClusterSettings(Settings):
    """What a local cluster is made of. Settings of the services themselves are passed on.

    Attributes:
        data: folder of everything: data of the servers, logs, secrets, `control.json`, `demo.json`.
        instances: processes of each service.
        state: how Redis is run: one server, a master and a replica behind three Sentinels, or a
            Redis Cluster of three masters with a replica each.
        tls: services and servers speak TLS with certificates of an authority made for this run;
            without it services show each other tokens. Not with several Redis servers.
        host: IP address of all listeners.
        edge_hosts: IP addresses of further edge proxies, each alone on the ports of the first ones.
        sip_port: SIP over UDP and TCP, shared by all edge proxies.
        sip_tls_port: SIP over TLS, shared by all edge proxies.
        api_port: REST API of the first gateway; the others get free ports.
        wsi_port: WebSocket events of the first gateway; the others get free ports.
        rtp_ports: media ports, first to last, divided among the relays.
        restart_s: seconds after which a process or server that died is started again; none: never.
        liveness_s: seconds without an answer to `/healthz` after which a process is killed and
            started again; none: never.
        liveness_of: services whose processes are asked, with commas; empty: all.
        process_environment: JSON object of further variables of single processes by their name:
            `{"edgeproxy-1": {"TZ": "UTC"}}`.
        drain_s: seconds that a stop waits for calls to be closed.
        log_level: of the supervisor and of all services.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_CLUSTER_")
    foreign_prefixes: ClassVar[tuple[str, ...]] = ()

    data: Path = Path("var/cluster")
    instances: int = Field(2, ge=1, le=_MAX_INSTANCES)
    state: StateServers = StateServers.ONE
    tls: bool = False
    host: Address = "127.0.0.1"
    edge_hosts: Addresses = ()
    sip_port: Port = 5060
    sip_tls_port: Port = 5061
    api_port: Port = 8080
    wsi_port: Port = 8081
    rtp_ports: Ports = PortRange(20000, 29999)
    restart_s: float | None = Field(None, ge=0)
    liveness_s: float | None = Field(None, gt=0)
    liveness_of: CommaList = ()
    process_environment: Environments = {}
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
        if self.tls and self.state is not StateServers.ONE:
            raise ValueError("PARLEY_CLUSTER_TLS takes one Redis server")
        self._check_names()
        return self

    def _check_names(self) -> None:
        services = {spec.service for spec in SERVICES}
        for name in self.liveness_of:
            if name not in services:
                raise ValueError(f"PARLEY_CLUSTER_LIVENESS_OF names {name}, which is no service")
        names = {f"{service}-{n}" for service in services for n in range(1, _MAX_INSTANCES + 1)}
        for name in self.process_environment:
            if name not in names:
                raise ValueError(
                    f"PARLEY_CLUSTER_PROCESS_ENVIRONMENT names {name}, which is no process"
                )
