"""From the topology to processes: which ports and which environment each instance gets."""

import string
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec import Struct
from tests.cluster.settings import ClusterSettings
from tests.cluster.topology import HEALTH, HEALTH_HOST, SERVICES, ServiceSpec

from parley.allinone.data_folder import Secrets
from parley.service.settings import PortRange


class ServerUrls(Struct, frozen=True, kw_only=True):
    """Where the backing servers are."""

    redis: str
    kafka: str
    zookeeper: str
    postgresql: str
    is_tls: bool = False

    def environment(self) -> dict[str, str]:
        """Settings of the backing services (`PARLEY_BACKING_*`) that choose these servers."""
        tls = "+tls" if self.is_tls else ""
        values = {
            "state": "redis",
            "state_url": self.redis,
            "bus": "kafka",
            "bus_url": f"kafka{tls}://{self.kafka}",
            "discovery": "zookeeper",
            "discovery_url": f"zookeeper{tls}://{self.zookeeper}/parley",
            "database_url": self.postgresql,
        }
        return {f"PARLEY_BACKING_{name}".upper(): value for name, value in values.items()}


class ProcessPlan(Struct, frozen=True, kw_only=True):
    """One process to be.

    Attributes:
        host: where it listens, with its health port too.
        name: of the instance, stable over restarts: `edgeproxy-1`.
        number: of the instance, from 1.
        ports: by the name of their setting.
        environment: what it gets besides the supervisor's own environment.
    """

    name: str
    spec: ServiceSpec
    number: int
    host: str
    ports: Mapping[str, int]
    environment: Mapping[str, str]

    @property
    def health_port(self) -> int:
        """Where it answers `/readyz`."""
        return self.ports[HEALTH]


_KNOWN_FIRST: Final = {"restgateway": "api_port", "wsigateway": "wsi_port"}


def plan(
    settings: ClusterSettings,
    urls: ServerUrls,
    secrets: Secrets,
    free_port: Callable[[], int],
    proofs: Callable[[str, str], Mapping[str, str]],
) -> list[ProcessPlan]:
    """Lays out every process of the cluster, in the order of their start.

    Args:
        settings: of the cluster.
        urls: of its servers.
        secrets: of its edges.
        free_port: finds one.
        proofs: gives the settings by which a process of a service, by its name, proves itself.
    """
    backing = urls.environment()
    return [
        _process(spec, number, settings, secrets, backing | _proof(spec, number, proofs), free_port)
        for spec in sorted(SERVICES, key=lambda spec: spec.stage)
        for number in range(1, _count(spec, settings) + 1)
    ]


def _proof(
    spec: ServiceSpec, number: int, proofs: Callable[[str, str], Mapping[str, str]]
) -> dict[str, str]:
    return dict(proofs(spec.service, f"{spec.service}-{number}"))


def _count(spec: ServiceSpec, settings: ClusterSettings) -> int:
    return settings.instances + (len(settings.edge_hosts) if spec.service == "edgeproxy" else 0)


def _process(
    spec: ServiceSpec,
    number: int,
    settings: ClusterSettings,
    secrets: Secrets,
    backing: Mapping[str, str],
    free_port: Callable[[], int],
) -> ProcessPlan:
    name = f"{spec.service}-{number}"
    ports = {port: _shared(port, settings) for port in spec.shared_ports}
    for port in spec.ports:
        known = _KNOWN_FIRST.get(spec.service) if number == 1 and port == "port" else None
        ports[port] = getattr(settings, known) if known else free_port()
    values = {
        "log_level": settings.log_level,
        "drain_timeout_s": str(settings.drain_s),
        **dict(spec.fixed),
        **{port: str(value) for port, value in ports.items()},
    }
    if spec.has_listener:
        values["host"] = settings.host
    if spec.is_named:
        values |= {"name": name, "zone": f"zone-{string.ascii_lowercase[number - 1]}"}
    values |= dict(_own_settings(spec, number, settings, secrets))
    host = values[HEALTH_HOST] = values.get("host", settings.host)
    environment = {spec.key(setting): value for setting, value in values.items()}
    return ProcessPlan(
        name=name,
        spec=spec,
        number=number,
        host=host,
        ports=ports,
        # Of its own: what waits for Kafka is journalled there.
        environment={
            **backing,
            "PARLEY_BACKING_DATA": str(settings.data.absolute() / "processes" / name),
            **environment,
            **settings.process_environment.get(name, {}),
        },
    )


def _shared(port: str, settings: ClusterSettings) -> int:
    return settings.sip_tls_port if port == "tls_port" else settings.sip_port


def _own_settings(
    spec: ServiceSpec, number: int, settings: ClusterSettings, secrets: Secrets
) -> Iterator[tuple[str, str]]:
    if spec.service == "edgeproxy":
        # One secret: any edge takes what another has signed.
        yield "secret", secrets.edge.get_secret_value()
        yield "tls_certificate", str(secrets.certificate.absolute())
        yield "tls_key", str(secrets.key.absolute())
        yield "inside_host", settings.host
        if number > settings.instances:
            yield "host", settings.edge_hosts[number - settings.instances - 1]
    if spec.service == "mediarelay":
        first, last = divide(settings.rtp_ports, settings.instances)[number - 1]
        yield "rtp_ports", f"{first}-{last}"
        yield "grpc_host", settings.host


def divide(ports: PortRange, parts: int) -> list[PortRange]:
    """Cuts a range of ports into equal ones that begin with even ports."""
    start = ports.first + ports.first % 2
    size = (ports.last - start + 1) // parts // 2 * 2
    return [
        PortRange(first, first + size - 1) for first in range(start, start + size * parts, size)
    ]
