"""Settings of one edge proxy, from the environment (`PARLEY_EDGEPROXY_*`)."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from parley.edgeproxy.identity.peers import parse_peers
from parley.edgeproxy.limits.guard import parse_networks
from parley.service.inside import InsideSettings
from parley.service.settings import CommaList, InstanceName, Port, ServiceSettings
from parley.sip.digest import ALGORITHMS

MIN_SECRET_CHARS: Final = 16


def _check_networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    parse_networks(texts)
    return texts


def _check_algorithms(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) != len(names) or not set(names) <= set(ALGORITHMS):
        raise ValueError(f"must name each algorithm once, of {', '.join(ALGORITHMS)}")
    return names


def _check_peers(texts: tuple[str, ...]) -> tuple[str, ...]:
    parse_peers(texts)
    return texts


Peers = Annotated[CommaList, AfterValidator(_check_peers)]
"""SIP peers, `ip[:port]=domain`."""


class EdgeSettings(ServiceSettings):
    """What an operator may tune; every default is runnable on one machine.

    Attributes:
        name: of this edge, stable over restarts and unlike any other edge's; its instance id is the
            name and a random incarnation, its host name in a `LocalNetwork` is the name itself.
        zone: where it runs; call managers of the same zone are preferred.
        host: local address of the outside listeners.
        advertised_host: what phones call us by when that is not `host`; a REGISTER names this or a
            domain of the tenant, or is refused.
        udp_port: outside UDP port; 0 picks one.
        tcp_port: outside TCP port; 0 picks one.
        tls_port: outside TLS port, used when a certificate is given.
        tls_certificate: PEM file with the certificate and its chain.
        tls_key: PEM file with its key; both are read again when they change.
        shared_address: other edges on this machine listen on the same addresses and ports, which
            must be fixed then; the kernel gives each phone to one of them.
        inside: how it proves itself to call managers (`PARLEY_INSIDE_*`).
        inside_host: local address of the inside listener; not to be reached from outside.
        inside_advertised_host: what call managers call us by when that is not `inside_host`.
        inside_port: its port; in one process with the call manager there is no such listener.
        secret: seals tokens and signs nonces; the same at all edges. Random when empty: fine for
            one edge, whose calls and registrations then end with it.
        nonce_life_s: how long a nonce is taken, seconds.
        digest_algorithms: challenges offered, in this order, and taken: MD5, SHA-256 (RFC 8760).
            Phones are about that know MD5 alone and give up when they see another one at all.
        default_domain: the tenant of phones that send neither a domain nor a unique user name.
        min_expires_s: shortest registration taken.
        default_expires_s: what a phone gets that asks for nothing.
        max_expires_s: longest registration given.
        trusted_peers: `ip[:port]=domain`, whose INVITEs need no digest and belong to that tenant.
        source_rate: requests a second that one address, of IPv6 a /64, may keep up; 0: no limit.
            Connections, and datagrams that show that they come from that address, have an allowance
            of their own.
        source_burst: requests that it may send at once.
        unlimited_sources: networks without that limit.
        stranger_rate: datagrams a second that are read of all addresses together from which nobody
            proved lately who he is; the rest is dropped unread. 0: no limit.
        stranger_burst: how many more at once.
        max_transactions: requests from outside that are remembered at once. Above half of it only
            senders get one from whose address somebody proved himself lately.
        register_rate: registrations a second, of all phones together, that are let through for
            long, challenges aside; the rest gets 503 and comes again, spread over some seconds.
            0: no limit.
        register_burst: how many more at once.
        max_connections: accepted TCP connections, and as many of TLS; within a quarter of the file
            descriptors that the process may have, for each.
        max_source_connections: the same of one address, of IPv6 a /64.
        max_strangers: accepted connections of TCP, and of TLS, on which nobody proved who he is yet
            and that come from an address where nobody did lately. Above it the oldest is cut off.
        max_source_strangers: the same of one address (a /64); above it no more are accepted until
            the oldest has had 5 s.
        stranger_timeout_s: seconds until somebody must have proved who he is on a connection.
        idle_timeout_s: seconds after which a connection that brought nothing is closed.
        drain_rate: connections of phones that are closed a second when the edge is to end.
        drain_timeout_s: seconds that requests under way get at the end.
        auth_failures: failed authentications within `auth_window_s` that ban an address, of IPv6
            a /64; 0: never.
        auth_user_failures: the same for one user at one address.
        auth_window_s: see there.
        auth_ban_s: how long a ban lasts.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_EDGEPROXY_")

    name: InstanceName = "edge"
    zone: str = ""
    host: str = "127.0.0.1"
    advertised_host: str = ""
    udp_port: Port = 5060
    tcp_port: Port = 5060
    tls_port: Port = 5061
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    shared_address: bool = False
    inside: InsideSettings = Field(default_factory=InsideSettings.load, repr=False)
    inside_host: str = "127.0.0.1"
    inside_advertised_host: str = ""
    inside_port: Port = 5070
    health_port: Port = 9091
    secret: SecretStr = SecretStr("")
    nonce_life_s: float = Field(300.0, gt=0)
    digest_algorithms: Annotated[CommaList, AfterValidator(_check_algorithms)] = ("MD5",)
    default_domain: str = ""
    min_expires_s: int = Field(60, ge=1)
    default_expires_s: int = Field(3600, ge=1)
    max_expires_s: int = Field(3600, ge=1)
    trusted_peers: Peers = ()
    source_rate: float = Field(200.0, ge=0)
    source_burst: float = Field(1000.0, ge=1)
    unlimited_sources: Annotated[CommaList, AfterValidator(_check_networks)] = (
        "127.0.0.0/8",
        "::1/128",
    )
    stranger_rate: float = Field(2000.0, ge=0)
    stranger_burst: float = Field(10_000.0, ge=1)
    max_transactions: int = Field(400_000, ge=2)
    register_rate: float = Field(5000.0, ge=0)
    register_burst: float = Field(10000.0, ge=1)
    max_connections: int = Field(65536, ge=2)
    max_source_connections: int = Field(4096, ge=1)
    max_strangers: int = Field(2048, ge=1)
    max_source_strangers: int = Field(64, ge=1)
    stranger_timeout_s: float = Field(30.0, gt=0)
    idle_timeout_s: float = Field(3900.0, gt=0)
    drain_rate: float = Field(500.0, gt=0)
    auth_failures: int = Field(100, ge=0)
    auth_user_failures: int = Field(6, ge=0)
    auth_window_s: float = Field(60.0, gt=0)
    auth_ban_s: float = Field(120.0, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.min_expires_s <= self.default_expires_s <= self.max_expires_s:
            raise ValueError("min_expires_s, default_expires_s and max_expires_s must ascend")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key must be set together")
        if self.shared_address and not (self.udp_port and self.tcp_port and self.tls_port):
            raise ValueError("shared_address needs ports other than 0")
        secret = self.secret.get_secret_value()
        if secret and len(secret) < MIN_SECRET_CHARS:
            raise ValueError(f"secret must have at least {MIN_SECRET_CHARS} characters")
        for own, public in (
            (self.host, self.advertised_host),
            (self.inside_host, self.inside_advertised_host),
        ):
            if not public and _is_wildcard(own):
                raise ValueError(f"an advertised host must be set when listening on {own}")
        return self


def _is_wildcard(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
