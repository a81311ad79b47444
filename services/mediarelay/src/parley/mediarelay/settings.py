"""Settings of the media relay, `PARLEY_MEDIARELAY_*`."""

from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import SettingsConfigDict

from parley.mediarelay.net_policy import parse_networks
from parley.service.inside import InsideSettings
from parley.service.settings import CommaList, InstanceName, Port, PortRange, Ports, ServiceSettings


def _check_networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    parse_networks(texts)
    return texts


class MediaRelaySettings(ServiceSettings):
    """How a media relay runs.

    Attributes:
        name: of this instance, stable over restarts; its instance id is the name and a random
            incarnation.
        zone: where it runs; call managers prefer relays of their own.
        announce: registers in discovery and reports its load to shared state
            (`PARLEY_BACKING_*`); without it call managers must name its address.
        inside: how it and the call managers prove themselves (`PARLEY_INSIDE_*`).
        host: this machine's address for RTP.
        advertised_host: the address phones are told, where NAT stands before the relay.
        allowed_networks: where media may be sent though it is refused otherwise.
        forbidden_networks: where media may not be sent, the cluster's own networks say; a phone
            behind NAT that names such an address is sent nothing before it was heard. Loopback
            (unless `host` is on it), link-local, multicast, reserved and metadata addresses and
            the relay's own ports are refused anyway.
        rtp_ports: range of ports for RTP and RTCP, two per stream and leg.
        threads: threads that forward packets.
        quarantine_s: how long a port pair is not used again after a call.
        dscp: DiffServ code point of the packets sent, 0 for none.
        grpc_host: this machine's address for call managers; not to be reached from outside.
        grpc_advertised_host: what call managers are told, or dial, when that is not `grpc_host`.
        grpc_port: where call managers connect; 0 picks one.
        orphan_timeout_s: sessions of a call manager that is away, and silent, for longer are
            closed.
        heartbeat_s: call managers hear from the relay at least this often.
        drain_timeout_s: how long calls may go on after SIGTERM.
        move_timeout_s: the same when another relay is there to take them.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_MEDIARELAY_")

    name: InstanceName = "mediarelay"
    zone: str = ""
    announce: bool = False
    inside: InsideSettings = Field(default_factory=InsideSettings.load, repr=False)
    host: str = "127.0.0.1"
    advertised_host: str = ""
    allowed_networks: Annotated[CommaList, AfterValidator(_check_networks)] = ()
    forbidden_networks: Annotated[CommaList, AfterValidator(_check_networks)] = ()
    rtp_ports: Ports = PortRange(20000, 29999)
    threads: int = Field(1, ge=1, le=64)
    quarantine_s: float = Field(5.0, ge=0, le=3600)
    dscp: int = Field(46, ge=0, le=63)
    grpc_host: str = "127.0.0.1"
    grpc_advertised_host: str = ""
    grpc_port: Port = 7100
    health_port: Port = 9107
    orphan_timeout_s: float = Field(300.0, gt=0)
    heartbeat_s: float = Field(0.2, gt=0, le=60)
    move_timeout_s: float = Field(10.0, ge=0)

    @field_validator("host", "advertised_host", "grpc_host")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value:
            ip_address(value)
        return value
