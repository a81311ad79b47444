"""Settings of the all-in-one process: `PARLEY_*`, every default runnable on a laptop."""

from collections.abc import Iterator
from ipaddress import ip_address
from itertools import combinations
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from parley.edgeproxy.settings import Peers
from parley.service.settings import CommaList, LogLevel, PortRange, Ports, Settings

_MAX_DRAIN_S = 3600.0
_MAX_PORT = 65_535


def _check_address(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is no IP address") from None
    if address.is_unspecified:
        raise ValueError(f"{text} is no address that a phone could be told")
    return str(address)


def _check_addresses(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_check_address, texts))


def _check_relays(texts: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(texts)) != len(texts):
        raise ValueError("names a relay twice")
    for text in texts:
        host, _, port = text.rpartition(":")
        if not (host and port.isascii() and port.isdigit() and 0 < int(port) <= _MAX_PORT):
            raise ValueError(f"{text!r} is not host:port")
    return texts


Port = Annotated[int, Field(ge=1, le=_MAX_PORT)]
Address = Annotated[str, AfterValidator(_check_address)]
Addresses = Annotated[CommaList, AfterValidator(_check_addresses)]
Relays = Annotated[CommaList, AfterValidator(_check_relays)]


class AllInOneSettings(Settings):
    """Where the platform listens and keeps its data.

    Attributes:
        host: IP address of every listener but the health port.
        sip_port: SIP over UDP and TCP.
        sip_tls_port: SIP over TLS.
        edge_hosts: IP addresses of further edge proxies, each on the same ports as the first.
        api_port: REST API.
        wsi_port: WebSocket events.
        health_host: address of the health port; not to be reached from outside.
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
        "PARLEY_INSIDE_",
        "PARLEY_CLUSTER_",
        "PARLEY_CACHE",
    )

    host: Address = "127.0.0.1"
    sip_port: Port = 5060
    sip_tls_port: Port = 5061
    edge_hosts: Addresses = ()
    api_port: Port = 8080
    wsi_port: Port = 8081
    health_host: str = "127.0.0.1"
    health_port: Port = 9090
    rtp_ports: Ports = PortRange(20000, 29999)
    media_relays: Relays = ()
    data: Path = Path("var")
    trusted_peers: Peers = ()
    drain_s: float = Field(10.0, ge=0, le=_MAX_DRAIN_S)
    log_level: LogLevel = "info"

    @property
    def drain_timeout_s(self) -> float:
        """The same, by the name that every process has for it."""
        return self.drain_s

    @property
    def events_url(self) -> str:
        """URL of the event stream."""
        return f"ws://{self.host}:{self.wsi_port}/v1/events"

    @model_validator(mode="after")
    def _check(self) -> "AllInOneSettings":
        for complaint in self._contradictions():
            raise ValueError(complaint)
        return self

    def _contradictions(self) -> Iterator[str]:
        if self.host in self.edge_hosts or len(set(self.edge_hosts)) != len(self.edge_hosts):
            yield "PARLEY_EDGE_HOSTS names an address twice"
        names = ("sip_port", "sip_tls_port", "api_port", "wsi_port", "health_port")
        for first, second in combinations(names, 2):
            if getattr(self, first) == getattr(self, second):
                yield f"{self._key(first)} and {self._key(second)} are the same port"
        # Media is UDP, as SIP is on this one port.
        first_port, last_port = self.rtp_ports
        if not self.media_relays and first_port <= self.sip_port <= last_port:
            yield "PARLEY_SIP_PORT lies within PARLEY_RTP_PORTS"
